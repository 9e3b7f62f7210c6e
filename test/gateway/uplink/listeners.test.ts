import { once } from "node:events";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls, type SecureVersion } from "node:tls";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { createWebSocketStream, WebSocket } from "ws";
import { type Certs, makeCerts } from "../../support/certs.ts";
import { tempDir } from "../../support/disk.ts";
import { waitFor } from "../../support/wait.ts";
import { metricOf, startGateway, stopGateways } from "./fixture.ts";
import {
  connectBytes,
  openRaw,
  openSession,
  PINGREQ,
  publishBytes,
  RawClient,
  upTopic,
} from "./raw-client.ts";

const LOOPBACK = { host: "127.0.0.1", port: 0 };
let disk: ReturnType<typeof tempDir>;
let certs: Certs;

beforeAll(async () => {
  disk = tempDir();
  certs = makeCerts(disk.path);
});
afterAll(() => disk.remove());
afterEach(stopGateways);

async function session(client: RawClient): Promise<void> {
  client.send(connectBytes());
  expect(await client.connack()).toBe(0);
  client.send(publishBytes(1));
  await client.next("puback");
}

async function tlsClient(port: number, maxVersion: SecureVersion = "TLSv1.3"): Promise<RawClient> {
  const { readFileSync } = await import("node:fs");
  const ca = readFileSync(certs.caFile);
  const minVersion: SecureVersion = "TLSv1";
  const ciphers = "DEFAULT@SECLEVEL=0";
  const socket = connectTls({
    ...{ port, host: "127.0.0.1", ca, minVersion, maxVersion, ciphers },
  });
  await once(socket, "secureConnect");
  return new RawClient(socket);
}

function webSocket(
  port: number,
  { protocols = ["mqtt"], scheme = "ws", path = "/mqtt" } = {},
): WebSocket {
  const url = `${scheme}://127.0.0.1:${port}${path}`;
  return new WebSocket(url, protocols, { rejectUnauthorized: false });
}

async function wsClient(port: number, scheme = "ws"): Promise<RawClient> {
  const socket = webSocket(port, { scheme });
  const client = new RawClient(createWebSocketStream(socket));
  await once(socket, "open");
  expect(socket.protocol).toBe("mqtt");
  expect(socket.extensions).toBe("");
  return client;
}

