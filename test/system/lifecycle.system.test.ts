/**
 * How server processes start, refuse to start, keep secrets, drain and end.
 */
import { createHmac } from "node:crypto";
import { writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { getPriority } from "node:os";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { issueToServer } from "../../src/cli/certs/authority.ts";
import {
  connectBytes,
  openRaw,
  openSession,
  PINGREQ,
  publishBytes,
  upTopic,
} from "../gateway/uplink/raw-client.ts";
import { makeAuthority, replaceFile, validity } from "../support/authority.ts";
import { CANARY } from "../support/canary.ts";
import { freePort } from "../support/disk.ts";
import { waitFor } from "../support/wait.ts";
import { GOLDEN_DIR, goldenBytes } from "../wire/golden-files.ts";
import { ANY_PORTS, type Bench, EAGER, openBench, settings } from "./bench.ts";
import { hearOne, publishFile } from "./mosquitto.ts";

const ACCEPTABLE = fileURLToPath(new URL("delta-acceptable-stored.bin", GOLDEN_DIR));

let bench: Bench;
beforeAll(async () => {
  bench = await openBench({ redis: true });
}, 120_000);
afterAll(() => bench?.close());

describe("lifecycle: starts that are refused", () => {
  it("lifecycle: a second process on the same data directory ends in 69 and names the first's pid", async () => {
    const dataDir = join(bench.dir.path, "data");
    const args = ["start", "--data-dir", dataDir, ...ANY_PORTS, ...EAGER];
    const first = await bench.start(args);
    expect(first.ready).toMatchObject({ backend: "embedded", dataDir });
    expect(first.ready.survives).toMatch(/process|power/);
    const second = await bench.omega(args);
    expect(second.code).toBe(69);
    expect(second.stderr).toContain(`${first.running.pid}`);
    expect(second.stderr).toContain(dataDir);
    // The first is none the worse for it, and leaves the directory to the next.
    expect((await first.get("/readyz")).status).toBe(200);
    expect(await first.terminate()).toBe(0);
    const third = await bench.start(args);
    expect(await third.terminate()).toBe(0);
  }, 180_000);

  it.each(["start", "gateway"])(
    "lifecycle: %s on a non-loopback address without authentication ends in 78",
    async (command) => {
      const open = settings({ "gateway.tcp.host": "0.0.0.0" });
      const backend = ["--redis", bench.redis.url];
      const { code, stderr } = await bench.omega([command, ...backend, ...ANY_PORTS, ...open]);
      expect(code).toBe(78);
      expect(stderr).toContain("gateway.auth.mode");
    },
    60_000,
  );

  it.each(["redis", "postgres"] as const)(
    "lifecycle: %s that is not there ends in 69 with one clear line",
    async (kind) => {
      const url = `${kind}://127.0.0.1:${await freePort()}/0`;
      const commands = ["start", "gateway", "aggregator"];
      const runs = commands.map((command) => bench.omega([command, `--${kind}`, url]));
      for (const { code, stderr } of await Promise.all(runs)) {
        expect(code).toBe(69);
        const errors = stderr.split("\n").filter((line) => line.startsWith("error:"));
        expect(errors, stderr).toHaveLength(1);
        expect(stderr).toMatch(new RegExp(kind, "i"));
        expect(stderr).not.toMatch(/\n {4}at /);
      }
    },
    120_000,
  );

  it("lifecycle: a port that is taken ends in 69 and leaves nothing running", async () => {
    const args = ["gateway", "--redis", bench.redis.url, "--http-port", "0"];
    const { code, stderr } = await bench.omega([...args, "--port", `${bench.redis.port}`]);
    expect(code).toBe(69);
    expect(stderr).toContain(`${bench.redis.port}`);
  }, 60_000);
});

describe("lifecycle: SIGTERM", () => {
  it("lifecycle: a gateway says 503, still serves during the grace, then closes its devices and ends in 0", async () => {
    const drain = settings({ "gateway.drain.readyGraceMs": 2_000, "gateway.drain.closeMs": 500 });
    const redis = ["--redis", bench.redis.url];
    const gateway = await bench.start(["gateway", ...redis, ...ANY_PORTS, ...EAGER, ...drain]);
    expect(await gateway.get("/readyz")).toMatchObject({ status: 200 });
    const clientId = "tv-drained";
    const device = await openSession(gateway.mqttPort, { clientId });
    const ended = gateway.terminate();
    await waitFor(async () => (await gateway.get("/readyz")).status === 503, { what: "503" });
    expect(await gateway.get("/healthz")).toMatchObject({ status: 200 });
    const payload = Buffer.from(goldenBytes("delta-acceptable-stored"));
    device.send(publishBytes(5, { topic: upTopic(clientId), payload }));
    expect(await device.next("puback")).toMatchObject({ messageId: 5 });
    await device.closed;
    expect(await ended).toBe(0);
    expect(gateway.running.stderr()).toContain('"event":"stopped"');
    expect(await refuses(gateway.mqttPort)).toBe(true);
  }, 60_000);

  it("lifecycle: an aggregator leaves the processor to others, as far as it was told", async () => {
    const own = getPriority();
    const redis = ["--redis", bench.redis.url];
    for (const [set, wanted] of [
      [[], 10],
      [settings({ "aggregator.niceness": 0 }), 0],
    ] as const) {
      const aggregator = await bench.start(["aggregator", ...redis, ...EAGER, ...set]);
      expect(getPriority(aggregator.running.pid)).toBe(Math.max(own, wanted));
      expect(await aggregator.terminate()).toBe(0);
    }
    const gateway = await bench.start(["gateway", ...redis, ...ANY_PORTS, ...EAGER]);
    expect(getPriority(gateway.running.pid)).toBe(own);
    expect(await gateway.terminate()).toBe(0);
  }, 60_000);

  it("lifecycle: an aggregator finishes and ends in 0, also on SIGINT", async () => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      const aggregator = await bench.start(["aggregator", "--redis", bench.redis.url, ...EAGER]);
      aggregator.running.child.kill(signal);
      expect(await aggregator.running.exited).toBe(0);
    }
  }, 60_000);

  it("lifecycle: it ends even when Redis is gone for good", async () => {
    const lonely = await openBench({ redis: true });
    try {
      const redis = ["--redis", lonely.redis.url];
      const server = await lonely.start(["start", ...redis, ...ANY_PORTS, ...EAGER]);
      await lonely.redis.kill9();
      await waitFor(() => /"event":"store.redis.error"/.test(server.running.stderr()), {
        what: "the process to notice",
        timeoutMs: 30_000,
      });
      expect(await server.terminate()).toBe(0);
    } finally {
      await lonely.close();
    }
  }, 60_000);
});

