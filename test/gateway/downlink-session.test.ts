import { connectAsync } from "mqtt";
import { afterEach, describe, expect, test } from "vitest";
import { manualClock } from "../support/manual-clock.ts";
import { waitFor } from "../support/wait.ts";
import {
  headerOf,
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

/** Waits until the gateway has noticed that a dropped connection is gone. */
const untilGone = () =>
  waitFor(async () => (await world.metrics()).includes("omega_gateway_downlinks_count 0"));

describe("a session with clean=0", () => {
  test("[MQTT-4.4.0-1] redelivers a message without PUBACK: DUP, the same packet id, the same bytes", async () => {
    world = await startWorld();
    world.source.release(ladderOf(5));
    world.source.setView("tv", { base: 4, applied: { epoch: 2, seq: 3 } });
    const before = await world.device("tv", { clean: false, acks: false });
    await before.subscribe(before.topic("down"));
    const sent = await before.nextDown();
    before.drop();
    await untilGone();
    const device = await world.device("tv", { clean: false });
    expect(device.session).toBe(true);
    const again = await device.nextDown();
    expect(again).toMatchObject({ dup: true, retain: true, qos: 1, messageId: sent.messageId });
    expect(again.payload).toEqual(sent.payload);
    expect(headerOf(again)).toMatchObject({ base: 4, version: 5 });
    await device.ping();
    expect(device.received).toEqual([]);
  });

  test("redelivers the newest release instead when one was made meanwhile", async () => {
    world = await startWorld();
    world.source.release(ladderOf(5));
    world.source.setView("tv", { base: 4 });
    const before = await world.device("tv", { clean: false, acks: false });
    await before.subscribe(before.topic("down"));
    const sent = await before.nextDown();
    before.drop();
    await untilGone();
    world.source.release(ladderOf(6));
    const device = await world.device("tv", { clean: false });
    const again = await device.nextDown();
    expect(again).toMatchObject({ dup: true, messageId: sent.messageId });
    expect(releaseIn(again, releaseOf(4))).toEqual(releaseOf(6));
  });

  test("redelivers through any number of lost connections until the PUBACK comes", async () => {
    world = await startWorld();
    world.source.release(ladderOf(5));
    const first = await world.device("tv", { clean: false, acks: false });
    await first.subscribe(first.topic("down"));
    const sent = await first.nextDown();
    for (let count = 0; count < 3; count += 1) {
      const device = await world.device("tv", { clean: false, acks: false });
      expect(await device.nextDown()).toMatchObject({ dup: true, messageId: sent.messageId });
    }
    const last = await world.device("tv", { clean: false });
    expect(await last.nextDown()).toMatchObject({ dup: true, messageId: sent.messageId });
    await last.ping();
    last.drop();
    await untilGone();
    const after = await world.device("tv", { clean: false });
    expect(await after.nextDown()).toMatchObject({ dup: false, retain: false });
  });

  test("P6: a refusal without PUBACK comes again, before the down frame", async () => {
    world = await startWorld();
    world.source.setView("tv", { problems: [problemAt(4)], applied: { epoch: 1, seq: 4 } });
    const before = await world.device("tv", { clean: false, acks: false });
    await before.subscribe(before.topic("err"), before.topic("down"));
    const sent = [await before.nextPublish(), await before.nextPublish()];
    before.drop();
    await untilGone();
    const device = await world.device("tv", { clean: false });
    const again = [await device.nextPublish(), await device.nextPublish()];
    expect(again.map(({ topic }) => topic)).toEqual([device.topic("err"), device.topic("down")]);
    expect(again.map(({ messageId }) => messageId)).toEqual(sent.map(({ messageId }) => messageId));
    expect(again.every(({ dup }) => dup)).toBe(true);
    expect(problemsIn(again[0] ?? never())).toEqual([problemAt(4)]);
  });

  test("queues nothing for the absent: a hundred releases later one frame waits", async () => {
    world = await startWorld();
    world.source.release(ladderOf(1));
    const before = await world.device("tv", { clean: false });
    await before.subscribe(before.topic("down"));
    await before.nextDown();
    await before.ping();
    before.drop();
    await untilGone();
    for (let version = 2; version <= 100; version += 1) world.source.release(ladderOf(version));
    const lookedUp = world.source.viewCalls.length;
    const device = await world.device("tv", { clean: false });
    expect(releaseIn(await device.nextDown())).toEqual(releaseOf(100));
    await device.ping();
    expect(device.received).toEqual([]);
    expect(world.source.viewCalls.length).toBe(lookedUp + 1);
  });

  test("THREATS 7: a filter refused beside an own one is not restored", async () => {
    world = await startWorld();
    const attacker = await world.device("attacker", { clean: false });
    const victim = await world.device("victim");
    expect(
      await attacker.subscribe(attacker.topic("down"), victim.topic("down"), "omega/v1/acme/d/#"),
    ).toEqual([1, 128, 128]);
    await attacker.nextDown();
    await attacker.ping();
    attacker.drop();
    await victim.subscribe(victim.topic("down"));
    await victim.nextDown();
    const back = await world.device("attacker", { clean: false });
    expect(back.session).toBe(true);
    expect((await back.nextPublish()).topic).toBe(back.topic("down"));
    const filters = await world.downlink.persistence.subscriptionsByClient({ id: "acme/attacker" });
    expect(filters).toEqual([{ topic: back.topic("down"), qos: 1 }]);
    world.source.release(ladderOf(1));
    await victim.nextDown();
    expect((await back.nextPublish()).topic).toBe(back.topic("down"));
    await back.ping();
    expect(back.received).toEqual([]);
  });

  test("ends with UNSUBSCRIBE of its last topic and with a clean connection", async () => {
    world = await startWorld();
    const device = await world.device("tv", { clean: false });
    expect(device.session).toBe(false);
    await device.subscribe(device.topic("down"));
    await device.nextDown();
    await device.unsubscribe(device.topic("down"));
    device.drop();
    await untilGone();
    const second = await world.device("tv", { clean: false });
    expect(second.session).toBe(false);
    await second.subscribe(second.topic("down"));
    await second.nextDown();
    // Takes over the live session and ends it [MQTT-3.1.2-6].
    const clean = await world.device("tv", { clean: true });
    await second.untilClosed();
    clean.drop();
    await untilGone();
    expect((await world.device("tv", { clean: false })).session).toBe(false);
  });

  test("is forgotten after its time, and CONNACK says so", async () => {
    const clock = manualClock();
    world = await startWorld({ clock, limits: { sessionTtlMs: 1_000 } });
    const before = await world.device("tv", { clean: false });
    await before.subscribe(before.topic("down"));
    await before.nextDown();
    before.drop();
    await untilGone();
    await clock.advance(999);
    const device = await world.device("tv", { clean: false });
    expect(device.session).toBe(true);
    device.drop();
    await untilGone();
    await clock.advance(1_001);
    expect((await world.device("tv", { clean: false })).session).toBe(false);
  });

  test("gives way to newer ones when too many are kept", async () => {
    world = await startWorld({ limits: { sessionCountMax: 2 } });
    for (const id of ["a", "b", "c"]) {
      const device = await world.device(id, { clean: false });
      await device.subscribe(device.topic("down"));
      await device.nextDown();
      device.drop();
      await untilGone();
    }
    expect((await world.downlink.persistence.countOffline()).clientsCount).toBe(2);
    expect((await world.device("a", { clean: false })).session).toBe(false);
    expect((await world.device("c", { clean: false })).session).toBe(true);
  });

  test("CONNECT is answered although the source is frozen", async () => {
    world = await startWorld();
    const before = await world.device("tv", { clean: false, acks: false });
    await before.subscribe(before.topic("down"));
    await before.nextDown();
    before.drop();
    await untilGone();
    let thaw = () => {};
    world.source.gate = new Promise((resolve) => {
      thaw = resolve;
    });
    const device = await world.device("tv", { clean: false });
    expect(device.session).toBe(true);
    await device.ping();
    thaw();
    expect(await device.nextDown()).toMatchObject({ dup: true });
  });
});

test("mqtt.js: a client with clean=false gets the retained release, and the next one after a reconnect", async () => {
  world = await startWorld();
  world.source.release(ladderOf(1));
  const topic = "omega/v1/acme/d/tv/down";
  const client = await connectAsync(`mqtt://127.0.0.1:${world.port}`, {
    clientId: "tv",
    clean: false,
    reconnectPeriod: 1,
  });
  const versions: unknown[] = [];
  client.on("message", (_topic, payload, packet) => {
    versions.push(headerOf({ ...packet, payload }));
  });
  await client.subscribeAsync(topic, { qos: 1 });
  await waitFor(() => versions.length === 1);
  world.source.release(ladderOf(2), { silently: true });
  client.stream.destroy();
  await waitFor(() => versions.some((header) => JSON.stringify(header).includes('"version":2')));
  await client.endAsync();
  expect(versions[0]).toMatchObject({ kind: "snapshot", version: 1 });
});

function never(): never {
  throw new Error("a packet was expected");
}