describe("TLS", () => {
  const start = (limits = {}) =>
    startGateway({
      listeners: { tls: { ...LOOPBACK, ...certs, caFile: undefined } as never },
      limits,
    });

  test.each(["TLSv1.3", "TLSv1.2"] as const)("a session over %s", async (version) => {
    const { gateway } = await start();
    await session(await tlsClient(gateway.addresses.tls?.port ?? 0, version));
  });

  test("TLS 1.1 is refused", async () => {
    const { gateway } = await start();
    await expect(tlsClient(gateway.addresses.tls?.port ?? 0, "TLSv1.1")).rejects.toThrow();
  });

  test("a CONNACK that refuses arrives before the close", async () => {
    const { gateway } = await start();
    const client = await tlsClient(gateway.addresses.tls?.port ?? 0);
    client.send(connectBytes({ keepalive: 0 }));
    expect(await client.connack()).toBe(5);
    await client.closed;
  });

  test("THREATS 13: half a hello, and a finished handshake without CONNECT, are closed at the deadline", async () => {
    const { gateway, metrics } = await start({ connectDeadlineMs: 60 });
    const port = gateway.addresses.tls?.port ?? 0;
    const half = await openRaw(port);
    half.send(Buffer.of(0x16, 0x03, 0x01, 0x02, 0x00, 0x01));
    await half.closed;
    const silent = await tlsClient(port);
    await silent.closed;
    const unauthenticated = "omega_gateway_unauthenticated_count";
    await waitFor(async () => (await metricOf(metrics, unauthenticated)) === 0);
  });

  test("a session that ended is counted nowhere any more", async () => {
    const { gateway, metrics } = await start();
    for (let round = 0; round < 3; round += 1) {
      const client = await tlsClient(gateway.addresses.tls?.port ?? 0);
      await session(client);
      client.end();
      await client.closed;
    }
    await waitFor(() => gateway.sessionCount === 0);
    expect(await metricOf(metrics, "omega_gateway_unauthenticated_count")).toBe(0);
    expect(await metricOf(metrics, "omega_gateway_sessions_count")).toBe(0);
  });

  test("plain MQTT on the TLS port is closed unanswered", async () => {
    const { gateway } = await start();
    const client = await openRaw(gateway.addresses.tls?.port ?? 0);
    client.send(connectBytes());
    await client.closed;
    expect(client.count("connack")).toBe(0);
  });

  test("with a CA for clients, one without a certificate gets nowhere", async () => {
    const { gateway } = await startGateway({ listeners: { tls: { ...LOOPBACK, ...certs } } });
    const client = await tlsClient(gateway.addresses.tls?.port ?? 0);
    client.send(connectBytes());
    await client.closed;
    expect(client.count("connack")).toBe(0);
  });

  test("THREATS 1: with a client certificate, the client id must be its common name", async () => {
    const { readFileSync } = await import("node:fs");
    const { gateway } = await startGateway({ listeners: { tls: { ...LOOPBACK, ...certs } } });
    const files = {
      ca: readFileSync(certs.caFile),
      cert: readFileSync(certs.certFile),
      key: readFileSync(certs.keyFile),
    };
    // The certificate at hand says "localhost", so that is the one device it may be.
    for (const [clientId, code] of [
      ["localhost", 0],
      ["tv1", 5],
    ] as const) {
      const port = gateway.addresses.tls?.port ?? 0;
      const socket = connectTls({ port, host: "127.0.0.1", ...files });
      await once(socket, "secureConnect");
      const client = new RawClient(socket);
      client.send(connectBytes({ clientId }));
      expect(await client.connack()).toBe(code);
      client.end();
    }
  });

  test("a certificate that cannot be read is a configuration fault", async () => {
    const tls = { ...LOOPBACK, certFile: "/nowhere", keyFile: "/nowhere" };
    await expect(startGateway({ listeners: { tls } })).rejects.toMatchObject({
      code: "InvalidConfig",
    });
  });
});