describe("lifecycle: SIGHUP", () => {
  it("lifecycle: a gateway reads revocations and certificates again, and whoever may stay stays", async () => {
    const authority = await makeAuthority(bench.dir.path);
    const { certFile, keyFile } = authority.files;
    const revokedFile = bench.file("revoked.txt", "");
    const secret = `${CANARY}-devices`;
    const trust = settings({
      "gateway.auth.mode": "password",
      "gateway.auth.secretFile": bench.file("secret", `${secret}\n`),
      "gateway.auth.revokedFile": revokedFile,
      ...{ "gateway.tls.enabled": true, "gateway.tls.port": 0 },
      ...{ "gateway.tls.certFile": certFile, "gateway.tls.keyFile": keyFile },
    });
    const redis = ["--redis", bench.redis.url];
    const gateway = await bench.start(["gateway", ...redis, ...ANY_PORTS, ...EAGER, ...trust]);
    const login = (clientId: string) => ({
      ...{ clientId, username: `default/${clientId}` },
      password: createHmac("sha256", secret).update(`default/${clientId}`).digest("base64url"),
    });
    const [stays, goes] = [
      await openSession(gateway.mqttPort, login("tv-stays")),
      await openSession(gateway.mqttPort, login("tv-goes")),
    ];
    const reloads = (what: string) =>
      gateway.metric("omega_gateway_reloads_total", `what="${what}",outcome="in_force"`);
    const hangUp = () => gateway.running.child.kill("SIGHUP");

    // Nothing has changed, so nobody but the signal has them read again.
    hangUp();
    await waitFor(async () => (await reloads("revoked")) === 1, { what: "the first reading" });
    expect(await reloads("tls")).toBe(1);

    const first = await certificateAt(gateway.ready.tls?.port ?? -1);
    const renewed = await issueToServer(authority.authority, ["localhost"], validity());
    replaceFile(keyFile, renewed.keyPem);
    replaceFile(certFile, renewed.certPem);
    writeFileSync(revokedFile, `device default/tv-goes ${new Date().toISOString()}\n`);
    hangUp();
    await goes.closed;
    await waitFor(async () => (await reloads("revoked")) >= 2, { what: "the second reading" });
    const refused = await openRaw(gateway.mqttPort);
    refused.send(connectBytes(login("tv-goes")));
    expect(await refused.connack()).toBe(5);
    expect(await certificateAt(gateway.ready.tls?.port ?? -1)).not.toBe(first);
    stays.send(PINGREQ);
    await stays.next("pingresp");
    expect(await gateway.terminate()).toBe(0);
  }, 60_000);
});

