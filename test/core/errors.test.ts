import { describe, expect, it } from "vitest";
import {
  assert,
  CompressionError,
  ERROR_CODES,
  InvalidConfigError,
  messageOf,
  NetworkError,
  OmegaError,
  ProtocolError,
  RetryExhaustedError,
  SerializationError,
  TimeoutError,
  TransportError,
  unreachable,
} from "../../src/core/index.ts";

const cause = new Error("below");
const options = { detail: { bytes: 3 }, cause };
const errors = [
  new SerializationError("a.b", "m", options),
  new CompressionError("a.b", "m", options),
  new NetworkError("a.b", "m", options),
  new TransportError("a.b", "m", options),
  new TimeoutError("a.b", "m", options),
  new ProtocolError("a.b", "m", options),
  new RetryExhaustedError("a.b", "m", options),
];

describe("errors", () => {
  it("the eight codes are the seed's names, for ever", () => {
    expect(ERROR_CODES).toEqual([
      "Serialization",
      "Compression",
      "Network",
      "Transport",
      "Timeout",
      "InvalidConfig",
      "Protocol",
      "RetryExhausted",
    ]);
    const codes = [...errors, new InvalidConfigError([])].map((error) => error.code);
    expect(new Set(codes)).toEqual(new Set(ERROR_CODES));
  });

  it.each(errors.map((error) => [error.name, error] as const))(
    "%s carries code, reason, message, detail and cause",
    (name, error) => {
      expect(error).toBeInstanceOf(OmegaError);
      expect(error).toBeInstanceOf(Error);
      expect(name).toBe(`${error.code}Error`);
      expect([error.reason, error.message, error.detail, error.cause]).toEqual([
        "a.b",
        "m",
        { bytes: 3 },
        cause,
      ]);
    },
  );

  it("without options there is an empty detail and no cause at all", () => {
    const error = new ProtocolError("a.b", "m");
    expect(error.detail).toEqual({});
    expect("cause" in error).toBe(false);
  });

  it("a configuration error lists every fault at once", () => {
    const error = new InvalidConfigError(["deviceId is missing", "timeout must be > 0: got -1"]);
    expect(error.faults.length).toBe(2);
    expect(error.message).toContain("deviceId is missing");
    expect(error.message).toContain("timeout must be > 0: got -1");
    expect(error.reason).toBe("config.invalid");
  });

  it("anything thrown has a message", () => {
    expect([messageOf(cause), messageOf("text"), messageOf(undefined)]).toEqual([
      "below",
      "text",
      "undefined",
    ]);
  });

  it("a failed assertion is a crash, not a refusal that someone may catch by type", () => {
    expect(() => assert(true, "fine")).not.toThrow();
    for (const act of [() => assert(false, "broken"), () => unreachable("x" as never)]) {
      expect(act).toThrow("assertion failed");
      expect(act).not.toThrow(OmegaError);
    }
  });
});
