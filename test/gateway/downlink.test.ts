import type { IPublishPacket } from "mqtt-packet";
import { afterEach, describe, expect, test } from "vitest";
import { DEFAULT_DOWNLINK_LIMITS, downlinkLimits } from "../../gateway/downlink-limits.ts";
import { waitFor } from "../support/wait.ts";
import {
  headerOf,
  ladder1Of,
  ladderOf,
  problemAt,
  problemsIn,
  releaseIn,
  releaseOf,
  startWorld,
  type World,
} from "./downlink-world.ts";

let world: World;
afterEach(() => world.close());

describe("the retained message of a device's down topic", () => {
  test("is the empty release when there is none yet", async () => {
    world = await startWorld();
    const device = await world.device("tv");
    expect(await device.subscribe(device.topic("down"))).toEqual([1]);
    const packet = await device.nextDown();
    expect(packet).toMatchObject({ qos: 1, retain: true, dup: false });
    expect(headerOf(packet)).toMatchObject({ kind: "snapshot", version: 0, applied: null });
    expect(releaseIn(packet)).toEqual({ version: 0, dim: 8, patterns: [], trends: [] });
  });

  test("is a snapshot for a device that holds nothing", async () => {
    world = await startWorld();
    world.source.release(ladderOf(5));
    const device = await world.device("tv");
    await device.subscribe(device.topic("down"));
    expect(releaseIn(await device.nextDown())).toEqual(releaseOf(5));
  });

  test("is a difference for a device whose base is a rung", async () => {
    world = await startWorld();
    world.source.release(ladderOf(5));
    world.source.setView("tv", { base: 4, applied: { epoch: 3, seq: 9 } });
    const device = await world.device("tv");
    await device.subscribe(device.topic("down"));
    const packet = await device.nextDown();
    expect(headerOf(packet)).toMatchObject({
      kind: "release-delta",
      base: 4,
      version: 5,
      applied: { epoch: 3, seq: 9 },
    });
    expect(releaseIn(packet, releaseOf(4))).toEqual(releaseOf(5));
  });

  test("P6: is the watermark alone for a device that is up to date", async () => {
    world = await startWorld();
    world.source.release(ladderOf(5));
    world.source.setView("tv", { base: 5, applied: { epoch: 3, seq: 10 } });
    const device = await world.device("tv");
    await device.subscribe(device.topic("down"));
    const packet = await device.nextDown();
    expect(packet.payload.length).toBeLessThan(64);
    expect(headerOf(packet)).toMatchObject({ base: 5, version: 5, applied: { epoch: 3, seq: 10 } });
    expect(releaseIn(packet, releaseOf(5))).toEqual(releaseOf(5));
  });

  test("is a snapshot for a device whose base has left the ladder", async () => {
    world = await startWorld();
    world.source.release(ladderOf(9));
    world.source.setView("tv", { base: 2 });
    const device = await world.device("tv");
    await device.subscribe(device.topic("down"));
    expect(headerOf(await device.nextDown()).kind).toBe("snapshot");
  });

  test("comes again with every SUBSCRIBE [MQTT-3.8.4-3]", async () => {
    world = await startWorld();
    world.source.release(ladderOf(5));
    const device = await world.device("tv");
    await device.subscribe(device.topic("down"));
    await device.nextDown();
    await device.subscribe(device.topic("down"));
    const again = await device.nextDown();
    expect(again.retain).toBe(true);
    // Meanwhile its PUBACK has shown that it holds version 5.
    expect(headerOf(again)).toMatchObject({ kind: "release-delta", base: 5, version: 5 });
  });

  test("costs one look-up by key, however many devices there are", async () => {
    world = await startWorld();
    world.source.release(ladderOf(5));
    for (let index = 0; index < 10_000; index += 1) {
      world.source.setView(`tv-${index}`, { base: 4 });
    }
    const device = await world.device("tv-77");
    await device.subscribe(device.topic("down"));
    await device.nextDown();
    expect(world.source.viewCalls).toEqual([["acme/tv-77"]]);
    expect(world.source.ladderCalls).toBe(1);
  });

  test("needs one round trip for many devices that return together", async () => {
    world = await startWorld({ limits: { parallelCountMax: 1 } });
    world.source.release(ladderOf(5));
    const devices = await Promise.all(
      Array.from({ length: 40 }, (_, index) => world.device(`tv-${index}`)),
    );
    let open = () => {};
    world.source.gate = new Promise((resolve) => {
      open = resolve;
    });
    await Promise.all(devices.map((device) => device.subscribe(device.topic("down"))));
    open();
    await Promise.all(devices.map((device) => device.nextDown()));
    expect(world.source.viewCalls.length).toBeLessThanOrEqual(3);
    expect(world.source.ladderCalls).toBe(1);
  });

  test("with QoS 0 comes with QoS 0, again and again", async () => {
    world = await startWorld();
    const device = await world.device("tv");
    expect(await device.subscribe({ topic: device.topic("down"), qos: 0 })).toEqual([0]);
    expect(await device.nextDown()).toMatchObject({ qos: 0, retain: true });
    world.source.release(ladderOf(1));
    expect(headerOf(await device.nextDown())).toMatchObject({ kind: "snapshot", version: 1 });
    world.source.release(ladderOf(2));
    expect(headerOf(await device.nextDown())).toMatchObject({ base: 1, version: 2 });
  });

  test("waits for a source that is down, and comes when it is back", async () => {
    world = await startWorld();
    world.source.failure = new Error("connection refused");
    const device = await world.device("tv");
    await device.subscribe(device.topic("down"));
    await waitFor(() => world.source.viewCalls.length >= 2, { what: "a second attempt" });
    expect(world.downlink.reachable).toBe(false);
    world.source.failure = null;
    expect(headerOf(await device.nextDown()).kind).toBe("snapshot");
    expect(world.downlink.reachable).toBe(true);
  });

  test("a source that failed and recovered with nobody connected is reachable again", async () => {
    world = await startWorld({ limits: { pollMs: 20 } });
    world.source.failure = new Error("connection refused");
    const device = await world.device("tv");
    await device.subscribe(device.topic("down"));
    await waitFor(() => !world.downlink.reachable);
    device.drop();
    world.source.failure = null;
    await waitFor(() => world.downlink.reachable);
  });

  test("comes although one view of the same batch cannot be encoded", async () => {
    world = await startWorld({ limits: { parallelCountMax: 1 } });
    world.source.setView("broken", { problems: [{ ...problemAt(1), reason: "Not A Reason" }] });
    const broken = await world.device("broken");
    const device = await world.device("tv");
    await broken.subscribe(broken.topic("err"), broken.topic("down"));
    await device.subscribe(device.topic("down"));
    await device.nextDown();
  });
});

