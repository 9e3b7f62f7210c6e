import { readFileSync } from "node:fs";
import { describe, expect, expectTypeOf, it } from "vitest";
import { type Delta, InvalidConfigError, MemoryStorage, SyncClient } from "../../device/index.ts";
import { resolveOptions } from "../../device/options.ts";
import { intake } from "../../device/session-intake.ts";

const good = { deviceId: "tv-1", endpoints: "mqtt://127.0.0.1:1883", storage: new MemoryStorage() };

function faultsOf(act: () => unknown): readonly string[] {
  try {
    act();
  } catch (error) {
    if (error instanceof InvalidConfigError) return error.faults;
    throw error;
  }
  return [];
}

describe("client options", () => {
  it("all faults are named at once, each with the bad value and what is allowed", () => {
    const faults = faultsOf(
      () =>
        new SyncClient({
          deviceId: "tv 1",
          tenant: "",
          endpoints: [
            "http://x",
            "mqtt://user:secret@host",
            { url: "mqtt://host", priority: Number.NaN },
          ],
          dim: 7,
          syncInterval: 60,
          retryAttempts: 9,
          timeout: 0,
          connectTimeoutMs: 1,
          keepalive: 0,
          outboxBytesMax: 1,
          budgetBytes: 1_000_000,
          backoff: { delayMsBase: 10, delayMsMax: 5 },
          credentials: { username: "", password: 5 as unknown as string },
        }),
    );
    const expected = [
      /endpoints\[0\].*got "http:\/\/x"/,
      /endpoints\[1\].*neither login nor query/,
      /endpoints\[2\]\.priority.*got NaN/,
      /deviceId must match .* got "tv 1"/,
      /tenant must match .* got ""/,
      /credentials\.username .* got ""/,
      /credentials\.password must be/,
      /dataDir and storage .* got none/,
      /dim must be an integer 8\.\.4096: got 7/,
      /retryAttempts must be an integer 3\.\.5: got 9/,
      /connectTimeoutMs must be an integer 100\.\.60000: got 1/,
      /keepalive must be an integer 10\.\.65535: got 0/,
      /outboxBytesMax must be an integer 65536\.\.\d+: got 1/,
      /budgetBytes must be an integer \d+\.\.15360: got 1000000/,
      /timeout must be above 0 and at most 300 seconds: got 0/,
      /syncInterval must be 300\.\.900 seconds: got 60/,
      /backoff must have .* got 10 and 5/,
    ];
    for (const [index, fault] of expected.entries()) expect(faults[index]).toMatch(fault);
    expect(faults.length).toBe(expected.length);
    expect(faults.join()).not.toContain("secret");
  });

  it("nothing at all is refused with what is missing", () => {
    const faults = faultsOf(() => SyncClient.builder().build());
    expect(faults.map((fault) => fault.split(" ")[0])).toEqual([
      "endpoints",
      "deviceId",
      "exactly",
    ]);
  });

  it("defaults are those of production", () => {
    expect(resolveOptions(good)).toMatchObject({
      tenant: "default",
      dim: 384,
      syncInterval: 300,
      retryAttempts: 3,
      timeout: 30,
      connectTimeoutMs: 4_000,
      loginTimeoutMs: 30_000,
      keepalive: 300,
      codec: 1,
      mode: "tracking",
      budgetBytes: 1_024,
      dailyBytesMax: null,
      endpoints: [{ url: "mqtt://127.0.0.1:1883", priority: 0 }],
    });
  });

  it("a frame's budget goes with the codec and the dimension", () => {
    expect(resolveOptions({ ...good, codec: 0 }).budgetBytes).toBe(15 * 1024);
    expect(resolveOptions({ ...good, dim: 4_096 }).budgetBytes).toBe(1_280);
    expect(resolveOptions({ ...good, budgetBytes: 400 }).budgetBytes).toBe(400);
    expect(faultsOf(() => resolveOptions({ ...good, codec: 0, budgetBytes: 400 }))).toEqual([
      expect.stringMatching(/budgetBytes must be an integer 640\.\.15360: got 400/),
    ]);
    const wrong = { codec: 2, mode: "loud", dailyBytesMax: 5 } as unknown as typeof good;
    expect(faultsOf(() => resolveOptions({ ...good, ...wrong }))).toEqual([
      expect.stringMatching(/codec must be an integer 0\.\.1: got 2/),
      expect.stringMatching(/dailyBytesMax must be an integer 65536\.\.\d+: got 5/),
      expect.stringMatching(/mode must be one of tracking, unbiased: got "loud"/),
    ]);
  });

  it("another sync interval needs an explicit word", () => {
    expect(faultsOf(() => resolveOptions({ ...good, syncInterval: 901 })).length).toBe(1);
    expect(resolveOptions({ ...good, syncInterval: 900 }).syncInterval).toBe(900);
    const any = { ...good, syncInterval: 0.5, allowAnySyncInterval: true };
    expect(resolveOptions(any).syncInterval).toBe(0.5);
    expect(faultsOf(() => resolveOptions({ ...any, syncInterval: -1 })).length).toBe(1);
  });

  it("the builder says the same as the object", () => {
    const client = SyncClient.builder()
      .deviceId("tv-1")
      .tenant("acme")
      .endpoint("mqtts://a.example:8883")
      .endpoint("wss://b.example/mqtt", 1)
      .credentials({ password: () => "token" })
      .tls({ ca: "PEM" })
      .dim(16)
      .dataDir("/tmp/nowhere")
      .syncInterval(600)
      .retryAttempts(5)
      .timeout(10)
      .with({ keepalive: 60 })
      .build();
    expectTypeOf(client).toEqualTypeOf<SyncClient>();
    expect(client.phase).toBe("offline");
    expect(client.version).toBe(0);
    expect(client.patterns.size).toBe(0);
  });

  it("a client that was not started says so", async () => {
    const client = new SyncClient({ ...good, dim: 8 });
    const embedding = new Float32Array(8).fill(0.1);
    const delta = { upserts: [{ id: "a", embedding, weight: 1 }] };
    await expect(client.sync(delta)).rejects.toMatchObject({ reason: "client.not-started" });
    await client.stop();
  });
});

