/**
 * What the gateway leans on inside aedes 1.2.0, each held by one test against
 * aedes alone: when an upgrade breaks one, this file says which.
 * @module
 */
import { duplexPair } from "node:stream";
import { Aedes, type AedesOptions, type Client } from "aedes";
import { afterEach, describe, expect, test } from "vitest";
import { connectBytes, PINGREQ, publishBytes, RawClient, subscribeBytes } from "./raw-client.ts";

const brokers: Aedes[] = [];

async function startAedes(options: AedesOptions = {}): Promise<Aedes> {
  const aedes = new Aedes(options);
  await aedes.listen();
  brokers.push(aedes);
  return aedes;
}

afterEach(async () => {
  for (const aedes of brokers.splice(0)) {
    await new Promise<void>((resolve) => aedes.close(resolve));
  }
});

function open(aedes: Aedes): { client: RawClient; inner: Client } {
  const [near, far] = duplexPair();
  near.once("close", () => far.destroy());
  far.once("close", () => near.destroy());
  const inner = aedes.handle(far);
  expect(inner.conn).toBe(far);
  return { client: new RawClient(near), inner };
}

async function connected(aedes: Aedes) {
  const opened = open(aedes);
  opened.client.send(connectBytes());
  expect(await opened.client.connack()).toBe(0);
  return opened;
}

/** Lets in-memory streams run until `check` holds; a test that waits in vain times out. */
async function until(check: () => boolean): Promise<void> {
  while (!check()) await new Promise(setImmediate);
}