describe("lifecycle: secrets", () => {
  it("lifecycle: no log, banner, metric or health page shows a secret (THREATS 25)", async () => {
    const secret = `${CANARY}-devices`;
    const redisPassword = `canary-${CANARY}`;
    const vault = await openBench();
    try {
      const redis = await vault.startRedis();
      await setRedisPassword(redis.port, redisPassword);
      const url = `redis://:${redisPassword}@127.0.0.1:${redis.port}`;
      const key = { tenant: "default", device: "tv-1" };
      const password = createHmac("sha256", secret).update("default/tv-1").digest("base64url");
      const auth = settings({
        "gateway.auth.mode": "password",
        "gateway.auth.secretFile": vault.file("secret", `${secret}\n`),
        "log.level": "debug",
      });
      const env = { OMEGA_BACKEND_FILE: vault.file("redis-url", `${url}\n`) };
      const gateway = await vault.start(["start", ...ANY_PORTS, ...EAGER, ...auth], { env });
      const login = { port: gateway.mqttPort, key, password };
      expect((await publishFile(login, ACCEPTABLE)).code).toBe(0);
      expect((await hearOne(login)).heard).not.toBeNull();
      expect((await publishFile({ ...login, password: secret }, ACCEPTABLE)).code).not.toBe(0);
      const pages = await Promise.all(
        ["/metrics", "/healthz", "/readyz", "/"].map((path) => gateway.get(path)),
      );
      const wrong = vault.file("wrong-url", url.replace("canary", "canary-wrong"));
      const refused = await vault.omega(["start", ...ANY_PORTS], {
        env: { OMEGA_BACKEND_FILE: wrong },
      });
      expect(refused.code).not.toBe(0);
      expect(refused.stdout + refused.stderr).not.toContain("canary");

      // Redis goes away under load: errors are where secrets leak.
      await redis.kill9();
      await waitFor(
        async () =>
          (await gateway.get("/readyz")).status === 503 || /error/.test(gateway.running.stderr()),
        {
          what: "the gateway to notice",
        },
      );
      await redis.restart();
      await gateway.running.kill("SIGTERM");
      const said = [gateway.running.stdout(), gateway.running.stderr()];
      const all = [...said, ...pages.map(({ text }) => text)].join("\n");
      expect(all).toContain("omega_gateway_connects_total");
      expect(said[1]).toContain('"level":"debug"');
      for (const canary of [secret, redisPassword, password]) expect(all).not.toContain(canary);
    } finally {
      await vault.close();
    }
  }, 120_000);
});

/** The fingerprint of the certificate that a TLS listener shows. */
function certificateAt(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({ port, host: "127.0.0.1", rejectUnauthorized: false });
    socket.once("error", reject);
    socket.once("secureConnect", () => {
      resolve(socket.getPeerCertificate().fingerprint256);
      socket.destroy();
    });
  });
}

/** True when nobody listens. */
function refuses(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket: Socket = connect(port, "127.0.0.1");
    socket.once("connect", () => resolve(false)).once("error", () => resolve(true));
    socket.once("close", () => socket.destroy());
  });
}

/** In Redis's own words, so that no client of ours has seen it. */
function setRedisPassword(port: number, password: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.write(`CONFIG SET requirepass ${password}\r\n`);
    });
    socket.once("error", reject);
    socket.once("data", (answer) => {
      socket.destroy();
      if (answer.toString().startsWith("+OK")) resolve();
      else reject(new Error(answer.toString()));
    });
  });
}
