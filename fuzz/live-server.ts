/**
 * A gateway and an aggregator as they run in production, on a Redis of their own: what the live targets attack.
 * @module
 */
import { fileURLToPath } from "node:url";
import { firstLine, freePort, rssBytes, start, stop } from "../bench/support/processes.ts";
import { startRedis } from "../bench/support/redis.ts";

export interface LiveServer {
  readonly mqttPort: number;
  readonly httpPort: number;
  /** Whether the gateway is still the process that was started. */
  isAlive(): boolean;
  gatewayRssMiB(): number;
  /** The longest event-loop delay of the gateway since the last time it was asked, milliseconds. */
  loopDelayMsMax(): Promise<number>;
  end(): Promise<void>;
}

const CLI = fileURLToPath(new URL("../src/cli/main.js", import.meta.url));
const LOOP_DELAY = "nodejs_eventloop_lag_max_seconds";
const MIB = 1024 ** 2;
/** A fuzzer connects far more often than a fleet; the bound on connects is not what it looks for. */
const SETTINGS = [
  "log.level=error",
  "gateway.limits.connectsPerS=100000",
  "gateway.limits.connectsBurst=100000",
  "gateway.limits.deltasPerDeviceS=0",
  "gateway.limits.connectsPerDeviceMin=0",
];

export async function startLiveServer(): Promise<LiveServer> {
  const redis = await startRedis();
  const [mqttPort, httpPort, otherPort] = [await freePort(), await freePort(), await freePort()];
  const settings = SETTINGS.flatMap((each) => ["--set", each]);
  const run = async (args: readonly string[]) => {
    const child = start(process.execPath, [
      CLI,
      ...args,
      "--redis",
      redis.url,
      "--json",
      ...settings,
    ]);
    await firstLine(child, (line) => line.startsWith("{") && line.includes('"ready"'));
    return child;
  };
  const aggregator = await run(["aggregator", "--http-port", `${otherPort}`]);
  const gateway = await run(["gateway", "--port", `${mqttPort}`, "--http-port", `${httpPort}`]);
  return {
    ...{ mqttPort, httpPort },
    isAlive: () => gateway.exitCode === null && gateway.signalCode === null,
    gatewayRssMiB: () => rssBytes(gateway.pid ?? -1) / MIB,
    async loopDelayMsMax() {
      const page = await (await fetch(`http://127.0.0.1:${httpPort}/metrics`)).text();
      const line = page.split("\n").find((each) => each.startsWith(`${LOOP_DELAY} `));
      return Number(line?.slice(LOOP_DELAY.length) ?? Number.NaN) * 1_000;
    },
    async end() {
      await stop(gateway);
      await stop(aggregator);
      await redis.stop();
    },
  };
}
