import { afterEach, describe, expect, it } from "vitest";
import { ForeignGateway, type ForeignGatewayOptions } from "../../../gateway/index.ts";
import { InvalidConfigError, TransportError } from "../../../src/core/index.ts";
import { codecTopicOf, encodePull, peekFrame, topicOf } from "../../../src/wire/index.ts";
import { waitFor } from "../../support/wait.ts";
import { keyOf, ladder1Of, ladderOf, SourceDouble, TENANT } from "../downlink-world.ts";
import { HeldProducer } from "../uplink/fixture.ts";
import { ScriptedBroker } from "./scripted-broker.ts";

const up = (device: string) => topicOf(keyOf(device), "up");
const down = (device: string) => topicOf(keyOf(device), "down");
const BAD_FRAME = Uint8Array.of(1, 2, 3);

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function world(more: Partial<ForeignGatewayOptions["broker"]> = {}) {
  const broker = await ScriptedBroker.open();
  closing.push(() => broker.close());
  const producer = new HeldProducer();
  const source = new SourceDouble();
  const gateway = new ForeignGateway({
    broker: {
      ...{ url: broker.url, clientId: "ingest-1", group: "omega", sessionExpiryS: 3_600 },
      ...{ inFlightCountMax: 100, devicesMax: 1_000, leave: false },
      ...more,
    },
    ...{ shards: 2, tenants: [TENANT], producer, source, flushMs: 500 },
    limits: { addTimeoutMs: 2_000 },
  });
  closing.push(() => gateway.stop());
  return { broker, producer, source, gateway };
}

describe("foreign gateway: the way in", () => {
  it("asks for a session that stays, with its window as Receive Maximum, as a member of the group", async () => {
    const { broker, gateway } = await world({ inFlightCountMax: 7 });
    await gateway.start();
    expect(broker.connects[0]).toMatchObject({
      ...{ clientId: "ingest-1", clean: false, protocolVersion: 5 },
      properties: { sessionExpiryInterval: 3_600, receiveMaximum: 7 },
    });
    expect(gateway.health.ready()).toEqual({ ready: true, reasons: [] });
  });

  it("P1: no PUBACK before the add is durable, then all in the order in which the deltas came", async () => {
    const { broker, producer, gateway } = await world();
    producer.hold();
    await gateway.start();
    for (let id = 1; id <= 20; id += 1) broker.deliver(up(`tv-${id}`), BAD_FRAME, id);
    await producer.holding(20);
    expect(broker.pubacks).toEqual([]);
    // The shards' adds come back in the wrong order.
    for (const add of producer.held.splice(0).reverse()) add.resolve();
    await waitFor(() => broker.pubacks.length === 20);
    expect(broker.pubacks).toEqual(Array.from({ length: 20 }, (_, index) => index + 1));
    expect(producer.added.map(({ key }) => key.device).sort()).toEqual(
      Array.from({ length: 20 }, (_, index) => `tv-${index + 1}`).sort(),
    );
  });

  it("P1: an add that fails has no PUBACK; the connection ends and the same session comes back", async () => {
    const { broker, producer, gateway } = await world();
    producer.answer = (add) => add.reject(new TransportError("queue.unavailable", "gone"));
    await gateway.start();
    broker.deliver(up("tv-1"), BAD_FRAME, 1);
    await waitFor(() => broker.ends === 1 && broker.connects.length === 2);
    expect(broker.pubacks).toEqual([]);
    expect(broker.connects[1]).toMatchObject({ clientId: "ingest-1", clean: false });
    producer.answer = (add) => add.resolve();
    await waitFor(() => !gateway.health.ready().reasons.includes("broker.unreachable"));
    broker.deliver(up("tv-1"), BAD_FRAME, 1);
    await waitFor(() => broker.pubacks.length === 1);
    expect(producer.added).toHaveLength(1);
  });

  it("what is no device's frame is acknowledged in its turn and goes no further", async () => {
    const { broker, producer, gateway } = await world();
    await gateway.start();
    broker.deliver("omega/v1/acme/d/tv 1/up", BAD_FRAME, 1);
    broker.deliver(up("tv-1"), BAD_FRAME, 0, 0);
    broker.deliver(up("tv-1"), BAD_FRAME, 2);
    await waitFor(() => broker.pubacks.length === 2);
    expect(broker.pubacks).toEqual([1, 2]);
    expect(producer.added).toHaveLength(1);
  });

  it("draining acknowledges what was taken and says goodbye before it ends", async () => {
    const { broker, producer, gateway } = await world();
    producer.hold();
    await gateway.start();
    broker.deliver(up("tv-1"), BAD_FRAME, 9);
    await producer.holding(1);
    const drained = gateway.drain();
    expect(gateway.health.ready().reasons).toEqual(["gateway.draining"]);
    producer.releaseAll();
    await drained;
    expect(broker.pubacks).toEqual([9]);
    expect(broker.ends).toBe(1);
  });

  it.each([
    [{ reasonCode: 135, sessionPresent: false }, 1, "broker.credentials"],
    [{ reasonCode: 132, sessionPresent: false }, 1, "broker.connack"],
    [{ reasonCode: 0, sessionPresent: false }, 158, "broker.subscribe"],
  ])(
    "a broker that answers %j and %i fails the start with %s",
    async (connack, granted, reason) => {
      const { broker, gateway } = await world();
      Object.assign(broker, { connack, granted });
      await expect(gateway.start()).rejects.toMatchObject({ reason });
    },
  );

  it.each(["ftp://omega:hunter22@example.com", "omega:hunter22@example.com", "mqtt://"])(
    "config: %s is refused in words without credentials",
    async (url) => {
      const error = await world({ url }).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(InvalidConfigError);
      expect(String(error)).toContain("mqtt://HOST:PORT");
      expect(String(error)).not.toContain("hunter22");
    },
  );
});

