/**
 * The demo: the whole product on one machine, with its own gateway killed once in the middle.
 *
 *   prepare world → open backend → aggregator, releaser, gateway process
 *   → TVs live through their history ── kill -9 gateway, start it again ──
 *   → outboxes and queue run empty → last release → every TV on it → verdict
 *
 * Nothing is mocked and nothing is skipped: the verdict compares what TVs were
 * acknowledged with what the store committed.
 * @module
 */
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { verifyShards } from "../../aggregate/index.ts";
import {
  assert,
  type Clock,
  type Service,
  seededRandom,
  sleep,
  startAll,
  stopAll,
  systemRandom,
  TimeoutError,
  within,
} from "../../core/index.ts";
import { Fleet, findAnchors, type History, makeCatalogue } from "../../fleet/index.ts";
import { createLogger, createMetrics } from "../../observe/index.ts";
import type { DeltaProducer } from "../../queue/index.ts";
import type { ShardStats } from "../../store/index.ts";
import { loadZstd } from "../../wire/index.ts";
import { type OpenBackend, openBackend } from "../compose/backend.ts";
import { createWorkers, type Workers } from "../compose/services.ts";
import type { Config } from "../config.ts";
import { freePorts } from "./free-ports.ts";
import { GatewayProcess } from "./gateway-process.ts";
import type { DemoProgress, LiveTable } from "./live-table.ts";
import { type DemoResult, judge, lostOf } from "./verdict.ts";

export interface DemoOptions {
  readonly history: History;
  /** How long the TVs live, settle and converge, seconds, ≥ 5. */
  readonly seconds: number;
  /** A configuration with this path set and that tenant named; see demo-command.ts. */
  readonly configOf: (settings: Readonly<Record<string, string>>) => Config;
  readonly table: LiveTable;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

const ANCHORS = 100;
const ANCHOR_SEED = 20_130_301;
const SYNCS_PER_DEVICE = 6;
/** The part of the time in which TVs live; the rest is for settling. */
const ACTIVE_SHARE = 0.85;
/** The gateway dies in the middle of that. */
const KILL_SHARE = 0.5;
const GATEWAY_DOWN_MS = 1_000;
/** After the announced time it goes on while anything still moves, and this long after nothing did. */
const STALL_MS = 30_000;
/**
 * The embedded database is one thread: more writers of more small commits would only stand in
 * line there, in front of the gateway's adds.
 */
const FOR_ONE_DATABASE_THREAD = { shards: "1", "aggregator.commitIntervalMs": "1000" };
const TICK_MS = 500;
const WATCH_MS = 1_000;
const LOOK_MS_MAX = 15_000;
const RELEASE_CADENCE_MS_MIN = 2_000;
/** One process plays every TV, and each reads every release: more TVs need a slower pace. */
const RELEASE_CADENCE_MS_PER_DEVICE = 15;

export async function runDemo(options: DemoOptions): Promise<DemoResult> {
  const workDir = await mkdtemp(join(tmpdir(), "omega-demo-"));
  try {
    return await withBackend(options, workDir);
  } finally {
    await rm(workDir, { recursive: true, force: true, maxRetries: 3 });
  }
}

async function withBackend(options: DemoOptions, workDir: string): Promise<DemoResult> {
  const [mqttPort = 0, httpPort = 0] = await freePorts(2);
  const tenant = `demo-${randomUUID().slice(0, 8)}`;
  const devices = options.history.viewers.length;
  const settings = {
    dataDir: join(workDir, "database"),
    [`tenants.${tenant}.dim`]: "384",
    "gateway.tcp.port": `${mqttPort}`,
    "gateway.http.port": `${httpPort}`,
    "releaser.cadenceMs": `${Math.max(RELEASE_CADENCE_MS_MIN, RELEASE_CADENCE_MS_PER_DEVICE * devices)}`,
    // A handful of TVs must be enough to release a pattern where there are only dozens.
    "releaser.minDevices": `${Math.max(2, Math.min(50, Math.floor(devices / 20)))}`,
  };
  const plain = options.configOf(settings);
  const config =
    plain.backend.kind === "embedded"
      ? options.configOf({ ...settings, ...FOR_ONE_DATABASE_THREAD })
      : plain;
  const log = createLogger({ level: config.log.level, name: "omega-demo" });
  options.table.say(`opening the backend (${config.backend.kind}) …`);
  const backend = await openBackend({ config, log, metrics: createMetrics() });
  try {
    options.table.say(`backend ${backend.kind}; survives ${backend.survives}`);
    const stage: Stage = { ...options, workDir, tenant, config, backend, log, mqttPort, httpPort };
    return await new Demo(stage, await partsOf(stage)).run();
  } finally {
    await backend.close();
  }
}

interface Stage extends DemoOptions {
  readonly workDir: string;
  readonly tenant: string;
  readonly config: Config;
  readonly backend: OpenBackend;
  readonly log: ReturnType<typeof createLogger>;
  readonly mqttPort: number;
  readonly httpPort: number;
}

interface DemoParts {
  readonly workers: Workers;
  readonly gateway: GatewayProcess;
  readonly fleet: Fleet;
  /** Only asked for the queue's depth. */
  readonly producer: DeltaProducer;
}

async function partsOf(stage: Stage): Promise<DemoParts> {
  const { config, backend, log, history, clock, tenant } = stage;
  const zstd = await loadZstd();
  const shared = { config, backend, zstd, log, metrics: createMetrics(), history: null };
  stage.table.say(
    `${history.viewers.length} viewers, ${history.items.length} items: finding anchors …`,
  );
  const catalogue = makeCatalogue(history.items, config.tenants[tenant]?.dim ?? 384);
  const anchors = findAnchors(catalogue, { count: ANCHORS, seed: ANCHOR_SEED });
  const fleet = new Fleet({
    tenant,
    endpoints: [`mqtt://127.0.0.1:${stage.mqttPort}`],
    viewers: history.viewers,
    catalogue,
    anchors,
    dataDir: join(stage.workDir, "devices"),
    activeMs: stage.seconds * 1_000 * ACTIVE_SHARE,
    syncsPerDevice: SYNCS_PER_DEVICE,
    clock,
    random: seededRandom(Math.floor(systemRandom.next() * 2 ** 32)),
    zstd,
    log,
  });
  return {
    workers: createWorkers(shared, [tenant]),
    gateway: new GatewayProcess({
      env: gatewayEnvironment(stage),
      database: backend.database,
      httpPort: stage.httpPort,
      clock,
    }),
    fleet,
    producer: await backend.queue.producer(),
  };
}

function gatewayEnvironment({ config, tenant, mqttPort, httpPort }: Stage): Record<string, string> {
  const { backend } = config;
  return {
    OMEGA_BACKEND: backend.kind === "embedded" ? "embedded" : backend.url.reveal(),
    OMEGA_SHARDS: `${config.shards}`,
    [`OMEGA_TENANTS__${tenant}__DIM`]: `${config.tenants[tenant]?.dim ?? 384}`,
    OMEGA_GATEWAY__TCP__PORT: `${mqttPort}`,
    OMEGA_GATEWAY__HTTP__PORT: `${httpPort}`,
    // Everyone is gone when the demo ends: there is nothing to hand over slowly.
    OMEGA_GATEWAY__DRAIN__READY_GRACE_MS: "0",
    OMEGA_GATEWAY__DRAIN__CLOSE_MS: "0",
    OMEGA_LOG__LEVEL: "error",
  };
}

class Demo {
  readonly #stage: Stage;
  readonly #parts: DemoParts;
  readonly #services: readonly Service[];
  #before: ShardStats = { applied: 0, duplicates: 0, deadLettered: 0 };
  #stats: ShardStats = this.#before;
  #queue = 0;
  #version = 0;
  #kills = 0;
  #startedMs = 0;
  #phase = "starting";

