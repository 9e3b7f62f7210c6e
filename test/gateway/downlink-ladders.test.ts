import fc from "fast-check";
import mqttPacket from "mqtt-packet";
import { describe, expect, test } from "vitest";
import { downParts, holdLadder, Ladders } from "../../gateway/ladders.ts";
import { publishHead } from "../../gateway/publish-packet.ts";
import { Reach } from "../../gateway/reach.ts";
import { downFrame, downFrames1, type Ladder } from "../../src/wire/index.ts";
import { manualClock } from "../support/manual-clock.ts";
import { ladder1Of, ladderOf, SourceDouble, TENANT } from "./downlink-world.ts";

const byVersion = new Map<number, Ladder>([0, 1, 2, 7].map((v) => [v, ladderOf(v)]));

describe("down frames in parts", () => {
  test("are wire's own down frame, for every ladder, base and watermark", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...byVersion.values()),
        fc.integer({ min: 0, max: 9 }),
        fc.option(fc.record({ epoch: fc.integer({ min: 1, max: 2 ** 40 }), seq: fc.nat(2 ** 30) })),
        (ladder, base, applied) => {
          const held = holdLadder({ ladder, ladder1: null }, 0);
          const { head, body } = downParts(held, { base, applied, minor: 1, part: 1 });
          const whole = downFrame(ladder, { base, applied });
          expect(Buffer.concat([head, body])).toEqual(Buffer.from(whole));
        },
      ),
    );
  });

  test("share one body among all devices at a base", () => {
    const held = holdLadder({ ladder: ladderOf(7), ladder1: null }, 0);
    const told = { base: 6, minor: 0, part: 1 };
    const [one, two] = [1, 2].map((seq) =>
      downParts(held, { ...told, applied: { epoch: 1, seq } }),
    );
    expect(one?.body).toBe(two?.body);
    expect(one?.head).not.toEqual(two?.head);
    expect(one?.kind).toBe("release-delta");
    const snapshot = downParts(held, { ...told, base: 0, applied: null });
    expect(snapshot.body).toBe(held.full.ladder.snapshot.bytes);
    expect(downParts(held, { ...told, base: 7, applied: null }).kind).toBe("watermark");
  });

  test("rendition 1 is for devices of minor 1 and later: wire's own frames, part by part", () => {
    const full = { ladder: ladderOf(7), ladder1: ladder1Of(7) };
    const held = holdLadder(full, 0);
    const applied = { epoch: 3, seq: 4 };
    for (const base of [0, 2, 5, 6, 7, 9]) {
      for (const minor of [1, 2]) {
        const wanted = downFrames1(full.ladder1, { base, applied });
        expect(held.newest.parts({ base, minor })).toBe(wanted.length);
        const sent = wanted.map((_, index) => {
          const { head, body } = downParts(held, { base, minor, applied, part: index + 1 });
          return Buffer.concat([head, body]);
        });
        expect(sent).toEqual(wanted.map((frame) => Buffer.from(frame)));
      }
      expect(held.newest.parts({ base, minor: 0 })).toBe(1);
      const { head, body } = downParts(held, { base, minor: 0, applied, part: 1 });
      expect(Buffer.concat([head, body])).toEqual(
        Buffer.from(downFrame(full.ladder, { base, applied })),
      );
    }
    const [one, two] = [1, 2].map(
      (seq) => downParts(held, { base: 6, minor: 1, applied: { epoch: 1, seq }, part: 2 }).body,
    );
    expect(one).toBe(two);
  });
});

