/**
 * The rig: every process of a deployment and of its devices, and a fault proxy in each link.
 *
 *   devices ─▶ HAProxy ─▶ gateway 1 … 3 ─▶ backend ◀─ aggregator 1, 2
 *
 * Every arrow is a link. The embedded database has one process for all behind HAProxy.
 * @module
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { haproxyConfig } from "../../bench/support/haproxy.ts";
import { type Random, seededRandom } from "../../src/core/index.ts";
import { freePort } from "../support/disk.ts";
import type { BarePlan } from "./bare.ts";
import { Disk } from "./disk-of-its-own.ts";
import type { CrowdPlan, DevicePlan } from "./messages.ts";
import { Part } from "./part.ts";
import { FaultProxy } from "./proxy.ts";
import { startAof, startReplicated } from "./redis-stages.ts";
import type { BackendName, Targets } from "./schedule.ts";
import { embedded, startPostgres } from "./sql-stages.ts";
import type { Stage, StageOptions } from "./stage.ts";

/** What is hurt: the product, or what it is compared with. */
export type SystemName = "omega-sync" | "bare-aedes";

export interface RigOptions {
  readonly system: SystemName;
  readonly backend: BackendName;
  /** An empty folder for all that the run leaves. */
  readonly dir: string;
  /** Light and real ones together. */
  readonly devices: number;
  readonly deltasPerS: number;
  readonly seed: number;
  /** Settings of the product beside those that all runs have, as `path=value`. */
  readonly set: readonly string[];
  /** A built checkout of another version: gateways and aggregators are of it in every second life. */
  readonly beside: string | null;
}

export interface Rig {
  readonly stage: Stage;
  readonly links: ReadonlyMap<string, FaultProxy>;
  readonly parts: ReadonlyMap<string, Part>;
  readonly disks: ReadonlyMap<string, Disk>;
  readonly targets: Targets;
  readonly realDevices: readonly string[];
  readonly historyDir: string;
  /** Files of frames by their hash. */
  readonly framesDir: string;
  /** The processes of the product, devices last: for an end in good order. */
  readonly servers: readonly Part[];
  /** Where the first of them, a gateway or the one for all, has its /metrics. */
  readonly metricsPort: number;
  readonly all: readonly Part[];
  stop(): Promise<void>;
}

const GATEWAYS = 3;
const AGGREGATORS = 2;
const CROWDS = 2;
const DEVICE_PROCESSES = 4;
const DEVICES_PER_PROCESS = 5;
const DEVICE_PUT_MS = 2_000;
const DEVICE_DISK_MIB = 8;
const DIM = 64;
const EXIT_UNAVAILABLE = 69;

const CLI = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));
/** The same file in a checkout. */
export const BUILT_CLI = join("dist", "src", "cli", "main.js");
const DEPLOY = new URL("../../../deploy/", import.meta.url);
const moduleOf = (name: string) => fileURLToPath(new URL(`./${name}.js`, import.meta.url));

/** Shorter than in production, so that a fault of seconds outlasts some of them. */
const SETTINGS = [
  `tenants.default.dim=${DIM}`,
  "aggregator.leaseTtlMs=3000",
  "releaser.cadenceMs=2000",
  "releaser.minDevices=2",
  // Models are learnt in minutes and used for months; what they code is judged elsewhere.
  "codec.learn=false",
  "gateway.limits.addTimeoutMs=4000",
  "gateway.drain.readyGraceMs=2500",
  "gateway.drain.closeMs=1000",
  "log.level=warn",
];

const STAGES: Readonly<Record<BackendName, (options: StageOptions) => Stage | Promise<Stage>>> = {
  aof: startAof,
  replicated: startReplicated,
  postgres: startPostgres,
  embedded,
};

export async function startRig(options: RigOptions): Promise<Rig> {
  const builder = new Builder(options);
  try {
    return await builder.build();
  } catch (error) {
    await builder.stop();
    throw error;
  }
}

class Builder {
  readonly #options: RigOptions;
  readonly #random: Random;
  readonly #links = new Map<string, FaultProxy>();
  readonly #parts: Part[] = [];
  readonly #disks = new Map<string, Disk>();
  #served = 0;
  readonly #historyDir: string;
  readonly #framesDir: string;

  constructor(options: RigOptions) {
    this.#options = options;
    this.#random = seededRandom(options.seed);
    this.#historyDir = join(options.dir, "history");
    this.#framesDir = join(options.dir, "frames");
  }