describe("aedes", () => {
  test("asks authorizePublish before it acknowledges, and acknowledges before it publishes", async () => {
    const order: string[] = [];
    let go: () => void = () => {};
    const aedes = await startAedes({
      authorizePublish: (_client, _packet, done) => {
        order.push("authorizePublish");
        go = () => done(null);
      },
      published: (packet, _client, done) => {
        if (packet.topic.startsWith("omega")) order.push("published");
        done(null);
      },
    });
    const { client } = await connected(aedes);
    client.send(publishBytes(1));
    client.send(PINGREQ);
    await client.next("pingresp");
    expect(order).toEqual(["authorizePublish"]);
    expect(client.pubacks()).toEqual([]);
    go();
    await client.next("puback");
    await until(() => order.length === 2);
    expect(order).toEqual(["authorizePublish", "published"]);
  });

  test("sends no PUBACK for a packet whose qos the hook turned to 0", async () => {
    const aedes = await startAedes({
      authorizePublish: (_client, packet, done) => {
        packet.qos = 0;
        done(null);
      },
    });
    const { client } = await connected(aedes);
    client.send(Buffer.concat([publishBytes(1), PINGREQ]));
    await client.next("pingresp");
    client.send(PINGREQ);
    await client.next("pingresp", 2);
    expect(client.pubacks()).toEqual([]);
  });

  test("closes the socket on an error from authorizePublish", async () => {
    const aedes = await startAedes({
      authorizePublish: (_client, _packet, done) => done(new Error("no")),
    });
    const { client } = await connected(aedes);
    client.send(publishBytes(1));
    await client.closed;
    expect(client.pubacks()).toEqual([]);
  });

  test("does not stop reading while hooks are unanswered, so the window must pause the socket", async () => {
    const held: (() => void)[] = [];
    const aedes = await startAedes({
      authorizePublish: (_client, packet, done) => {
        packet.qos = 0;
        held.push(() => done(null));
      },
    });
    const { client } = await connected(aedes);
    for (let id = 1; id <= 8; id += 1) {
      client.send(publishBytes(id));
      await until(() => held.length === id);
    }
    for (const answer of held) answer();
  });

  test("takes the client id that preConnect wrote into the packet", async () => {
    const aedes = await startAedes({
      preConnect: (_client, packet, done) => {
        packet.clientId = "tenant/device";
        done(null, true);
      },
    });
    const { inner } = await connected(aedes);
    expect(inner.id).toBe("tenant/device");
  });

  test("sends no CONNACK of its own when preConnect refuses, and closes", async () => {
    const aedes = await startAedes({
      preConnect: (client, _packet, done) => {
        client.conn.write(Buffer.of(0x20, 0x02, 0x00, 0x05));
        setImmediate(() => done(new Error("no"), false));
      },
    });
    const { client } = open(aedes);
    client.send(connectBytes());
    await client.closed;
    expect(Buffer.concat(client.bytes)).toEqual(Buffer.of(0x20, 0x02, 0x00, 0x05));
  });

  test.each([3, 4, 5])("answers a refused login with returnCode %i", async (returnCode) => {
    const aedes = await startAedes({
      authenticate: (_client, _username, _password, done) =>
        done(Object.assign(new Error("no"), { returnCode }) as never, null),
    });
    const { client } = open(aedes);
    client.send(connectBytes());
    expect(await client.connack()).toBe(returnCode);
  });

  test("calls registerClient once per accepted login, before CONNACK, and lives without its book", async () => {
    const aedes = await startAedes();
    const claimed: Client[] = [];
    Object.assign(aedes, { registerClient: (client: Client) => claimed.push(client) });
    const { client, inner } = open(aedes);
    const seen = new Promise<number>((resolve) => {
      aedes.once("clientReady", () => resolve(claimed.length));
    });
    client.send(connectBytes());
    expect(await client.connack()).toBe(0);
    expect(claimed).toEqual([inner]);
    expect(await seen).toBe(1);
    client.send(PINGREQ);
    await client.next("pingresp");
    client.end();
    await client.closed;
  });

  test("emits clientReady only after CONNACK was written, with the client connected", async () => {
    const aedes = await startAedes();
    const ready = new Promise<Client>((resolve) => {
      aedes.once("clientReady", resolve);
    });
    const { client, inner } = open(aedes);
    client.send(connectBytes());
    expect(await ready).toBe(inner);
    expect(inner.connected).toBe(true);
    expect(await client.connack()).toBe(0);
  });

  test("keeps one timer for the keepalive, which any packet puts off [MQTT-3.1.2-24]", async () => {
    const aedes = await startAedes();
    const { client, inner } = await connected(aedes);
    const kept = inner as unknown as {
      readonly _keepaliveInterval: number;
      readonly _keepaliveTimer: NodeJS.Timeout;
    };
    expect(kept._keepaliveInterval).toBeGreaterThan(60_000);
    const timer = kept._keepaliveTimer;
    let refreshed = 0;
    timer.refresh = () => {
      refreshed += 1;
      return timer;
    };
    client.send(PINGREQ);
    await client.next("pingresp");
    await until(() => refreshed === 1);
    expect(kept._keepaliveTimer).toBe(timer);
  });

  test("writes whole packets: another one may stand between any two of its writes", async () => {
    const aedes = await startAedes();
    const { client, inner } = await connected(aedes);
    const pieces: Buffer[][] = [];
    const { conn } = inner;
    conn._writev = (chunks, done) => {
      pieces.push(chunks.map(({ chunk }) => chunk));
      done();
    };
    conn._write = (chunk, _encoding, done) => {
      pieces.push([chunk]);
      done();
    };
    client.send(Buffer.concat([PINGREQ, subscribeBytes(1, ["own"]), PINGREQ]));
    await until(() => Buffer.concat(pieces.flat()).length === 2 + 5 + 2);
    for (const piece of pieces) {
      const bytes = Buffer.concat(piece);
      let end = 0;
      while (end < bytes.length) end += 2 + (bytes[end + 1] ?? 0);
      expect(end).toBe(bytes.length);
    }
  });

  test("answers a filter that authorizeSubscribe gave null for with 0x80, and keeps it nowhere in the client", async () => {
    const aedes = await startAedes({
      authorizeSubscribe: (_client, subscription, done) =>
        done(null, subscription.topic === "own" ? subscription : null),
    });
    const { client, inner } = await connected(aedes);
    client.send(subscribeBytes(1, ["own", "other"]));
    expect(await client.next("suback")).toMatchObject({ granted: [1, 0x80] });
    expect(Object.keys((inner as unknown as { subscriptions: object }).subscriptions)).toEqual([
      "own",
    ]);
  });

  test("asks authorizeSubscribe again for every filter of a restored session", async () => {
    const asked: string[] = [];
    const aedes = await startAedes({
      authorizeSubscribe: (_client, subscription, done) => {
        asked.push(subscription.topic);
        done(null, subscription);
      },
    });
    for (let round = 0; round < 2; round += 1) {
      const { client } = open(aedes);
      client.send(connectBytes({ clean: false }));
      await client.connack();
      if (round === 0) {
        client.send(subscribeBytes(1, ["own"]));
        await client.next("suback");
      }
      client.end();
      await client.closed;
    }
    expect(asked).toEqual(["own", "own"]);
  });

  test("delivers nothing through an emitter that delivers to nobody", async () => {
    const nobody = {
      on: (_topic: string, _listener: unknown, done?: () => void) => done?.(),
      removeListener: (_topic: string, _listener: unknown, done?: () => void) => done?.(),
      emit: (_packet: unknown, done?: () => void) => done?.(),
      close: (done?: () => void) => done?.(),
    };
    const aedes = await startAedes({ mq: nobody });
    const { client } = await connected(aedes);
    client.send(subscribeBytes(1, ["loop"]));
    await client.next("suback");
    client.send(publishBytes(2, { topic: "loop" }));
    await client.next("puback");
    client.send(PINGREQ);
    await client.next("pingresp");
    expect(client.count("publish")).toBe(0);
  });

  test("keeps its keepalive in a timer, which packets that it does not see can put off", async () => {
    const aedes = await startAedes();
    const { client, inner } = open(aedes);
    client.send(connectBytes({ keepalive: 60 }));
    expect(await client.connack()).toBe(0);
    const { _keepaliveInterval, _keepaliveTimer } = inner as unknown as {
      _keepaliveInterval: number;
      _keepaliveTimer: NodeJS.Timeout;
    };
    expect(_keepaliveInterval).toBe(60 * 1_500 + 1);
    expect(_keepaliveTimer.refresh()).toBe(_keepaliveTimer);
  });
});