describe("delta intake", () => {
  const embedding = new Float32Array(8).fill(0.1);
  const faults = (delta: Delta): readonly string[] => {
    try {
      intake(delta, 8, 1_000);
    } catch (error) {
      return (error as { detail: { faults: string[] } }).detail.faults;
    }
    return [];
  };

  it("every fault of a delta is named at once", () => {
    const found = faults({
      upserts: [
        { id: "a b", embedding, weight: 1 },
        { id: "a", embedding: new Float32Array(7), weight: 0 },
        {
          id: "a",
          embedding,
          weight: 1.5,
          success: 2,
          samples: -1,
          updatedAt: new Date(Number.NaN),
        },
        { id: "z", embedding: new Float32Array(8), weight: 1 },
        { id: "n", embedding: new Float32Array(8).fill(Number.NaN), weight: 1 },
      ],
      removals: ["a", "é"],
    });
    const expected = [
      /upserts\[0\]: id must match .* "a b"/,
      /upserts\[1\]: weight .* got 0/,
      /upserts\[1\]: embedding must hold 8 numbers: got 7/,
      /upserts\[2\]: id a appears twice/,
      /upserts\[2\]: weight .* got 1.5/,
      /upserts\[2\]: success must be 0..1: got 2/,
      /upserts\[2\]: samples .* got -1/,
      /upserts\[2\]: updatedAt/,
      /upserts\[3\]: .*zero/,
      /upserts\[4\]: .*NaN/,
      /removals\[0\]: id a appears twice/,
      /removals\[1\]: id must match/,
    ];
    for (const [index, fault] of expected.entries()) expect(found[index]).toMatch(fault);
    expect(found.length).toBe(expected.length);
  });

  it("missing details get their defaults", () => {
    const [item] = intake({ upserts: [{ id: "a", embedding, weight: 3 }] }, 8, 1_000);
    expect(item).toMatchObject({
      id: "a",
      value: { weight: 3, success: 0, samples: 0, updatedAtS: 1_000 },
    });
  });
});

describe("the example in the README", () => {
  it("compiles, uses only the public door, and has at most twelve lines of code", () => {
    expectTypeOf<typeof import("./example.ts")>().toBeObject();
    const source = readFileSync(new URL("./example.ts", import.meta.url), "utf8");
    const code = source
      .replace(/\/\*\*[\s\S]*?\*\//, "")
      .split("\n")
      .filter((line) => line.trim() !== "");
    expect(code.length).toBeLessThanOrEqual(12);
    expect(source.match(/from "[^"]+"/g)).toEqual(['from "../../device/index.ts"']);
  });
});
