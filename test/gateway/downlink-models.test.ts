import { afterEach, describe, expect, test } from "vitest";
import { Models } from "../../gateway/models.ts";
import { limits, seededRandom } from "../../src/core/index.ts";
import { silentLogger } from "../../src/observe/index.ts";
import { readModelFrame } from "../../src/wire/index.ts";
import { manualClock } from "../support/manual-clock.ts";
import { waitFor } from "../support/wait.ts";
import {
  headerOf,
  keyOf,
  ladderOf,
  type RawDevice,
  SourceDouble,
  startWorld,
  TENANT,
  type World,
} from "./downlink-world.ts";

/** As large as a model of 384 dimensions, and as incompressible. */
function modelOf(version: number, bytes = 150_000): Uint8Array {
  const random = seededRandom(version);
  return Uint8Array.from({ length: bytes }, () => Math.floor(random.next() * 256));
}

async function nextModel(device: RawDevice) {
  const packet = await device.nextPublish();
  return { packet, ...readModelFrame(packet.payload as Buffer) };
}

describe("the retained message of a codec topic", () => {
  let world: World;
  afterEach(() => world.close());

  const holding = async (versions: number[], ...options: Parameters<typeof startWorld>) => {
    world = await startWorld(...options);
    for (const version of versions) {
      world.source.models.set(`omega/v1/${TENANT}/codec/${version}`, modelOf(version));
    }
  };

  test("is the model, whole, retained, with the QoS granted", async () => {
    await holding([7]);
    const device = await world.device("tv");
    expect(await device.subscribe(device.codec(7))).toEqual([1]);
    const { packet, version, model } = await nextModel(device);
    expect(packet).toMatchObject({ topic: device.codec(7), qos: 1, retain: true, dup: false });
    expect(version).toBe(7);
    expect(Buffer.compare(model, modelOf(7))).toBe(0);
    await device.subscribe({ topic: device.codec(7), qos: 0 });
    expect((await nextModel(device)).packet).toMatchObject({ qos: 0, retain: true });
  });

  test("is nothing when there is no such model, and the answer is remembered for a while", async () => {
    const clock = manualClock();
    await holding([], { clock, limits: { modelAbsentMs: 5_000 } });
    const device = await world.device("tv");
    for (let count = 0; count < 3; count += 1) {
      expect(await device.subscribe(device.codec(9))).toEqual([1]);
      await device.ping();
    }
    expect(device.received).toEqual([]);
    expect(world.source.modelCalls).toEqual([device.codec(9)]);
    world.source.models.set(device.codec(9), modelOf(9));
    await clock.advance(5_000);
    await device.subscribe(device.codec(9));
    expect((await nextModel(device)).version).toBe(9);
  });

  test("is loaded once for many devices", async () => {
    await holding([3], { limits: { modelBytesPerS: 1e9 } });
    const devices = await Promise.all(
      Array.from({ length: 12 }, (_, index) => world.device(`tv-${index}`)),
    );
    await Promise.all(devices.map((device) => device.subscribe(device.codec(3))));
    for (const device of devices) expect((await nextModel(device)).version).toBe(3);
    expect(world.source.modelCalls).toHaveLength(1);
  });

  test("waits for a source that is down, and comes when it is back", async () => {
    await holding([3]);
    world.source.failure = new Error("connection refused");
    const device = await world.device("tv");
    await device.subscribe(device.codec(3));
    await waitFor(() => world.source.modelCalls.length >= 2, { what: "a second attempt" });
    world.source.failure = null;
    expect((await nextModel(device)).version).toBe(3);
  });

  test("several come one after the other, each after the PUBACK of the one before", async () => {
    await holding([1, 2, 3]);
    const device = await world.device("tv", { acks: false });
    await device.subscribe(...[1, 2, 3].map((version) => device.codec(version)));
    const seen: number[] = [];
    for (let count = 0; count < 3; count += 1) {
      const { packet, version } = await nextModel(device);
      seen.push(version);
      await device.ping();
      expect(device.received).toEqual([]);
      device.ack(packet);
    }
    expect(seen.sort()).toEqual([1, 2, 3]);
  });

  test("one that was given back before its turn is not sent", async () => {
    await holding([1, 2]);
    const device = await world.device("tv", { acks: false });
    await device.subscribe(device.codec(1), device.codec(2));
    const { packet, version } = await nextModel(device);
    const other = version === 1 ? 2 : 1;
    await device.unsubscribe(device.codec(other));
    device.ack(packet);
    await device.ping();
    await device.ping();
    expect(device.received).toEqual([]);
  });

  test("does not hold up releases, nor do they hold it up", async () => {
    await holding([1]);
    world.source.release(ladderOf(1, 700, 64));
    const device = await world.device("tv", { acks: false });
    await device.subscribe(device.codec(1));
    const { packet } = await nextModel(device);
    await device.subscribe(device.topic("down"));
    const down = await device.nextDown();
    expect(headerOf(down)).toMatchObject({ version: 1 });
    await device.subscribe(device.codec(1));
    device.ack(packet);
    expect((await nextModel(device)).version).toBe(1);
    expect(device.closed).toBe(false);
  });

  test("goes out at a pace of its own, and every device waits its turn", async () => {
    const clock = manualClock();
    await holding([1], { clock, limits: { modelBytesPerS: 2 * 150_022 } });
    const devices = await Promise.all(
      Array.from({ length: 12 }, (_, index) => world.device(`tv-${index}`)),
    );
    for (const device of devices) await device.subscribe(device.codec(1));
    const served = () =>
      devices.filter((device) => device.received.some(({ cmd }) => cmd === "publish")).length;
    await waitFor(() => served() === 7, { what: "the burst" });
    await Promise.all(devices.map((device) => device.ping()));
    expect(served()).toBe(7);
    await clock.advance(1_000);
    await waitFor(() => served() === 9, { what: "two a second" });
    await clock.advance(2_000);
    await waitFor(() => served() === 12, { what: "the rest" });
  });

  test("THREATS 17: a device that takes no model in its time is cut; the others get theirs", async () => {
    const clock = manualClock();
    await holding([1], { clock, limits: { ackMsMax: 10_000 } });
    const frozen = await world.device("frozen", { acks: false });
    await frozen.subscribe(frozen.codec(1));
    await frozen.nextPublish();
    const device = await world.device("tv");
    await device.subscribe(device.codec(1));
    expect((await nextModel(device)).version).toBe(1);
    await device.ping();
    // 150,000 bytes are three times the largest down frame's share of the time.
    await clock.advance(29_999);
    await frozen.ping();
    await clock.advance(1);
    await frozen.untilClosed();
    expect(device.closed).toBe(false);
    expect(await world.metrics()).toContain('slow_readers_total{reason="deadline"} 1');
  });

  test("another tenant's is refused, and a device that left is not served", async () => {
    await holding([1]);
    const device = await world.device("tv");
    expect(await device.subscribe("omega/v1/other/codec/1", "omega/v1/acme/codec/+")).toEqual([
      128, 128,
    ]);
    let open = () => {};
    world.source.gate = new Promise((resolve) => {
      open = resolve;
    });
    await device.subscribe(device.codec(1));
    device.drop();
    await waitFor(async () => (await world.metrics()).includes("downlinks_count 0"));
    open();
    const other = await world.device("other");
    await other.subscribe(other.codec(1));
    expect((await nextModel(other)).version).toBe(1);
    expect(await world.metrics()).toContain('down_frames_total{kind="model"} 1');
  });
});

