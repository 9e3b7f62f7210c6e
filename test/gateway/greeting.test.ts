import { describe, expect, test } from "vitest";
import {
  HTTP_HEADER_BYTES_MAX,
  type ReadGreeting,
  readConnect,
  readHello,
  readRequest,
} from "../../gateway/greeting.ts";
import { limits } from "../../src/core/index.ts";

const bytes = (...parts: (number | readonly number[])[]) => Uint8Array.from(parts.flat());
const zeros = (count: number) => Array.from({ length: count }, () => 0);

/** Every prefix of `greeting` is "more", all of it is whole, and so it stays whatever follows. */
function expectWhole(read: ReadGreeting, greeting: Uint8Array): void {
  for (let end = 1; end < greeting.length; end += 1) {
    expect(read(greeting.subarray(0, end))).toBe("more");
  }
  expect(read(greeting)).toBe(greeting.length);
  expect(read(bytes([...greeting], 7, 7))).toBe(greeting.length);
}

describe("a CONNECT", () => {
  test.each([0, 12, 127, 128, limits.PACKET_BYTES_MAX_UNAUTHENTICATED])(
    "of %i bytes behind its fixed header is whole when all of it is there",
    (remaining) => {
      const length = remaining < 128 ? [remaining] : [(remaining % 128) | 0x80, remaining >> 7];
      expectWhole(readConnect, bytes(0x10, length, zeros(remaining)));
    },
  );

  test.each([
    ["another packet", bytes(0x30, 2, 0, 0)],
    ["a CONNECT with flags", bytes(0x11)],
    ["HTTP", new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n")],
    ["one longer than it may be", bytes(0x10, 0x81, 0x10)],
    ["256 MB", bytes(0x10, 0xff, 0xff, 0xff, 0x7f)],
    ["a length of five bytes", bytes(0x10, 0x80, 0x80, 0x80, 0x80, 1)],
  ])("is not %s", (_name, said) => {
    expect(readConnect(said)).toBe("other");
  });
});

describe("a TLS hello", () => {
  test.each([0, 200, 2_000])("in a record of %i bytes", (count) => {
    expectWhole(readHello, bytes(0x16, 3, 1, count >> 8, count & 0xff, zeros(count)));
  });

  test.each([
    ["a CONNECT", bytes(0x10)],
    ["an alert", bytes(0x15, 3, 1, 0, 2, 1, 0)],
    ["a record longer than any", bytes(0x16, 3, 1, 0x40, 0x01)],
  ])("is not %s", (_name, said) => {
    expect(readHello(said)).toBe("other");
  });
});

describe("an HTTP request", () => {
  const text = (said: string) => new TextEncoder().encode(said);

  test("is whole at its empty line", () => {
    expectWhole(readRequest, text("GET /mqtt HTTP/1.1\r\nHost: x\r\n\r\n"));
  });

  test("is none when its header has no end", () => {
    expect(readRequest(text("x".repeat(HTTP_HEADER_BYTES_MAX - 1)))).toBe("more");
    expect(readRequest(text("x".repeat(HTTP_HEADER_BYTES_MAX)))).toBe("other");
    expect(readRequest(text(`${"x".repeat(HTTP_HEADER_BYTES_MAX)}\r\n\r\n`))).toBe("other");
  });
});
