import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  codecTopicOf,
  MODEL_VERSION_MAX,
  parseCodecTopic,
  parseTopic,
  topicOf,
} from "../../src/wire/index.ts";
import { anyId } from "./arbitraries.ts";

const OWN = "omega/v1/acme/d/tv-1/up";

describe("topics", () => {
  it("a topic reads back as the device it was made for", () => {
    const direction = fc.constantFrom("up" as const, "down" as const, "err" as const);
    fc.assert(
      fc.property(anyId, anyId, direction, (tenant, device, way) => {
        const key = { tenant, device };
        expect(parseTopic(topicOf(key, way))).toEqual({ key, direction: way });
      }),
    );
  });

  // THREATS 3, 4, 6, 8: whatever resembles our topics without being one has no reading at all.
  it.each([
    "",
    "omega/v1/acme/d/tv-1",
    `${OWN}/`,
    `/${OWN}`,
    `${OWN}/..`,
    `${OWN}\u0000`,
    `${OWN}\n`,
    "omega/v1/acme/d/tv-1/UP",
    "Omega/v1/acme/d/tv-1/up",
    "omega/v2/acme/d/tv-1/up",
    "omega/v1/acme/d//up",
    "omega/v1//d/tv-1/up",
    "omega/v1/acme/d/+/up",
    "omega/v1/acme/d/#",
    "omega/v1/acme/d/tv%2d1/up",
    "omega/v1/acme/d/tv-1\u0301/up",
    "omega/v1/acme/d/ｔv-1/up",
    "omega/v1/acme/d/../up",
    "omega/v1/acme/x/tv-1/up",
    "$SYS/x/new/clients",
    "$share/g/omega/v1/acme/d/tv-1/up",
    `omega/v1/acme/d/${"a".repeat(65)}/up`,
  ])("%j is none of ours", (topic) => {
    expect(parseTopic(topic)).toBeNull();
  });

  it("a key that holds no ids never becomes a topic", () => {
    expect(() => topicOf({ tenant: "acme", device: "a/../b" }, "up")).toThrow("assertion failed");
    expect(() => topicOf({ tenant: "+", device: "b" }, "down")).toThrow("assertion failed");
  });
});

describe("codec topics", () => {
  it("a codec topic reads back as the model it was made for, and never as a device's", () => {
    const version = fc.integer({ min: 1, max: MODEL_VERSION_MAX });
    fc.assert(
      fc.property(anyId, version, (tenant, model) => {
        const topic = codecTopicOf({ tenant, version: model });
        expect(parseCodecTopic(topic)).toEqual({ tenant, version: model });
        expect(parseTopic(topic)).toBeNull();
      }),
    );
  });

  // One version has one topic, or a filter cap and a cache could be walked around.
  it.each([
    OWN,
    "omega/v1/acme/codec",
    "omega/v1/acme/codec/",
    "omega/v1/acme/codec/0",
    "omega/v1/acme/codec/01",
    "omega/v1/acme/codec/+1",
    "omega/v1/acme/codec/-1",
    "omega/v1/acme/codec/1.0",
    "omega/v1/acme/codec/1e3",
    "omega/v1/acme/codec/65536",
    "omega/v1/acme/codec/99999999999999999999",
    "omega/v1/acme/codec/1/",
    "omega/v1/acme/codec/1\n",
    "omega/v1/acme/codec/1\u0000",
    "omega/v1/acme/codec/١",
    "omega/v1/acme/codec/+",
    "omega/v1/acme/codec/#",
    "omega/v1/+/codec/1",
    "omega/v2/acme/codec/1",
    "omega/v1/acme/CODEC/1",
    "omega/v1//codec/1",
    "$share/g/omega/v1/acme/codec/1",
  ])("%j names no model", (topic) => {
    expect(parseCodecTopic(topic)).toBeNull();
  });

  it("what is no model never becomes a topic", () => {
    for (const version of [0, -1, 1.5, Number.NaN, MODEL_VERSION_MAX + 1]) {
      expect(() => codecTopicOf({ tenant: "acme", version })).toThrow("assertion failed");
    }
    expect(() => codecTopicOf({ tenant: "+", version: 1 })).toThrow("assertion failed");
  });
});
