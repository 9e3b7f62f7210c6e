import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  deviceName,
  InvalidConfigError,
  isId,
  ProtocolError,
  parseDeviceName,
  requireId,
} from "../../src/core/index.ts";

const id = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/);

describe("ids", () => {
  it("a device's name reads back as the device", () => {
    fc.assert(
      fc.property(id, id, (tenant, device) => {
        expect(parseDeviceName(deviceName({ tenant, device }))).toEqual({ tenant, device });
        expect(requireId("device", device)).toBe(device);
      }),
    );
  });

  // THREATS 22 and 23: nothing that could end a Redis key, a log line or a path is an id.
  it.each([
    "",
    "a".repeat(65),
    "a/b",
    "a:b",
    "a b",
    "a\n",
    "a\r\nPING",
    "\u202ea",
    "\u001b[2J",
    "é",
    "..",
    "a.b",
    "+",
    "#",
    "<img>",
    null,
    7,
    ["a"],
  ])("%j is no id", (value) => {
    expect(isId(value)).toBe(false);
    expect(() => requireId("device", value as string)).toThrow(InvalidConfigError);
  });

  it.each(["", "a", "a/", "/a", "a/b/c", "a/b\n", "a b/c"])("%j is no device's name", (name) => {
    expect(() => parseDeviceName(name)).toThrow(ProtocolError);
  });
});