describe("WebSocket", () => {
  const start = (limits = {}) => startGateway({ listeners: { ws: LOOPBACK }, limits });

  test("a session over ws and over wss", async () => {
    const plain = await start();
    await session(await wsClient(plain.gateway.addresses.ws?.port ?? 0));
    const { certFile, keyFile } = certs;
    const secure = await startGateway({
      listeners: { ws: { ...LOOPBACK, tls: { certFile, keyFile } } },
    });
    await session(await wsClient(secure.gateway.addresses.ws?.port ?? 0, "wss"));
  });

  test("packets may be cut across messages and share them [MQTT-6.0.0-2]", async () => {
    const { gateway } = await start();
    const client = await wsClient(gateway.addresses.ws?.port ?? 0);
    for (const byte of connectBytes()) client.send(Buffer.of(byte));
    expect(await client.connack()).toBe(0);
    client.send(Buffer.concat([publishBytes(1), publishBytes(2), PINGREQ]));
    await client.next("puback", 2);
    await client.next("pingresp");
  });

  test("[MQTT-6.0.0-1] a text frame ends the connection", async () => {
    const { gateway } = await start();
    const socket = webSocket(gateway.addresses.ws?.port ?? 0);
    await once(socket, "open");
    socket.on("error", () => {});
    socket.send("text");
    await once(socket, "close");
  });

  test.each([
    ["no subprotocol", [] as string[]],
    ["another subprotocol", ["chat"]],
  ])("[MQTT-6.0.0-3] %s is refused", async (_name, protocols) => {
    const { gateway } = await start();
    const socket = webSocket(gateway.addresses.ws?.port ?? 0, { protocols });
    const [error] = (await once(socket, "error")) as [Error];
    expect(error.message).toContain("400");
  });

  test("P8: a message longer than two packets ends the connection", async () => {
    const { gateway } = await start();
    const socket = webSocket(gateway.addresses.ws?.port ?? 0);
    await once(socket, "open");
    socket.on("error", () => {});
    socket.send(Buffer.alloc(33 * 1024));
    await once(socket, "close");
  });

  test("a plain HTTP request is told to upgrade, or that nothing is there", async () => {
    const { gateway } = await start();
    const statusOf = async (path: string) =>
      (await fetch(`http://127.0.0.1:${gateway.addresses.ws?.port}${path}`)).status;
    expect(await statusOf("/mqtt")).toBe(426);
    expect(await statusOf("/")).toBe(404);
  });

  test.each([
    ["/", 404],
    ["/mqtt/", 404],
    ["/mqtt", 404],
    ["/TV", 404],
    ["/tv", 101],
    ["/tv?session=1", 101],
  ])("where the path is /tv, %s is answered %i", async (path, status) => {
    const { gateway } = await startGateway({ listeners: { ws: { ...LOOPBACK, path: "/tv" } } });
    const socket = webSocket(gateway.addresses.ws?.port ?? 0, { path });
    const answered = await Promise.race([
      once(socket, "open").then(() => 101),
      new Promise((resolve) => {
        socket.on("unexpected-response", (_request, { statusCode }) => resolve(statusCode));
      }),
    ]);
    expect(answered).toBe(status);
    socket.on("error", () => {}).terminate();
  });

  test("THREATS 13: a request that never becomes MQTT is closed at the deadline", async () => {
    const { gateway } = await start({ connectDeadlineMs: 60 });
    const port = gateway.addresses.ws?.port ?? 0;
    const slow = await openRaw(port);
    slow.send(Buffer.from("GET / HTTP/1.1\r\nHost: x\r\n"));
    await slow.closed;
    const silent = webSocket(port);
    silent.on("error", () => {});
    await once(silent, "close");
  });
});