describe("foreign gateway: the way out", () => {
  it("P5: a pull is answered with the transition in its parts, and the topic retains only who is up to date", async () => {
    const { broker, source, gateway } = await world();
    source.models.set(codecTopicOf({ tenant: TENANT, version: 7 }), new Uint8Array(9));
    source.renditions.set(TENANT, { ladder: ladderOf(5), ladder1: ladder1Of(5, 2) });
    await gateway.start();
    broker.deliver(up("tv-1"), encodePull(4, { minor: 1 }), 1);
    const answer = (await broker.heard(4)).filter(({ topic }) => topic === down("tv-1"));
    const headers = answer.map(({ payload }) => peekFrame(payload as Buffer, 65_536).header);
    expect(headers).toMatchObject([
      { kind: "release-delta", base: 4, version: 5, part: { n: 1, of: 2 } },
      { kind: "release-delta", base: 4, version: 5, part: { n: 2, of: 2 } },
      { kind: "release-delta", base: 5, version: 5 },
    ]);
    expect(answer.map(({ retain }) => retain)).toEqual([false, false, true]);
    // The model that the release needs came first, for everybody.
    expect(broker.published[0]).toMatchObject({
      topic: codecTopicOf({ tenant: TENANT, version: 7 }),
      retain: true,
    });
  });

  it("P6: a watermark never comes without the refusals it passes before it, and is not retained then", async () => {
    const { broker, source, gateway } = await world();
    source.renditions.set(TENANT, { ladder: ladderOf(3), ladder1: null });
    const applied = { epoch: 1, seq: 2 };
    const problem = { reason: "frame.truncated", title: "cut", position: { epoch: 1, seq: 2 } };
    source.setView("tv-1", { base: 3, applied, problems: [problem] });
    await gateway.start();
    broker.deliver(up("tv-1"), encodePull(3), 1);
    const told = await broker.heard(3);
    const headers = told.map(({ payload }) => peekFrame(payload as Buffer, 65_536).header);
    expect(headers).toMatchObject([
      { kind: "refusal" },
      { kind: "release-delta", base: 3, version: 3, applied },
      { kind: "release-delta", base: 3, version: 3, applied: null },
    ]);
    expect(told.map(({ retain }) => retain)).toEqual([false, false, true]);
  });

  it("a release is announced to every device heard of, within the broker's Receive Maximum", async () => {
    const { broker, source, gateway } = await world();
    broker.connack = { ...broker.connack, properties: { receiveMaximum: 2 } };
    await gateway.start();
    for (let id = 1; id <= 5; id += 1) broker.deliver(up(`tv-${id}`), encodePull(0), id);
    await broker.heard(5);
    broker.acknowledging = false;
    source.release(ladderOf(1));
    await broker.heard(7);
    // What is not acknowledged holds back the rest.
    for (let sent = 7; sent < 10; sent += 1) {
      expect(broker.published).toHaveLength(sent);
      broker.acknowledge(...broker.published.slice(sent - 2, sent - 1));
      await broker.heard(sent + 1);
    }
    const announced = new Set(broker.published.slice(5).map(({ topic }) => topic));
    expect(announced.size).toBe(5);
  });

  it("a message that the broker will not take holds up nobody else", async () => {
    const { broker, source, gateway } = await world();
    broker.connack = { ...broker.connack, properties: { maximumPacketSize: 150 } };
    source.renditions.set(TENANT, { ladder: ladderOf(3), ladder1: null });
    await gateway.start();
    broker.deliver(up("tv-1"), encodePull(0), 1);
    broker.deliver(up("tv-2"), encodePull(3), 2);
    const told = await broker.heard(2);
    // tv-1's snapshot is too large; its announcement, and tv-2's, are not.
    expect(told.map(({ topic }) => topic).sort()).toEqual([down("tv-1"), down("tv-2")]);
  });

  it("what was lost with the connection is published again on the next", async () => {
    const { broker, source, gateway } = await world();
    source.renditions.set(TENANT, { ladder: ladderOf(3), ladder1: null });
    broker.acknowledging = false;
    await gateway.start();
    broker.deliver(up("tv-1"), encodePull(3), 1);
    await broker.heard(1);
    broker.acknowledging = true;
    broker.send({ cmd: "disconnect", reasonCode: 139 });
    const [lost, again] = await broker.heard(2);
    expect(broker.connects).toHaveLength(2);
    expect(again).toMatchObject({ topic: lost?.topic, payload: lost?.payload });
  });

  it("a tenant without releases is queued and not answered", async () => {
    const { broker, source, gateway, producer } = await world();
    source.renditions.set(TENANT, { ladder: ladderOf(3), ladder1: null });
    await gateway.start();
    const stranger = topicOf({ tenant: "nobody", device: "tv-1" }, "up");
    broker.deliver(stranger, encodePull(0), 1);
    broker.deliver(stranger, BAD_FRAME, 2);
    broker.deliver(up("tv-1"), encodePull(3), 3);
    await broker.heard(1);
    await waitFor(() => producer.added.length > 0);
    expect(producer.added.map(({ key }) => key.tenant)).toEqual(["nobody"]);
    expect(broker.published.map(({ topic }) => topic)).toEqual([down("tv-1")]);
  });
});