  constructor(stage: Stage, parts: DemoParts) {
    this.#stage = stage;
    this.#parts = parts;
    const { workers, gateway, fleet } = parts;
    const gatewayService: Service = {
      name: "gateway process",
      start: () => gateway.start(),
      stop: () => gateway.stop(),
    };
    this.#services = [...workers.services, gatewayService, fleet];
  }

  async run(): Promise<DemoResult> {
    const { clock, table } = this.#stage;
    this.#before = await this.#totals();
    this.#startedMs = clock.monotonicMs();
    const watching = new AbortController();
    const watch = this.#watch(watching.signal);
    try {
      await startAll(this.#services);
      this.#startedMs = clock.monotonicMs();
      await this.#live();
      await this.#settle();
      table.show(this.#progress());
      return await this.#verdict();
    } finally {
      watching.abort(new Error("the demo ends"));
      await watch;
      table.end();
      await stopAll(this.#services);
    }
  }

  async #live(): Promise<void> {
    const { clock, seconds, table, signal } = this.#stage;
    const { fleet, gateway } = this.#parts;
    this.#phase = "TVs live and push";
    const lives = fleet.live();
    // Awaited below; until then an early end must not count as unhandled.
    lives.catch(() => {});
    await sleep(clock, seconds * 1_000 * ACTIVE_SHARE * KILL_SHARE, signal);
    table.say(`kill -9 of the gateway (pid ${gateway.pid}) while TVs push …`);
    await gateway.kill();
    this.#kills += 1;
    this.#phase = "gateway is dead";
    await sleep(clock, GATEWAY_DOWN_MS, signal);
    await gateway.start();
    table.say(`a new gateway (pid ${gateway.pid}) is ready; TVs reconnect and send again`);
    this.#phase = "TVs live and push";
    await lives;
  }

  /** Until nothing is under way any more and everyone holds the last release, or time is up. */
  async #settle(): Promise<void> {
    const { fleet, workers } = this.#parts;
    this.#phase = "outboxes and queue run empty";
    await this.#until(async () => {
      await this.#look();
      return (
        fleet.pending() === 0 && this.#queue === 0 && this.#stats.applied >= fleet.scoreboard.acked
      );
    });
    this.#phase = "last release reaches every TV";
    await workers.releaser.releaseNow(this.#stage.tenant);
    await this.#until(async () => {
      await this.#look();
      return this.#version > 0 && fleet.holding(this.#version) === fleet.devices.length;
    });
  }

  /** Waits for `done`: the announced time, then as long as something still moves. */
  async #until(done: () => Promise<boolean>): Promise<void> {
    const { clock, seconds, signal } = this.#stage;
    const endMs = this.#startedMs + seconds * 1_000;
    let moved = this.#motion();
    let movedMs = clock.monotonicMs();
    while (!(await done())) {
      const nowMs = clock.monotonicMs();
      const motion = this.#motion();
      if (motion !== moved) {
        moved = motion;
        movedMs = nowMs;
      }
      if (nowMs > Math.max(endMs, movedMs + STALL_MS)) return;
      await sleep(clock, TICK_MS, signal);
    }
  }

  /** Changes whenever something got further. */
  #motion(): string {
    const { fleet } = this.#parts;
    const { applied, duplicates, deadLettered } = this.#stats;
    const told = fleet.holding(this.#version);
    return [
      applied,
      duplicates,
      deadLettered,
      this.#queue,
      fleet.pending(),
      this.#version,
      told,
    ].join();
  }

  async #verdict(): Promise<DemoResult> {
    const { backend, clock, config, tenant } = this.#stage;
    const { fleet } = this.#parts;
    this.#phase = "checking every sum and cursor";
    const keys = fleet.devices.map((device) => device.key);
    const cursors = await backend.store.cursors(keys);
    const lost = fleet.devices.reduce(
      (sum, device, index) => sum + lostOf(device.acked, cursors[index] ?? null),
      0,
    );
    const shards = await verifyShards(backend.store, keys, config.releaser, clock.nowMs());
    const mismatches = shards.flatMap((shard) => shard.mismatches);
    await this.#look();
    return judge({
      devices: fleet.devices.length,
      scoreboard: fleet.scoreboard,
      stats: this.#stats,
      lost,
      version: this.#version,
      converged: fleet.holding(this.#version),
      gatewayKills: this.#kills,
      mismatches: mismatches.filter((mismatch) => mismatch.tenant === tenant).length,
    });
  }

  /** Reads what only the backend knows; a backend that does not answer in time leaves it as it was. */
  async #look(): Promise<void> {
    const { clock, log } = this.#stage;
    const late = () => new TimeoutError("demo.look", `no answer in ${LOOK_MS_MAX} ms`);
    await within(clock, LOOK_MS_MAX, this.#read(), late).catch((error: unknown) => {
      log.warn("demo.look", { error });
    });
  }

  async #read(): Promise<void> {
    const { backend, tenant } = this.#stage;
    const totals = await this.#totals();
    this.#stats = {
      applied: totals.applied - this.#before.applied,
      duplicates: totals.duplicates - this.#before.duplicates,
      deadLettered: totals.deadLettered - this.#before.deadLettered,
    };
    this.#queue = await this.#parts.producer.depth();
    const ladder = (await backend.store.currentRelease(tenant))?.ladder;
    assert((ladder?.version ?? 0) >= this.#version, "P5: versions rise at the publisher");
    this.#version = ladder?.version ?? 0;
  }

  async #totals(): Promise<ShardStats> {
    const { backend, config } = this.#stage;
    const shards = Array.from({ length: config.shards }, (_, shard) => backend.store.stats(shard));
    const all = await Promise.all(shards);
    const sum = (name: keyof ShardStats) => all.reduce((total, stats) => total + stats[name], 0);
    return {
      applied: sum("applied"),
      duplicates: sum("duplicates"),
      deadLettered: sum("deadLettered"),
    };
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const { clock, table } = this.#stage;
    while (!signal.aborted) {
      await this.#look();
      if (!signal.aborted) table.show(this.#progress());
      await sleep(clock, WATCH_MS, signal).catch(() => {});
    }
  }

  #progress(): DemoProgress {
    const { fleet } = this.#parts;
    const { acked, rawBytes, pushBytes } = fleet.scoreboard;
    return {
      phase: this.#phase,
      elapsedS: (this.#stage.clock.monotonicMs() - this.#startedMs) / 1_000,
      devices: fleet.devices.length,
      online: fleet.online(),
      acked,
      ...{ applied: this.#stats.applied, duplicates: this.#stats.duplicates },
      ...{ rawBytes, wireBytes: pushBytes.total },
      queue: this.#queue,
      version: this.#version,
      newest: this.#version === 0 ? 0 : fleet.holding(this.#version),
      gatewayKills: this.#kills,
    };
  }
}