test("a PUBLISH head and its payload are what mqtt-packet would write", () => {
  fc.assert(
    fc.property(
      fc.record({
        topic: fc.stringMatching(/^[a-zA-Z0-9_/-]{1,120}$/),
        qos: fc.constantFrom(0 as const, 1 as const),
        dup: fc.boolean(),
        retain: fc.boolean(),
        messageId: fc.integer({ min: 1, max: 65_535 }),
        own: fc.uint8Array({ maxLength: 200 }),
        moreBytes: fc.oneof(fc.nat(300), fc.constantFrom(16_200, 16_384, 65_536)),
      }),
      ({ own, moreBytes, ...head }) => {
        const more = Buffer.alloc(moreBytes, 7);
        const payload = Buffer.concat([own, more]);
        const dup = head.qos === 1 && head.dup;
        const start = publishHead({ ...head, dup }, head.topic, own, moreBytes);
        const ours = Buffer.concat([start, more]);
        const theirs = mqttPacket.generate({ cmd: "publish", ...head, dup, payload });
        expect(ours.equals(theirs)).toBe(true);
      },
    ),
  );
  const longest = { qos: 1, dup: false, retain: false, messageId: 1 } as const;
  const none = new Uint8Array(0);
  expect(() => publishHead(longest, "a", none, 2 ** 28)).toThrow(/four bytes/);
  expect(() => publishHead({ ...longest, messageId: 0 }, "a", none, 1)).toThrow();
});

describe("ladders", () => {
  function setUp() {
    const clock = manualClock();
    const source = new SourceDouble();
    const reach = new Reach({ source, clock, timeoutMs: 5_000 });
    return { clock, source, reach, ladders: new Ladders({ source: reach, clock }) };
  }

  test("a thousand who ask at once are one load", async () => {
    const { source, ladders } = setUp();
    const held = await Promise.all(Array.from({ length: 1_000 }, () => ladders.get(TENANT)));
    expect(source.ladderCalls).toBe(1);
    expect(new Set(held).size).toBe(1);
    await ladders.get(TENANT);
    expect(source.ladderCalls).toBe(1);
  });

  test("a refresh asked for during a load is one more load after it, whoever asks", async () => {
    const { source, ladders } = setUp();
    let open = () => {};
    source.gate = new Promise((resolve) => {
      open = resolve;
    });
    const first = ladders.get(TENANT);
    const refreshes = Array.from({ length: 50 }, () => ladders.refresh(TENANT));
    open();
    expect((await first).version).toBe(0);
    source.release(ladderOf(3));
    const versions = (await Promise.all(refreshes)).map(({ version }) => version);
    expect(new Set(versions)).toEqual(new Set([3]));
    expect(source.ladderCalls).toBe(2);
  });

  test("P5: an older ladder never replaces a newer one", async () => {
    const { source, ladders } = setUp();
    source.release(ladderOf(5));
    await ladders.refresh(TENANT);
    source.release(ladderOf(4));
    expect((await ladders.refresh(TENANT)).version).toBe(5);
    expect(ladders.current(TENANT)?.version).toBe(5);
  });

  test("P8: a device that claims a version from the future makes us look at most once a second", async () => {
    const { clock, source, ladders } = setUp();
    await ladders.get(TENANT);
    for (let count = 0; count < 100; count += 1) {
      await ladders.get(TENANT, 2 ** 40);
      await clock.advance(100);
    }
    expect(source.ladderCalls).toBeGreaterThan(5);
    expect(source.ladderCalls).toBeLessThanOrEqual(11);
  });

  test("a frozen source is a TimeoutError, and the next call asks again", async () => {
    const { clock, source, reach, ladders } = setUp();
    source.gate = new Promise(() => {});
    const frozen = ladders.get(TENANT);
    const refused = expect(frozen).rejects.toMatchObject({
      code: "Timeout",
      reason: "ladder.timeout",
    });
    await clock.advance(5_000);
    await refused;
    expect(reach.failing).toBe(TENANT);
    source.gate = null;
    expect((await ladders.get(TENANT)).version).toBe(0);
    expect(reach.failing).toBeNull();
    expect(clock.pending).toBe(0);
  });

  test("a tenant that is forgotten is loaded again", async () => {
    const { source, ladders } = setUp();
    await ladders.get(TENANT);
    ladders.forget(TENANT);
    expect(ladders.current(TENANT)).toBeUndefined();
    await ladders.get(TENANT);
    expect(source.ladderCalls).toBe(2);
  });
});
