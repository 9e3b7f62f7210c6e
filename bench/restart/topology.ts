/**
 * The compose topology as processes on loopback: three gateways behind HAProxy, two aggregators, one Redis, with the
 * configuration files that are shipped.
 * @module
 */
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { silentLogger } from "../../src/observe/index.ts";
import { redisStore, type Store } from "../../src/store/index.ts";
import { haproxyConfig } from "../support/haproxy.ts";
import { accepting, firstLine, freePort } from "../support/processes.ts";
import { Server } from "../support/server.ts";

export interface Topology {
  /** Where devices connect: HAProxy. */
  readonly url: string;
  /** Of the gateways' password mode. */
  readonly secret: string;
  readonly gateways: readonly Server[];
  readonly aggregators: readonly Server[];
  readonly redis: Server;
  readonly store: Store;
  /** How many of the shards each aggregator writes, in their order. */
  shardsHeld(): Promise<number[]>;
  end(): Promise<void>;
}

export const SHARDS = 4;
const GATEWAYS = 3;
const AGGREGATORS = 2;
const CLI = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));
const DEPLOY = new URL("../../../deploy/", import.meta.url);
const HELD = /^omega_aggregate_shards_held (\d+)$/m;

export async function startTopology(): Promise<Topology> {
  const dir = mkdtempSync(join(tmpdir(), "omega-bench-restart-"));
  const secret = randomBytes(32).toString("hex");
  const started: Server[] = [];
  const add = async (server: Promise<Server>) => {
    started.push(await server);
    return started.at(-1) as Server;
  };
  const end = async () => {
    for (const server of started.reverse()) await server.end();
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    const redisPort = await freePort();
    const redis = await add(startRedis(redisPort, dir));
    const url = `redis://127.0.0.1:${redisPort}`;
    const common = ["--config", configIn(dir, secret), "--redis", url];
    const servers = await ports(GATEWAYS);
    const gateways = [];
    for (const [index, at] of servers.entries()) {
      gateways.push(await add(startGateway(index + 1, at, common)));
    }
    const pages = await ports(AGGREGATORS);
    const aggregators = [];
    for (const [index, { httpPort }] of pages.entries()) {
      aggregators.push(await add(startAggregator(index + 1, httpPort, common)));
    }
    const mqttPort = await freePort();
    const shipped = readFileSync(new URL("haproxy.cfg", DEPLOY), "utf8");
    const file = join(dir, "haproxy.cfg");
    writeFileSync(file, haproxyConfig({ shipped, mqttPort, servers }));
    await add(startHaproxy(file, mqttPort));
    const store = await redisStore({ url, shards: SHARDS, log: silentLogger });
    return {
      ...{ url: `mqtt://127.0.0.1:${mqttPort}`, secret, gateways, aggregators, redis, store },
      shardsHeld: () => Promise.all(pages.map(({ httpPort }) => heldBy(httpPort))),
      async end() {
        await store.close();
        await end();
      },
    };
  } catch (error) {
    await end();
    throw error;
  }
}

/** The shipped configuration, with a secret of this bench's own. */
function configIn(dir: string, secret: string): string {
  const secretFile = join(dir, "device_secret");
  writeFileSync(secretFile, `${secret}\n`, { mode: 0o600 });
  const shipped = readFileSync(new URL("omega.yaml", DEPLOY), "utf8");
  const file = join(dir, "omega.yaml");
  writeFileSync(file, shipped.replace("/run/secrets/device_secret", secretFile));
  return file;
}

async function ports(count: number): Promise<{ port: number; httpPort: number }[]> {
  const found = [];
  for (let at = 0; at < count; at += 1) {
    found.push({ port: await freePort(), httpPort: await freePort() });
  }
  return found;
}

/** The shipped configuration, without its password, and with AOF everysec. */
function startRedis(port: number, dir: string): Promise<Server> {
  const shipped = readFileSync(new URL("redis.conf", DEPLOY), "utf8");
  const file = join(dir, "redis.conf");
  writeFileSync(file, shipped.replace(/^(include|dir) .*$/gm, ""));
  return Server.start({
    name: "redis",
    command: "redis-server",
    args: [
      file,
      ...["--port", `${port}`, "--bind", "127.0.0.1", "--dir", dir],
      ...["--appendfsync", "everysec"],
    ],
    ready: (child) => firstLine(child, (line) => line.includes("Ready to accept connections")),
  });
}

function startGateway(
  number: number,
  { port, httpPort }: { readonly port: number; readonly httpPort: number },
  common: readonly string[],
): Promise<Server> {
  // Loopback instead of the compose network.
  const own = ["--port", `${port}`, "--http-port", `${httpPort}`];
  const set = ["gateway.tcp.host=127.0.0.1", "gateway.http.host=127.0.0.1"];
  return startOmega(`gateway ${number}`, ["gateway", ...common, ...own], set);
}

function startAggregator(
  number: number,
  httpPort: number,
  common: readonly string[],
): Promise<Server> {
  const own = ["--http-port", `${httpPort}`];
  const set = [
    "aggregator.http.host=127.0.0.1",
    // A release every second instead of every minute, so that devices have something to converge to.
    ...["releaser.cadenceMs=1000", "releaser.minDevices=2"],
  ];
  return startOmega(`aggregator ${number}`, ["aggregator", ...common, ...own], set);
}

function startOmega(name: string, args: readonly string[], set: readonly string[]) {
  const settings = [...set, "log.level=error"].flatMap((each) => ["--set", each]);
  return Server.start({
    name,
    command: process.execPath,
    args: [CLI, ...args, "--json", ...settings],
    ready: (child) => firstLine(child, (line) => line.startsWith("{") && line.includes('"ready"')),
  });
}

function startHaproxy(file: string, port: number): Promise<Server> {
  return Server.start({
    name: "HAProxy",
    command: "haproxy",
    args: ["-db", "-f", file],
    ready: () => accepting(port, "HAProxy"),
  });
}

async function heldBy(httpPort: number): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${httpPort}/metrics`);
  return Number(HELD.exec(await response.text())?.[1] ?? 0);
}
