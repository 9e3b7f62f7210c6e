/**
 * Redis over TLS in each form a URL may name it: a server, a cluster, Sentinels. Real servers that take
 * nothing but TLS, and a certificate of an authority that only who is told of it trusts.
 */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openSession, publishBytes, upTopic } from "../gateway/uplink/raw-client.ts";
import { type Certs, makeCerts } from "../support/certs.ts";
import { freePort } from "../support/disk.ts";
import { runToEnd } from "../support/process.ts";
import { waitFor } from "../support/wait.ts";
import { goldenBytes } from "../wire/golden-files.ts";
import { ANY_PORTS, type Bench, EAGER, openBench, settings } from "./bench.ts";

const MASTER = "omega";

let bench: Bench;
let certs: Certs;
beforeAll(async () => {
  bench = await openBench();
  certs = makeCerts(bench.dir.path);
}, 60_000);
afterAll(() => bench?.close());

const tlsLines = (port: number) => [
  ...[`tls-port ${port}`, "port 0", "bind 127.0.0.1", "tls-auth-clients no"],
  ...[`tls-cert-file ${certs.certFile}`, `tls-key-file ${certs.keyFile}`],
  `tls-ca-cert-file ${certs.caFile}`,
];

function cli(port: number, ...command: string[]) {
  return runToEnd("redis-cli", [
    ...["-p", `${port}`, "--tls", "--cacert", certs.caFile, ...command],
  ]);
}

const SERVER = ["appendonly yes", "appendfsync always", 'save ""', "maxmemory-policy noeviction"];

/** A redis-server with `lines`, and with `flags` a Sentinel, that takes TLS alone; gives its port. */
async function start(lines: readonly string[], ...flags: readonly string[]) {
  const port = await freePort();
  const name = `redis-${port}`;
  const all = [...tlsLines(port), `dir ${join(bench.dir.path, name)}`, ...lines, ""];
  bench.run("redis-server", [bench.file(`${name}/redis.conf`, all.join("\n")), ...flags]);
  const answers = async () => (await cli(port, "ping")).stdout.startsWith("PONG");
  await waitFor(answers, { what: `a redis-server on port ${port}` });
  return port;
}

/** Of each form a URL and the settings that go with it. */
const FORMS = {
  async server() {
    return { url: `rediss://127.0.0.1:${await start(SERVER)}`, more: [] };
  },
  async cluster() {
    const bus = await freePort();
    const port = await start([
      ...SERVER,
      ...["cluster-enabled yes", "tls-cluster yes", `cluster-port ${bus}`],
      // A node that never met another does not know its own address.
      ...["cluster-config-file nodes.conf", "cluster-announce-ip 127.0.0.1"],
    ]);
    await cli(port, "cluster", "addslotsrange", "0", "16383");
    const isWhole = async () =>
      /cluster_state:ok/.test((await cli(port, "cluster", "info")).stdout);
    await waitFor(isWhole, { what: "a cluster of one", timeoutMs: 30_000 });
    return { url: `rediss+cluster://127.0.0.1:${port}`, more: [] };
  },
  async sentinel() {
    const master = await start(SERVER);
    const sentinel = await start(
      ["tls-replication yes", `sentinel monitor ${MASTER} 127.0.0.1 ${master} 1`],
      "--sentinel",
    );
    const url = `rediss+sentinel://127.0.0.1:${sentinel}/${MASTER}`;
    // There is no replica here that a PUBACK could wait for.
    return { url, more: settings({ durability: "aof" }) };
  },
};

/** What was started on each form, for those who come without the authority. */
const started: string[][] = [];

describe("Redis over TLS", () => {
  it.each(Object.entries(FORMS))(
    "%s: a delta is acknowledged, applied and released over it",
    async (_, form) => {
      const { url, more } = await form();
      const args = ["start", "--redis", url, ...ANY_PORTS, ...EAGER, ...more];
      started.push(args);
      const server = await bench.start(args, { env: { NODE_EXTRA_CA_CERTS: certs.caFile } });
      const clientId = "tv-1";
      const device = await openSession(server.mqttPort, { clientId });
      const payload = Buffer.from(goldenBytes("delta-acceptable-stored"));
      device.send(publishBytes(5, { topic: upTopic(clientId), payload }));
      expect(await device.next("puback")).toMatchObject({ messageId: 5 });
      for (const what of ["applied", "releases"]) {
        const count = () => server.metric(`omega_aggregate_${what}_total`);
        await waitFor(async () => (await count()) >= 1, { what });
      }
      expect(await server.terminate()).toBe(0);
    },
    120_000,
  );

  it("who does not know the authority does not start, on any of them, and ends in 69", async () => {
    const strangers = await Promise.all(started.map((args) => bench.omega(args)));
    const ends = strangers.map(({ code, stderr }) => (code === 69 ? code : `${code}: ${stderr}`));
    expect(ends).toEqual([69, 69, 69]);
    // Of a cluster's node or a Sentinel the client says no more than that it cannot be had.
    expect(strangers[0]?.stderr).toMatch(/certificate/);
  }, 120_000);
});