  async build(): Promise<Rig> {
    const { backend, dir } = this.#options;
    for (const path of [this.#historyDir, this.#framesDir]) mkdirSync(path, { recursive: true });
    const link = (name: string, targetPort: number) => this.#link(name, targetPort);
    const stage = await STAGES[backend]({ dir, link });
    this.#parts.push(...stage.servers, ...stage.helpers);
    for (const [name, disk] of stage.disks) this.#disks.set(name, disk);
    const { gateways, aggregators, ports } = await this.#servers(stage);
    const { haproxy, port } = await this.#haproxy(ports);
    const { crowds, devices, realDevices } = await this.#devices(port);
    const names = (parts: readonly Part[]) => parts.map(({ name }) => name);
    return {
      ...{ stage, links: this.#links, disks: this.#disks, realDevices },
      parts: new Map(this.#parts.map((part) => [part.name, part])),
      targets: {
        links: [...this.#links.keys()],
        ...{ gateways: names(gateways), aggregators: names(aggregators), haproxy: haproxy.name },
        ...{ crowds: names(crowds), devices: names(devices), stores: names(stage.servers) },
        clocks: names(stage.servers.filter(({ clock }) => clock !== null)),
        disks: [...this.#disks.keys()],
        canFailOver: stage.failOver !== null,
        takesJobs: stage.poisonJob !== null,
      },
      ...{ historyDir: this.#historyDir, framesDir: this.#framesDir },
      servers: [...gateways, ...aggregators],
      metricsPort: ports[0]?.httpPort ?? 0,
      all: this.#parts,
      stop: () => this.stop(),
    };
  }

  async stop(): Promise<void> {
    await Promise.all(this.#parts.map((part) => part.stop(0)));
    for (const proxy of this.#links.values()) await proxy.stop();
    for (const disk of this.#disks.values()) disk.remove();
  }

  async #link(name: string, targetPort: number): Promise<number> {
    const port = await freePort();
    this.#links.set(name, await FaultProxy.start({ targetPort, port, random: this.#random }));
    return port;
  }

  async #servers(stage: Stage) {
    const gateways: Part[] = [];
    const aggregators: Part[] = [];
    const ports: { port: number; httpPort: number }[] = [];
    const isOne = this.#options.backend === "embedded";
    for (let n = 1; n <= (isOne ? 1 : GATEWAYS); n += 1) {
      const name = isOne ? "start" : `gateway-${n}`;
      const [port, httpPort] = [await freePort(), await freePort()];
      const flags = await stage.flagsFor(`${name}→store`);
      const command = isOne ? "start" : "gateway";
      gateways.push(this.#server({ name, command, port, httpPort, flags }));
      ports.push({ port: await this.#link(`haproxy→${name}`, port), httpPort });
    }
    for (let n = 1; !isOne && n <= AGGREGATORS; n += 1) {
      const name = `aggregator-${n}`;
      const flags = await stage.flagsFor(`${name}→store`);
      const httpPort = await freePort();
      aggregators.push(this.#server({ name, command: "aggregator", port: null, httpPort, flags }));
    }
    await Promise.all([...gateways, ...aggregators].map((part) => part.start()));
    return { gateways, aggregators, ports };
  }

  #server(of: ServerOptions): Part {
    const { name, httpPort } = of;
    const history = join(this.#historyDir, `${name}.jsonl`);
    const { system, set } = this.#options;
    const nextCli = this.#versions();
    const args = () =>
      system === "bare-aedes"
        ? bareArgs(of, history)
        : [nextCli(), ...productArgs(of, history, set)];
    return this.#part({
      ...{ name, command: process.execPath, args },
      ready: () => isUp(httpPort),
      mayEndWith: [EXIT_UNAVAILABLE],
    });
  }

  /** The programs of one server's lives. Of two servers that begin together one is of each version. */
  #versions(): () => string {
    const { beside } = this.#options;
    const versions = beside === null ? [CLI] : [CLI, join(beside, BUILT_CLI)];
    this.#served += 1;
    let life = this.#served;
    return () => {
      life += 1;
      return versions[life % versions.length] ?? CLI;
    };
  }

  async #haproxy(servers: readonly { readonly port: number; readonly httpPort: number }[]) {
    const mqttPort = await freePort();
    const shipped = readFileSync(new URL("haproxy.cfg", DEPLOY), "utf8");
    const file = join(this.#options.dir, "haproxy.cfg");
    writeFileSync(file, haproxyConfig({ shipped, mqttPort, servers }));
    const haproxy = this.#part({
      ...{ name: "haproxy", command: "haproxy", args: () => ["-db", "-f", file] },
      ready: async () => true,
      mayEndWith: [],
    });
    await haproxy.start();
    return { haproxy, port: await this.#link("devices→haproxy", mqttPort) };
  }

  async #devices(port: number) {
    const { devices, deltasPerS, seed, dir } = this.#options;
    const real = Array.from(
      { length: DEVICE_PROCESSES * DEVICES_PER_PROCESS },
      (_, n) => `tv-${n}`,
    );
    const light = Math.max(CROWDS, devices - real.length);
    const crowds = Array.from({ length: CROWDS }, (_, n) => {
      const first = Math.floor((light * n) / CROWDS);
      const count = Math.floor((light * (n + 1)) / CROWDS) - first;
      const share = { first, devices: count, deltasPerS: deltasPerS / CROWDS };
      return this.#crowd(`crowd-${n + 1}`, { port, seed: seed + n, ...share });
    });
    const parts = Array.from({ length: DEVICE_PROCESSES }, (_, n) => {
      const name = `devices-${n + 1}`;
      const own = real.slice(n * DEVICES_PER_PROCESS, (n + 1) * DEVICES_PER_PROCESS);
      const dataDir = join(dir, name);
      if (n > 0) mkdirSync(dataDir);
      else this.#deviceDisk(name, dataDir);
      return this.#realDevices(name, { port, devices: own, dataDir, seed });
    });
    await Promise.all([...crowds, ...parts].map((part) => part.start()));
    return { crowds, devices: parts, realDevices: real };
  }

  #deviceDisk(name: string, path: string): void {
    const disk = new Disk(path, DEVICE_DISK_MIB);
    if (disk.canBeFull) this.#disks.set(name, disk);
  }

  #crowd(name: string, plan: Omit<CrowdPlan, "dim" | "history" | "epoch">): Part {
    let lives = 0;
    const history = join(this.#historyDir, `${name}.jsonl`);
    return this.#deviceProcess(name, "crowd-main", () => {
      lives += 1;
      return { ...plan, dim: DIM, history, epoch: lives } satisfies CrowdPlan;
    });
  }

  #realDevices(
    name: string,
    plan: Pick<DevicePlan, "port" | "devices" | "dataDir" | "seed">,
  ): Part {
    const files = {
      history: join(this.#historyDir, `${name}.jsonl`),
      frames: join(this.#framesDir, `${name}.jsonl`),
    };
    const whole = { ...plan, ...files, dim: DIM, putEveryMs: DEVICE_PUT_MS } satisfies DevicePlan;
    return this.#deviceProcess(name, "device-main", () => whole);
  }

  #deviceProcess(name: string, module: string, plan: () => object): Part {
    return this.#part({
      ...{ name, command: process.execPath, ipc: true },
      args: () => [moduleOf(module), JSON.stringify(plan())],
      ready: async (child) => child.connected,
      // A real device whose disk is full at its start.
      mayEndWith: [1],
    });
  }

  #part(spec: Omit<ConstructorParameters<typeof Part>[0], "logFile">): Part {
    const { dir } = this.#options;
    // Its own folder: an omega.yaml of who runs this must not be read.
    const settings = { cwd: dir };
    const part = new Part({ settings, ...spec, logFile: join(dir, `${spec.name}.log`) });
    this.#parts.push(part);
    return part;
  }
}

interface ServerOptions {
  readonly name: string;
  readonly command: "gateway" | "aggregator" | "start";
  /** Where devices come in; null: nowhere. */
  readonly port: number | null;
  readonly httpPort: number;
  /** How it is told of its backend; the flag and the URL. */
  readonly flags: readonly string[];
}

function productArgs(of: ServerOptions, history: string, set: readonly string[]): string[] {
  const { command, port, httpPort, flags } = of;
  const settings = [...SETTINGS, `history=${history}`, ...set].flatMap((each) => ["--set", each]);
  const where = port === null ? [] : ["--port", `${port}`];
  return [command, ...flags, ...where, "--http-port", `${httpPort}`, "--json", ...settings];
}

function bareArgs({ command, port, httpPort, flags }: ServerOptions, history: string): string[] {
  const [, redisUrl = ""] = flags;
  const plan: BarePlan = { redisUrl, port: port ?? 0, httpPort, history };
  return [moduleOf("bare-main"), command, JSON.stringify(plan)];
}

async function isUp(httpPort: number): Promise<boolean> {
  try {
    const answer = await fetch(`http://127.0.0.1:${httpPort}/readyz`, {
      signal: AbortSignal.timeout(1_000),
    });
    return answer.ok;
  } catch {
    return false;
  }
}
