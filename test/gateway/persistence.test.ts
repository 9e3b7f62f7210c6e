import { Aedes } from "aedes";
import { describe, expect, test } from "vitest";
import { createPersistence } from "../../gateway/persistence.ts";
import { Sessions } from "../../gateway/sessions.ts";
import { manualClock } from "../support/manual-clock.ts";

const CLIENT = { id: "acme/tv" };
const DOWN = "omega/v1/acme/d/tv/down";
const ERR = "omega/v1/acme/d/tv/err";

function setUp(limits: { countMax?: number; ttlMs?: number } = {}) {
  const clock = manualClock();
  const sessions = new Sessions({ clock, countMax: 100, ttlMs: 1_000, ...limits });
  const pubacks: [string, number][] = [];
  const persistence = createPersistence({
    sessions,
    onPuback: (client, messageId) => pubacks.push([client.id, messageId]),
  });
  return { clock, sessions, pubacks, persistence };
}

describe("persistence", () => {
  test("has every method that aedes' own persistence has, so that no call of aedes can miss", async () => {
    const stock = await Aedes.createBroker();
    const own = (stock as unknown as { persistence: object }).persistence;
    const names = Object.getOwnPropertyNames(Object.getPrototypeOf(own)).filter(
      (name) => !["constructor", "broker"].includes(name),
    );
    await new Promise<void>((done) => stock.close(() => done()));
    expect(names.length).toBeGreaterThan(20);
    expect(Object.keys(setUp().persistence).sort()).toEqual(names.sort());
  });

  test("aedes accepts it", async () => {
    const broker = await Aedes.createBroker({ persistence: setUp().persistence });
    await new Promise<void>((done) => broker.close(() => done()));
  });

  test("THREATS 7: keeps own topics only, whatever stands beside them in the packet", async () => {
    const { persistence } = setUp();
    await persistence.addSubscriptions(CLIENT, [
      { topic: DOWN, qos: 2 },
      { topic: "omega/v1/acme/d/victim/down", qos: 1 },
      { topic: "omega/v1/other/d/tv/down", qos: 1 },
      { topic: "omega/v1/acme/d/tv/up", qos: 1 },
      { topic: `${DOWN}/`, qos: 1 },
      { topic: "omega/v1/acme/d/+/down", qos: 1 },
      { topic: "#", qos: 1 },
      { topic: ERR, qos: 0 },
    ]);
    expect(await persistence.subscriptionsByClient(CLIENT)).toEqual([
      { topic: DOWN, qos: 1 },
      { topic: ERR, qos: 0 },
    ]);
    await persistence.removeSubscriptions(CLIENT, [DOWN, "#"]);
    expect(await persistence.subscriptionsByClient(CLIENT)).toEqual([{ topic: ERR, qos: 0 }]);
    await persistence.cleanSubscriptions(CLIENT);
    expect(await persistence.subscriptionsByClient(CLIENT)).toEqual([]);
  });

  test("THREATS 15: a thousand foreign filters leave nothing behind", async () => {
    const { persistence, sessions } = setUp();
    const filters = Array.from({ length: 1_000 }, (_, index) => ({
      topic: `omega/v1/acme/d/tv-${index}/down`,
      qos: 1,
    }));
    await persistence.addSubscriptions(CLIENT, filters);
    expect(sessions.size).toBe(0);
  });

  test("retains nothing and queues nothing", async () => {
    const { persistence } = setUp();
    await persistence.addSubscriptions(CLIENT, [{ topic: DOWN, qos: 1 }]);
    await persistence.storeRetained();
    for (let count = 0; count < 1_000; count += 1) await persistence.outgoingEnqueue();
    await persistence.outgoingEnqueueCombi();
    await persistence.outgoingUpdate();
    // What is piped from writes nothing to its destination, which these do not even have.
    persistence.createRetainedStreamCombi().pipe();
    persistence.createRetainedStream().pipe();
    for (const stream of [
      persistence.outgoingStream(),
      persistence.streamWill(),
      persistence.getClientList(),
    ]) {
      expect(await stream.toArray()).toEqual([]);
    }
    expect(await persistence.subscriptionsByTopic()).toEqual([]);
    expect(await persistence.countOffline()).toEqual({ subsCount: 0, clientsCount: 1 });
  });

  test("passes PUBACKs on, and nothing else", async () => {
    const { persistence, pubacks } = setUp();
    await persistence.outgoingClearMessageId(CLIENT, { cmd: "puback", messageId: 7 });
    await persistence.outgoingClearMessageId(CLIENT, { cmd: "pubcomp", messageId: 8 });
    await persistence.outgoingClearMessageId(CLIENT, { cmd: "publish" });
    expect(pubacks).toEqual([["acme/tv", 7]]);
  });

  test("has no room for QoS 2 and for wills", async () => {
    const { persistence } = setUp();
    await expect(persistence.incomingStorePacket()).rejects.toMatchObject({
      reason: "publish.qos",
    });
    await expect(persistence.incomingGetPacket()).rejects.toMatchObject({ code: "Transport" });
    await expect(persistence.incomingDelPacket()).rejects.toMatchObject({ code: "Transport" });
    await persistence.cleanIncoming();
    await persistence.putWill();
    expect(await persistence.getWill()).toBeUndefined();
    expect(await persistence.delWill()).toBeUndefined();
    await persistence.destroy();
  });
});

describe("sessions", () => {
  test("the least recently used gives way", async () => {
    const { sessions } = setUp({ countMax: 3 });
    for (const name of ["a", "b", "c"]) sessions.grant(name, "down", 1);
    sessions.grant("a", "err", 1);
    sessions.grant("d", "down", 1);
    expect(sessions.size).toBe(3);
    expect(sessions.find("b")).toBeUndefined();
    expect(sessions.find("a")?.grants).toEqual({ down: 1, err: 1 });
  });

  test("what is not used in time is gone", async () => {
    const { clock, sessions } = setUp({ ttlMs: 1_000 });
    sessions.grant("a", "down", 1);
    await clock.advance(600);
    sessions.grant("b", "down", 1);
    await clock.advance(600);
    expect(sessions.find("a")).toBeUndefined();
    expect(sessions.find("b")).toBeDefined();
    sessions.forget("b");
    expect(sessions.size).toBe(0);
  });

  test("a session that loses its last topic is no session", () => {
    const { sessions } = setUp();
    sessions.grant("a", "down", 1);
    sessions.revoke("a", "down");
    sessions.revoke("nobody", "down");
    expect(sessions.size).toBe(0);
  });

  test("granting keeps what is unacknowledged", () => {
    const { sessions } = setUp();
    const outstanding = { down: { messageId: 4, retain: true, base: 2 } };
    sessions.save("a", { grants: { down: 1 }, outstanding, minor: 1 });
    sessions.grant("a", "err", 1);
    sessions.revoke("a", "err");
    expect(sessions.find("a")).toMatchObject({ grants: { down: 1 }, outstanding, minor: 1 });
  });
});