describe("who gets what", () => {
  test("a device gets its own topic only; refused filters are answered 0x80 and deliver nothing", async () => {
    world = await startWorld();
    const device = await world.device("tv");
    const other = await world.device("other");
    expect(
      await device.subscribe(
        other.topic("down"),
        device.topic("down"),
        "omega/#",
        device.topic("up"),
      ),
    ).toEqual([128, 1, 128, 128]);
    await device.nextDown();
    await other.subscribe(other.topic("down"));
    await other.nextDown();
    world.source.release(ladderOf(1));
    await other.nextDown();
    expect((await device.nextPublish()).topic).toBe(device.topic("down"));
    await device.ping();
    expect(device.received).toEqual([]);
  });

  test("a device whose own topic is refused gets nothing", async () => {
    world = await startWorld();
    const device = await world.device("banned");
    expect(await device.subscribe(device.topic("down"))).toEqual([128]);
    await device.pull(0);
    await device.ping();
    expect(device.received).toEqual([]);
    expect(world.source.viewCalls).toEqual([]);
  });

  test("a device that does not subscribe gets nothing, and one that unsubscribes gets no more", async () => {
    world = await startWorld();
    const silent = await world.device("silent");
    const leaver = await world.device("leaver");
    const witness = await world.device("witness");
    await leaver.subscribe(leaver.topic("down"), leaver.topic("err"));
    await leaver.nextDown();
    await leaver.unsubscribe(leaver.topic("down"), leaver.topic("err"));
    await witness.subscribe(witness.topic("down"));
    await witness.nextDown();
    world.source.setView("leaver", { problems: [problemAt(1)] });
    world.source.notifyProblems("leaver");
    await silent.pull(0);
    await leaver.pull(0);
    world.source.release(ladderOf(1));
    await witness.nextDown();
    await Promise.all([silent.ping(), leaver.ping()]);
    expect(silent.received).toEqual([]);
    expect(leaver.received).toEqual([]);
  });

  test("a takeover leaves exactly one connection that is served", async () => {
    world = await startWorld();
    const former = await world.device("tv");
    await former.subscribe(former.topic("down"));
    await former.nextDown();
    const device = await world.device("tv");
    await former.untilClosed();
    await device.subscribe(device.topic("down"));
    await device.nextDown();
    world.source.release(ladderOf(1));
    expect(headerOf(await device.nextDown())).toMatchObject({ version: 1 });
    expect(await world.metrics()).toContain("omega_gateway_downlinks_count 1");
  });
});

