/**
 * One gateway as it is started in production, on a Redis of its own, with nothing else beside it.
 * @module
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { silentLogger } from "../../src/observe/index.ts";
import { redisStore, type Store } from "../../src/store/index.ts";
import { cpuUs, firstLine, freePort, rssBytes, start, stop } from "../support/processes.ts";
import { startRedis } from "../support/redis.ts";
import { type CrowdProcess, startCrowd } from "./crowd-process.ts";

export interface World {
  readonly gateway: Measured;
  readonly redis: Measured;
  readonly store: Store;
  crowd(minor?: 0 | 1): CrowdProcess;
  /** The longest event-loop delay since the last time it was asked, milliseconds. */
  loopDelayMsMax(): Promise<number>;
  end(): Promise<void>;
}

interface Measured {
  readonly pid: number;
  cpuUs(): number;
  rssBytes(): number;
}

export const SHARDS = 4;
const CLI = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));
const LOOP_DELAY = "nodejs_eventloop_lag_max_seconds";

/** `settings`: `path=value` pairs over the defaults. */
export async function startWorld(settings: readonly string[] = []): Promise<World> {
  const dir = mkdtempSync(join(tmpdir(), "omega-bench-"));
  const files = makeCertificate(dir);
  const redis = await startRedis();
  const [tcpPort, tlsPort, httpPort] = [await freePort(), await freePort(), await freePort()];
  const set = [
    ...["log.level=warn", `shards=${SHARDS}`, `gateway.tls.port=${tlsPort}`],
    ...["gateway.tls.enabled=true", `gateway.tls.certFile=${files.cert}`],
    ...[`gateway.tls.keyFile=${files.key}`, ...settings],
  ];
  const gateway = start(process.execPath, [
    ...[CLI, "gateway", "--redis", redis.url, "--json"],
    ...["--port", `${tcpPort}`, "--http-port", `${httpPort}`],
    ...set.flatMap((each) => ["--set", each]),
  ]);
  await firstLine(gateway, (line) => line.startsWith("{") && line.includes('"ready"'));
  const store = await redisStore({ url: redis.url, shards: SHARDS, log: silentLogger });
  const crowds: CrowdProcess[] = [];
  const ca = readFileSync(files.cert, "utf8");
  return {
    gateway: measured(gateway.pid ?? -1),
    redis: measured(redis.pid),
    store,
    crowd(minor = 1) {
      const crowd = startCrowd({ tcpPort, tlsPort, ca, minor });
      crowds.push(crowd);
      return crowd;
    },
    loopDelayMsMax: () => loopDelayMsMax(httpPort),
    async end() {
      for (const crowd of crowds) await crowd.end();
      await store.close();
      await stop(gateway);
      await redis.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

function measured(pid: number): Measured {
  return { pid, cpuUs: () => cpuUs(pid), rssBytes: () => rssBytes(pid) };
}

async function loopDelayMsMax(port: number): Promise<number> {
  const page = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  const line = page.split("\n").find((each) => each.startsWith(`${LOOP_DELAY} `));
  if (line === undefined) throw new Error(`/metrics does not tell ${LOOP_DELAY}`);
  return Number(line.slice(LOOP_DELAY.length)) * 1_000;
}

/** A self-signed certificate for 127.0.0.1; ECDSA P-256, as a fleet would have it. */
function makeCertificate(dir: string): { cert: string; key: string } {
  const [cert, key] = [join(dir, "server.pem"), join(dir, "server.key")];
  const how = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
  const names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"];
  execFileSync("openssl", ["req", "-x509", ...how, "-keyout", key, "-out", cert, ...names], {
    stdio: "ignore",
  });
  return { cert, key };
}
