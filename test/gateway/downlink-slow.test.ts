import { PassThrough } from "node:stream";
import type { Client } from "aedes";
import { afterEach, describe, expect, test } from "vitest";
import { type CutReason, Link } from "../../gateway/link.ts";
import { Subscriber } from "../../gateway/subscriber.ts";
import { type ManualClock, manualClock } from "../support/manual-clock.ts";
import { headerOf, keyOf, ladderOf, startWorld, type World } from "./downlink-world.ts";

describe("THREATS 17: a device that stops reading", () => {
  let world: World;
  let clock: ManualClock;
  afterEach(() => world.close());

  test("is cut after the deadline; the others get every release meanwhile, and it is served when it returns", async () => {
    clock = manualClock();
    world = await startWorld({ clock, limits: { ackMsMax: 10_000 } });
    // 700 patterns of 64 dimensions: a snapshot of some 40 KB.
    world.source.release(ladderOf(1, 700, 64));
    const frozen = await world.device("frozen");
    const others = await Promise.all(
      Array.from({ length: 8 }, (_, index) => world.device(`tv-${index}`)),
    );
    for (const device of [frozen, ...others]) {
      await device.subscribe(device.topic("down"));
      await device.nextDown();
      await device.ping();
    }
    frozen.freeze();
    for (let version = 2; version <= 6; version += 1) {
      world.source.release(ladderOf(version, 700, 64));
      for (const device of others) {
        expect(headerOf(await device.nextDown())).toMatchObject({ version });
        await device.ping();
      }
    }
    expect(await world.metrics()).not.toContain("omega_gateway_slow_readers_total{");
    await clock.advance(10_000);
    expect(await world.metrics()).toContain(
      'omega_gateway_slow_readers_total{reason="deadline"} 1',
    );
    expect(others.some((device) => device.closed)).toBe(false);
    expect(await world.metrics()).toContain("omega_gateway_downlinks_count 8");
    const returned = await world.device("frozen");
    await returned.subscribe(returned.topic("down"));
    expect(headerOf(await returned.nextDown())).toMatchObject({ version: 6 });
  });

  test("a device that acknowledges in time is never cut", async () => {
    clock = manualClock();
    world = await startWorld({ clock, limits: { ackMsMax: 10_000 } });
    const device = await world.device("tv");
    await device.subscribe(device.topic("down"));
    for (let version = 1; version <= 5; version += 1) {
      await device.nextDown();
      await device.ping();
      await clock.advance(9_999);
      world.source.release(ladderOf(version));
    }
    await device.nextDown();
    await device.ping();
    await clock.advance(60_000);
    expect(device.closed).toBe(false);
  });
});

describe("a link", () => {
  function linkOver(conn: PassThrough, clock = manualClock()) {
    const cuts: CutReason[] = [];
    const client = { id: "acme/tv", conn, closed: false, close: () => conn.destroy() };
    const subscriber = new Subscriber(keyOf("tv"), false);
    const link = new Link({
      // A link reads `conn` and `closed` and calls `close`, nothing else of a client.
      client: client as unknown as Client,
      subscriber,
      clock,
      limits: { bufferBytesMax: 1_000, ackMsMax: 5_000 },
      onCut: (_link, reason) => cuts.push(reason),
      onFree: () => {},
    });
    subscriber.subscribed("down", 1);
    const [shipment] = subscriber.next(
      { base: 0, applied: null, problems: [] },
      { version: 1, parts: () => 1 },
    );
    if (shipment === undefined) throw new Error("a down frame was owed");
    const message = (bodyBytes: number) => {
      return { shipment, head: new Uint8Array(10), body: new Uint8Array(bodyBytes) };
    };
    return { link, cuts, message, clock };
  }

  test("whose socket holds too much unsent is cut at once instead of growing", () => {
    const conn = new PassThrough({ highWaterMark: 1 });
    conn.write(Buffer.alloc(700));
    conn.write(Buffer.alloc(700));
    const { link, cuts, message, clock } = linkOver(conn);
    const heldBytes = conn.writableLength;
    link.send([message(400)]);
    expect(cuts).toEqual(["buffer"]);
    expect(conn.destroyed).toBe(true);
    expect(conn.writableLength).toBeLessThanOrEqual(heldBytes);
    expect(clock.pending).toBe(0);
  });

  test("leaves no timer when it closes, and sends nothing after", () => {
    const conn = new PassThrough();
    const { link, message, clock } = linkOver(conn);
    link.send([message(10), message(10)]);
    expect(clock.pending).toBe(1);
    link.close();
    expect(clock.pending).toBe(0);
    const sentBytes = conn.readableLength;
    link.send([message(10)]);
    link.acknowledged(1);
    expect(conn.readableLength).toBe(sentBytes);
  });
});