describe("pull", () => {
  test("a device with the wrong base pulls and gets a snapshot", async () => {
    world = await startWorld();
    world.source.release(ladderOf(5));
    world.source.setView("tv", { base: 4 });
    const device = await world.device("tv");
    await device.subscribe(device.topic("down"));
    // The device was wiped: it cannot use a difference to version 4.
    const unusable = await device.nextDown();
    expect(() => releaseIn(unusable, null)).toThrow();
    await device.pull(0);
    const packet = await device.nextDown();
    expect(packet.retain).toBe(false);
    expect(releaseIn(packet)).toEqual(releaseOf(5));
  });

  test("the base stated in a pull outlives the PUBACK of a frame sent before it", async () => {
    world = await startWorld();
    world.source.release(ladderOf(5));
    world.source.setView("tv", { base: 4 });
    const device = await world.device("tv", { acks: false });
    await device.subscribe(device.topic("down"));
    const unusable = await device.nextDown();
    await device.pull(0);
    device.ack(unusable);
    const packet = await device.nextDown();
    expect(headerOf(packet).kind).toBe("snapshot");
    device.ack(packet);
    world.source.release(ladderOf(6));
    expect(headerOf(await device.nextDown())).toMatchObject({ kind: "release-delta", base: 5 });
  });

  test("many pulls while one frame is in flight are one answer", async () => {
    world = await startWorld();
    world.source.release(ladderOf(5));
    const device = await world.device("tv", { acks: false });
    await device.subscribe(device.topic("down"));
    const first = await device.nextDown();
    for (let count = 0; count < 20; count += 1) await device.pull(4);
    device.ack(first);
    const answer = await device.nextDown();
    expect(headerOf(answer)).toMatchObject({ base: 4, version: 5 });
    device.ack(answer);
    await device.ping();
    await device.ping();
    expect(device.received).toEqual([]);
  });
});

