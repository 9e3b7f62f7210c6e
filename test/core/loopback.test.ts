import { expect, it } from "vitest";
import { isLoopback } from "../../src/core/index.ts";

it.each([
  ["127.0.0.1", true],
  ["127.8.9.1", true],
  ["127.255.255.255", true],
  ["localhost", true],
  ["LocalHost", true],
  ["::1", true],
  ["::ffff:127.0.0.1", true],
  ["0.0.0.0", false],
  ["::", false],
  ["128.0.0.1", false],
  ["127.0.0.256", false],
  ["127.0.0.01", false],
  ["127.0.0.1.", false],
  ["127.evil.example", false],
  ["localhost.example.com", false],
])("%s is loopback: %s", (host, expected) => {
  expect(isLoopback(host)).toBe(expected);
});