describe("the door", () => {
  test("connections beyond the maximum are closed", async () => {
    const { port } = await startGateway({ limits: { connectionsMax: 2 } });
    const kept = [
      await openSession(port, { clientId: "a" }),
      await openSession(port, { clientId: "b" }),
    ];
    const third = connectTcp({ port, host: "127.0.0.1" });
    third.on("error", () => {});
    await once(third, "close");
    for (const client of kept) {
      client.send(PINGREQ);
      await client.next("pingresp");
    }
  });

  test("CONNECTs beyond the bucket wait in line and are all let in", async () => {
    const { port } = await startGateway({ limits: { connects: { burst: 1, ratePerS: 20 } } });
    const clients: RawClient[] = [];
    for (const clientId of ["a", "b", "c", "d"]) {
      const client = await openRaw(port);
      client.send(connectBytes({ clientId }));
      clients.push(client);
    }
    expect(await Promise.all(clients.map((client) => client.connack()))).toEqual([0, 0, 0, 0]);
  });

  test.each([
    ["tls", (port: number) => tlsClient(port)],
    ["ws", (port: number) => wsClient(port)],
    ["wss", (port: number) => wsClient(port, "wss")],
  ] as const)("so do those over %s, before their handshake", async (way, open) => {
    const tls = { ...certs, caFile: undefined };
    const listeners = {
      tls: { tls: { ...LOOPBACK, ...tls } as never },
      ws: { ws: LOOPBACK },
      wss: { ws: { ...LOOPBACK, tls } as never },
    }[way];
    const limits = { connects: { burst: 1, ratePerS: 2 } };
    const { gateway, metrics } = await startGateway({ listeners, limits });
    const { tls: tlsAt, ws: wsAt } = gateway.addresses;
    const port = (tlsAt ?? wsAt)?.port ?? 0;
    const opening = [open(port), open(port)];
    await Promise.race(opening);
    const pending = Symbol("pending");
    const states = await Promise.all(
      opening.map((one) => Promise.race([one, Promise.resolve(pending)])),
    );
    expect(states.filter((state) => state === pending).length).toBe(1);
    // One has shaken hands and not logged in, one stands in line.
    expect(await metricOf(metrics, "omega_gateway_unauthenticated_count")).toBe(2);
    await Promise.all(opening);
  });

  test("what is no CONNECT is not told that the gateway is busy", async () => {
    const connects = { burst: 1, ratePerS: 0.001 };
    const { port } = await startGateway({ limits: { connects, loginWaitMs: 30 } });
    await openSession(port, { clientId: "a" });
    const socket = connectTcp(port, "127.0.0.1");
    socket.on("error", () => {});
    socket.on("data", () => expect.unreachable("a byte was sent to no MQTT client"));
    socket.write("GET / HTTP/1.1\r\n\r\n");
    await once(socket, "close");
  });

  test("CONNECTs that waited in vain are answered 3, not 4 or 5", async () => {
    const connects = { burst: 2, ratePerS: 0.001 };
    const { port, metrics } = await startGateway({ limits: { connects, loginWaitMs: 30 } });
    await openSession(port, { clientId: "a" });
    await openSession(port, { clientId: "b" });
    const third = await openRaw(port);
    third.send(connectBytes({ clientId: "c" }));
    expect(await third.connack()).toBe(3);
    await third.closed;
    expect(await metricOf(metrics, 'omega_gateway_turned_away_total{reason="busy"}')).toBe(1);
  });

  test("under pressure CONNECTs are answered 3 and /readyz says no", async () => {
    let pressure = 0;
    const { port, gateway } = await startGateway({ http: LOOPBACK, pressure: () => pressure });
    const readyz = () => fetch(`http://127.0.0.1:${gateway.addresses.http?.port}/readyz`);
    expect((await readyz()).status).toBe(200);
    pressure = 8;
    const client = await openRaw(port);
    client.send(connectBytes());
    expect(await client.connack()).toBe(3);
    expect(await (await readyz()).json()).toEqual({ ready: false, reasons: ["gateway.pressure"] });
  });

  test("a port that is taken is an error, and leaves nothing behind", async () => {
    const { port } = await startGateway();
    const listeners = { ws: LOOPBACK, tcp: { host: "127.0.0.1", port } };
    await expect(startGateway({ listeners })).rejects.toMatchObject({ reason: "gateway.listen" });
  });
});

test("a socket that resets in mid-packet disturbs nobody", async () => {
  const { port } = await startGateway();
  const client = await openSession(port);
  const rude = await openSession(port, { clientId: "rude" });
  rude.send(publishBytes(1).subarray(0, 20));
  (rude.stream as Socket).resetAndDestroy();
  await rude.closed;
  client.send(PINGREQ);
  await client.next("pingresp");
});

describe("whoever hung up while they waited in line", () => {
  /** Lets one in at once, and the next a moment after all that a test sends has arrived. */
  const start = () => startGateway({ limits: { connects: { ratePerS: 5, burst: 1 } } });

  test("costs no login, and its token goes to somebody else", async () => {
    const { gateway, metrics } = await start();
    const port = gateway.addresses.tcp?.port ?? 0;
    await session(await openRaw(port));
    const gone = await openRaw(port);
    gone.send(connectBytes({ clientId: "tv2" }));
    gone.stream.end();
    await gone.closed;
    expect(gone.heard).toEqual([]);
    expect(await metricOf(metrics, 'omega_gateway_turned_away_total{reason="gone"}')).toBe(1);
    expect(await metricOf(metrics, 'omega_gateway_connects_total{reason="accepted"}')).toBe(1);
  });

  test("is heard out when more than a CONNECT came before the end", async () => {
    const { gateway, producer } = await start();
    const port = gateway.addresses.tcp?.port ?? 0;
    await session(await openRaw(port));
    const brief = await openRaw(port);
    brief.send(
      Buffer.concat([
        connectBytes({ clientId: "tv2" }),
        publishBytes(1, { topic: upTopic("tv2") }),
      ]),
    );
    brief.stream.end();
    await waitFor(() => producer.added.some(({ key }) => key.device === "tv2"));
  });
});