describe("rendition 1", () => {
  /** A device that said what it holds and reads before it listened, as ours do. */
  async function listening(base: number, options: { acks?: boolean } = {}) {
    const device = await world.device("tv", options);
    await device.pull(base, 1);
    await device.subscribe(device.topic("down"));
    return device;
  }
  const partOf = (packet: IPublishPacket) => {
    const header = headerOf(packet);
    return "part" in header ? header.part : undefined;
  };

  test("is what a device retains that pulled with minor 1 before it subscribed, a few parts at a time", async () => {
    world = await startWorld();
    world.source.release(ladderOf(5), { ladder1: ladder1Of(5, 5) });
    // The store knows an older base: what the device says itself counts.
    world.source.setView("tv", { base: 3, applied: { epoch: 3, seq: 9 } });
    const device = await listening(4, { acks: false });
    for (const together of [
      [1, 2, 3],
      [4, 5],
    ]) {
      const packets: IPublishPacket[] = [];
      for (const n of together) {
        const packet = await device.nextDown();
        packets.push(packet);
        expect(packet).toMatchObject({ retain: true, qos: 1 });
        expect(headerOf(packet)).toMatchObject({
          kind: "release-delta",
          base: 4,
          version: 5,
          codec: 1,
          model: 7,
          applied: { epoch: 3, seq: 9 },
          part: { n, of: 5 },
        });
      }
      for (const packet of packets) {
        await device.ping();
        expect(device.received, "each of them has its PUBACK first").toEqual([]);
        device.ack(packet);
      }
    }
    await device.ping();
    expect(device.received).toEqual([]);
    world.source.release(ladderOf(6), { ladder1: ladder1Of(6) });
    expect(headerOf(await device.nextDown())).toMatchObject({ base: 5, version: 6 });
  });

  test("is not for a device that names no minor, whatever its neighbours read", async () => {
    world = await startWorld();
    world.source.release(ladderOf(5), { ladder1: ladder1Of(5) });
    const old = await world.device("old");
    await old.pull(0);
    await old.subscribe(old.topic("down"));
    const device = await listening(0);
    expect(releaseIn(await old.nextDown())).toEqual(releaseOf(5));
    expect(headerOf(await device.nextDown())).toMatchObject({ codec: 1, kind: "snapshot" });
  });

  test("gives way to rendition 0 when the release has none", async () => {
    world = await startWorld();
    world.source.release(ladderOf(5));
    const device = await listening(4);
    expect(headerOf(await device.nextDown())).toMatchObject({ codec: 0, base: 4 });
  });

  test("P5: a newer release between parts starts over at part 1 from what is held", async () => {
    world = await startWorld();
    world.source.release(ladderOf(5), { ladder1: ladder1Of(5, 4) });
    const device = await listening(4, { acks: false });
    const old = [await device.nextDown(), await device.nextDown(), await device.nextDown()];
    expect(old.map(partOf)).toEqual([1, 2, 3].map((n) => ({ n, of: 4 })));
    const witness = await world.device("witness");
    await witness.subscribe(witness.topic("down"));
    await witness.nextDown();
    world.source.release(ladderOf(6), { ladder1: ladder1Of(6) });
    await witness.nextDown();
    for (const packet of old) device.ack(packet);
    for (const n of [1, 2]) {
      const packet = await device.nextDown();
      expect(headerOf(packet)).toMatchObject({ base: 4, version: 6, part: { n, of: 2 } });
      device.ack(packet);
    }
    await device.ping();
    expect(device.received).toEqual([]);
  });

  test("P6: the next parts say what those before said, and pass no refusal that has not left", async () => {
    world = await startWorld();
    world.source.release(ladderOf(5), { ladder1: ladder1Of(5, 4) });
    const device = await world.device("tv", { acks: false });
    await device.pull(4, 1);
    await device.subscribe(device.topic("err"), device.topic("down"));
    const first = [await device.nextDown(), await device.nextDown(), await device.nextDown()];
    const views = world.source.viewCalls.length;
    world.source.setView("tv", { applied: { epoch: 1, seq: 3 }, problems: [problemAt(3)] });
    for (const packet of first) device.ack(packet);
    const last = await device.nextDown();
    expect(headerOf(last)).toMatchObject({ part: { n: 4, of: 4 }, applied: null });
    expect(world.source.viewCalls.length).toBe(views);
    world.source.notifyProblems("tv");
    const refusal = await device.nextPublish();
    expect(refusal.topic).toBe(device.topic("err"));
    device.ack(last);
    const newer = await device.nextDown();
    expect(headerOf(newer)).toMatchObject({ base: 5, applied: { epoch: 1, seq: 3 } });
  });

  test("a clean=0 session remembers what its device reads", async () => {
    world = await startWorld();
    world.source.release(ladderOf(5), { ladder1: ladder1Of(5) });
    const before = await world.device("tv", { clean: false, acks: false });
    await before.pull(4, 1);
    await before.subscribe(before.topic("down"));
    const sent = await before.nextDown();
    before.drop();
    await waitFor(async () => (await world.metrics()).includes("downlinks_count 0"));
    const device = await world.device("tv", { clean: false });
    const again = await device.nextDown();
    expect(again).toMatchObject({ dup: true, messageId: sent.messageId });
    expect(again.payload).toEqual(sent.payload);
  });
});

describe("a new release", () => {
  test("reaches every subscriber once, as a difference to what it acknowledged", async () => {
    world = await startWorld();
    world.source.release(ladderOf(1));
    const devices = await Promise.all(
      Array.from({ length: 10 }, (_, index) => world.device(`tv-${index}`)),
    );
    for (const device of devices) {
      await device.subscribe(device.topic("down"));
      await device.nextDown();
    }
    world.source.release(ladderOf(2));
    for (const device of devices) {
      const packet = await device.nextDown();
      expect(packet.retain).toBe(false);
      expect(headerOf(packet)).toMatchObject({ kind: "release-delta", base: 1, version: 2 });
      expect(releaseIn(packet, releaseOf(1))).toEqual(releaseOf(2));
    }
    await Promise.all(devices.map((device) => device.ping()));
    expect(devices.flatMap((device) => device.received)).toEqual([]);
  });

  test("P5: replaces those that wait: one frame in flight, then the newest, never an older", async () => {
    world = await startWorld();
    world.source.release(ladderOf(1));
    const device = await world.device("tv", { acks: false });
    await device.subscribe(device.topic("down"));
    const first = await device.nextDown();
    const witness = await world.device("witness");
    await witness.subscribe(witness.topic("down"));
    await witness.nextDown();
    for (const version of [2, 3, 4]) {
      world.source.release(ladderOf(version));
      expect(headerOf(await witness.nextDown())).toMatchObject({ version });
    }
    await device.ping();
    expect(device.received).toEqual([]);
    device.ack(first);
    const newest = await device.nextDown();
    expect(headerOf(newest)).toMatchObject({ version: 4 });
    device.ack(newest);
    await device.ping();
    expect(device.received).toEqual([]);
  });

  test("is found by polling when its notice was lost", async () => {
    world = await startWorld({ limits: { pollMs: 20 } });
    const device = await world.device("tv");
    await device.subscribe(device.topic("down"));
    await device.nextDown();
    world.source.release(ladderOf(1), { silently: true });
    expect(headerOf(await device.nextDown())).toMatchObject({ version: 1 });
  });

  test("P6: a watermark that moved without a release comes with the slow refresh", async () => {
    world = await startWorld({ limits: { refreshMs: 20 } });
    const device = await world.device("tv");
    await device.subscribe(device.topic("down"));
    await device.nextDown();
    world.source.setView("tv", { applied: { epoch: 1, seq: 4 } });
    expect(headerOf(await device.nextDown())).toMatchObject({ applied: { epoch: 1, seq: 4 } });
  });
});