describe("models at hand", () => {
  const setUp = (countMax = 2) => {
    const source = new SourceDouble();
    const clock = manualClock();
    const shared = { source, clock, log: silentLogger };
    const models = new Models({ ...shared, countMax, absentMs: 1_000 });
    const put = (version: number, bytes?: number) =>
      source.models.set(`omega/v1/${TENANT}/codec/${version}`, modelOf(version, bytes ?? 100));
    const get = (version: number) => models.get({ tenant: keyOf("tv").tenant, version });
    return { source, clock, put, get };
  };

  test("P8: are few, and the one used longest ago makes room", async () => {
    const { source, put, get } = setUp();
    for (const version of [1, 2, 3]) put(version);
    await get(1);
    await get(2);
    await get(1);
    await get(3);
    expect(source.modelCalls).toHaveLength(3);
    await get(1);
    expect(source.modelCalls).toHaveLength(3);
    await get(2);
    expect(source.modelCalls).toHaveLength(4);
  });

  test("P8: absences are remembered in bounded number", async () => {
    const { source, get } = setUp();
    for (let version = 1; version <= 300; version += 1) expect(await get(version)).toBeNull();
    expect(source.modelCalls).toHaveLength(300);
    await get(300);
    expect(source.modelCalls).toHaveLength(300);
    await get(1);
    expect(source.modelCalls).toHaveLength(301);
  });

  test("one that no frame can carry counts as absent instead of failing for ever", async () => {
    const { source, put, get } = setUp();
    put(1, limits.MODEL_FRAME_BYTES_MAX);
    expect(await get(1)).toBeNull();
    expect(await get(1)).toBeNull();
    expect(source.modelCalls).toHaveLength(1);
  });

  test("a load that failed is tried again by the next who asks", async () => {
    const { source, put, get } = setUp();
    put(1);
    source.failure = new Error("down");
    await expect(get(1)).rejects.toThrow("down");
    source.failure = null;
    expect(await get(1)).not.toBeNull();
  });
});
