import { Writable } from "node:stream";
import { describe, expect, test } from "vitest";
import { ProtocolError } from "../../src/core/index.ts";
import { createLogger, type LogLevel, silentLogger } from "../../src/observe/index.ts";
import { CANARY as PLANTED } from "../support/canary.ts";

const CANARY = `canary-${PLANTED}`;

/** A logger at a fixed time, and the lines it wrote. */
function capture(level: LogLevel = "debug") {
  let text = "";
  const destination = new Writable({
    write(chunk, _encoding, done) {
      text += String(chunk);
      done();
    },
  });
  const clock = {
    nowMs: () => 1_700_000_000_000,
    monotonicMs: () => 0,
    after: () => ({ cancel() {} }),
  };
  const log = createLogger({ level, name: "gateway", destination, clock });
  return { log, text: () => text, lines: () => text.split("\n").filter((line) => line !== "") };
}

describe("logger", () => {
  test("a line is one JSON object, golden to the byte", () => {
    const { log, text } = capture();
    log.child({ tenant: "acme" }).info("gateway.listening", { port: 1883, tls: false });
    expect(text()).toBe(
      '{"level":"info","time":"2023-11-14T22:13:20.000Z","name":"gateway",' +
        '"tenant":"acme","port":1883,"tls":false,"event":"gateway.listening"}\n',
    );
  });

  test("THREATS 23: an id cannot forge a line, move the cursor or reverse the text", () => {
    const { log, text, lines } = capture();
    log.warn("auth.refused", { clientId: 'a\nINFO {"level":"info"}\u202E\u001b[2J\u0085\u2028' });
    expect(lines()).toHaveLength(1);
    expect(text()).toBe(
      '{"level":"warn","time":"2023-11-14T22:13:20.000Z","name":"gateway",' +
        '"clientId":"a\\nINFO {\\"level\\":\\"info\\"}\\\\u202e\\u001b[2J\\\\u0085\\\\u2028",' +
        '"event":"auth.refused"}\n',
    );
  });

  test("THREATS 23: fields cannot replace the line's own keys", () => {
    const { log, lines } = capture();
    log.info("queue.added", { level: "error", time: 0, name: "x", event: "y" });
    expect(JSON.parse(lines()[0] ?? "")).toEqual({
      level: "info",
      time: "2023-11-14T22:13:20.000Z",
      name: "gateway",
      event: "queue.added",
      "field.level": "error",
      "field.time": 0,
      "field.name": "x",
      "field.event": "y",
    });
  });

  test.each([
    ["password", { password: CANARY }],
    ["a nested secret", { auth: { hmac: { secret: CANARY } } }],
    ["a token in a list", { listeners: [{ accessToken: CANARY }] }],
    ["a header", { headers: { Authorization: `Bearer ${CANARY}`, "Set-Cookie": CANARY } }],
    ["a key", { tls: { private_key: CANARY, privateKey: CANARY, apiKey: CANARY } }],
    ["a map", { config: new Map([["jwtSecret", CANARY]]) }],
    ["bytes of a secret", { passwordBytes: new TextEncoder().encode(CANARY) }],
    ["a URL", { redis: `rediss://user:${CANARY}@10.0.0.1:6379/0` }],
    ["a URL without a user", { redis: `redis://:${CANARY}@10.0.0.1:6379/0` }],
    [
      "a URL inside an error",
      { error: new Error(`connect postgres://u:${CANARY}@db/omega failed`) },
    ],
    [
      "an error's cause and detail",
      {
        error: new ProtocolError("auth.bad", "refused", {
          detail: { passphrase: CANARY },
          cause: new Error(`amqp://u:${CANARY}@h`),
        }),
      },
    ],
  ])("THREATS 25: %s is never written", (_what, fields) => {
    const { log, text } = capture();
    log.error("config.print", fields);
    log.child(fields).error("config.print");
    expect(text()).toContain("[redacted]");
    expect(text()).not.toContain(CANARY);
  });

  test("an error on purpose is its code and reason, a crash keeps its stack", () => {
    const { log, lines } = capture();
    log.error("frame.refused", {
      error: new ProtocolError("frame.truncated", "short", { detail: { bytes: 3 } }),
    });
    log.error("gateway.crashed", { error: new TypeError("boom") });
    const [refused, crashed] = lines().map((line) => JSON.parse(line));
    expect(refused.error).toEqual({
      name: "ProtocolError",
      message: "short",
      code: "Protocol",
      reason: "frame.truncated",
      detail: { bytes: 3 },
    });
    expect(crashed.error.stack).toContain("logger.test.ts");
  });

  test("a line is bounded whatever it is given, cycles included", () => {
    const { log, lines } = capture();
    const cycle: Record<string, unknown> = { frame: new Uint8Array(1_000_000) };
    cycle.self = cycle;
    log.info("x.y", {
      cycle,
      long: "a".repeat(1e6),
      many: Array.from({ length: 1e5 }, (_, i) => i),
    });
    expect(lines()).toHaveLength(1);
    expect((lines()[0] ?? "").length).toBeLessThan(8_192);
    expect(lines()[0]).toContain("<1000000 bytes>");
  });

  test("levels below the chosen one are not written, and silent writes nothing", () => {
    const { log, lines } = capture("warn");
    log.debug("a.b");
    log.info("a.b");
    log.warn("a.b");
    expect(lines()).toHaveLength(1);
    expect(capture("silent").log).toBe(silentLogger);
    silentLogger.child({}).error("a.b");
  });
});