describe("refusals", () => {
  test("P6: a refusal arrives before the watermark that passes it, on SUBSCRIBE", async () => {
    world = await startWorld();
    world.source.setView("tv", { applied: { epoch: 1, seq: 2 }, problems: [problemAt(2)] });
    const device = await world.device("tv");
    await device.subscribe(device.topic("down"), device.topic("err"));
    const first = await device.nextPublish();
    expect(first).toMatchObject({ topic: device.topic("err"), retain: true, qos: 1 });
    expect(problemsIn(first)).toEqual([problemAt(2)]);
    expect(headerOf(await device.nextDown())).toMatchObject({ applied: { epoch: 1, seq: 2 } });
  });

  test("P6: a refusal arrives before the watermark that passes it, on notification", async () => {
    world = await startWorld();
    const device = await world.device("tv");
    await device.subscribe(device.topic("err"), device.topic("down"));
    await device.nextDown();
    world.source.setView("tv", { applied: { epoch: 1, seq: 7 }, problems: [problemAt(7)] });
    world.source.notifyProblems("tv");
    const refusal = await device.nextPublish();
    expect(refusal).toMatchObject({ topic: device.topic("err"), retain: false });
    expect(headerOf(await device.nextDown())).toMatchObject({ applied: { epoch: 1, seq: 7 } });
  });

  test("P6: while a refusal is not acknowledged, the next one holds the watermark back", async () => {
    world = await startWorld();
    world.source.setView("tv", { applied: { epoch: 1, seq: 1 }, problems: [problemAt(1)] });
    const device = await world.device("tv", { acks: false });
    await device.subscribe(device.topic("err"), device.topic("down"));
    const refusal = await device.nextPublish();
    device.ack(await device.nextDown());
    world.source.setView("tv", {
      applied: { epoch: 1, seq: 2 },
      problems: [problemAt(1), problemAt(2)],
    });
    world.source.notifyProblems("tv");
    world.source.release(ladderOf(1));
    await waitFor(() => world.source.viewCalls.length >= 3);
    await device.ping();
    expect(device.received).toEqual([]);
    device.ack(refusal);
    expect(problemsIn(await device.nextPublish())).toEqual([problemAt(2)]);
    expect(headerOf(await device.nextDown())).toMatchObject({ applied: { epoch: 1, seq: 2 } });
  });

  test("a refusal is told once per connection", async () => {
    world = await startWorld();
    world.source.setView("tv", { problems: [problemAt(1)] });
    const device = await world.device("tv");
    await device.subscribe(device.topic("err"), device.topic("down"));
    await device.nextPublish();
    await device.nextDown();
    world.source.notifyProblems("tv");
    world.source.release(ladderOf(1));
    expect((await device.nextPublish()).topic).toBe(device.topic("down"));
  });

  test("a device that listens to err alone gets refusals alone", async () => {
    world = await startWorld();
    world.source.release(ladderOf(3));
    const device = await world.device("tv");
    await device.subscribe(device.topic("err"));
    world.source.setView("tv", { problems: [problemAt(1)] });
    world.source.notifyProblems("tv");
    expect(problemsIn(await device.nextPublish())).toEqual([problemAt(1)]);
    await device.ping();
    expect(device.received).toEqual([]);
  });
});

test("limits that cannot be kept are all named at once", () => {
  const wrong = { chunkCount: 0, ackMsMax: Number.NaN, pollMs: 2 ** 31, bufferBytesMax: 1_000 };
  for (const name of Object.keys(wrong)) {
    expect(() => downlinkLimits(wrong)).toThrow(`downlinkLimits.${name} must be`);
  }
  expect(downlinkLimits()).toEqual(DEFAULT_DOWNLINK_LIMITS);
});
