import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseTopic, topicOf } from "../../src/wire/index.ts";
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
