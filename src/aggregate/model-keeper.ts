/**
 * The model keeper: it learns a tenant's codec models from what this process has in memory.
 *
 * It works under the tenant's releaser lease, so there is one at a time, and in
 * the process whose releaser holds it. That process may write only some of the
 * shards; devices are spread over shards by hash, so its share is a fair sample.
 * The training runs in a thread of its own. Whatever goes wrong is left to the
 * next round, and a model that was learnt for nothing is simply forgotten.
 *
 *   registers in memory ─▶ sample ─▶ space 0 ─▶ train ─▶ better? ─▶ Store.putModel
 * @module
 */
import {
  type Clock,
  limits,
  messageOf,
  OmegaError,
  type Random,
  type Service,
  systemClock,
  systemRandom,
} from "../core/index.ts";
import { type Logger, type Metrics, noMetrics, silentLogger } from "../observe/index.ts";
import type { Store, StoredModel } from "../store/index.ts";
import { bodyBytesMax, modelBytes } from "../wire/index.ts";
import { type KeeperMetrics, keeperMetrics } from "./aggregate-metrics.ts";
import { trainInThread } from "./codec-trainer-thread.ts";
import type { TrainedCodec } from "./codec-training.ts";
import { isForgetMark } from "./forget-mark.ts";
import {
  type Attempt,
  DEFAULT_MODEL_POLICY,
  droppable,
  isBetter,
  isPromising,
  isRipe,
  lacks,
  type ModelPolicy,
  SAMPLES_MAX,
} from "./model-policy.ts";
import { ModelSample, type PlacedVector } from "./model-sample.ts";
import { ModelShelf } from "./model-shelf.ts";
import { pause } from "./pause.ts";
import type { Register } from "./register.ts";
import { Rounds } from "./rounds.ts";
import { decodeSums } from "./sums.ts";
import { turnBack } from "./turn-back.ts";

interface KeeperSettings {
  /** From one look to the next, milliseconds; each wait is 0.9–1.1 of it. */
  readonly cadenceMs: number;
}

const DEFAULT_KEEPER_SETTINGS: KeeperSettings = { cadenceMs: 60_000 };

/** Old models are looked for no more often than this: it takes reading all sums. */
const DROP_EVERY_MS = 3_600_000;
/** Room for a model in its frame: devices get it in one, and for larger ones the rotation serves. */
const MODEL_BODY_BYTES_MAX = bodyBytesMax(limits.MODEL_FRAME_BYTES_MAX);

export interface ModelKeeperOptions {
  readonly store: Store;
  /** What the process has in memory; an `Aggregator`. */
  readonly registers: {
    /** Shard by shard, the registers of each device of `tenant`. */
    inMemory(tenant: string): Iterable<Iterable<Iterable<Register | null>>>;
  };
  /** Who has the tenants; a `Releaser`. */
  readonly leases: {
    /** The token of the tenant's releaser lease; null while it is not ours. */
    tokenOf(tenant: string): number | null;
  };
  readonly tenants: readonly string[];
  readonly dimOf: (tenant: string) => number;
  readonly policy?: Partial<ModelPolicy>;
  readonly settings?: Partial<KeeperSettings>;
  /** Default: in a thread. */
  readonly train?: typeof trainInThread;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly log?: Logger;
  readonly metrics?: Metrics;
}

/** What a look at one tenant came to. */
export type KeeperOutcome =
  | { readonly kind: "published"; readonly version: number; readonly gainDb: number }
  /** Learnt, but not clearly better than the model in use. */
  | { readonly kind: "no-gain"; readonly gainDb: number; readonly currentGainDb: number | null }
  /** Nothing to do: another process' tenant, too large a dimension, too soon, too little. */
  | {
      readonly kind: "waiting";
      readonly for: "lease" | "dimension" | "age" | "samples" | "devices" | "growth";
    }
  | { readonly kind: "failed"; readonly reason: string };

export class ModelKeeper implements Service {
  readonly name = "model-keeper";
  readonly #options: ModelKeeperOptions;
  readonly #policy: ModelPolicy;
  readonly #train: typeof trainInThread;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #log: Logger;
  readonly #metrics: KeeperMetrics;
  readonly #shelf: ModelShelf;
  readonly #attempts = new Map<string, Attempt>();
  /** When old models were last looked for, by tenant, on the monotonic clock. */
  readonly #swept = new Map<string, number>();
  readonly #rounds: Rounds;

  constructor(options: ModelKeeperOptions) {
    this.#options = options;
    this.#policy = { ...DEFAULT_MODEL_POLICY, ...options.policy };
    this.#train = options.train ?? trainInThread;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? systemRandom;
    this.#log = options.log ?? silentLogger;
    this.#metrics = keeperMetrics(options.metrics ?? noMetrics);
    this.#shelf = new ModelShelf({ store: options.store, clock: this.#clock, log: this.#log });
    this.#rounds = new Rounds({
      ...{ name: "model keeper", clock: this.#clock, random: this.#random },
      ...{ ...DEFAULT_KEEPER_SETTINGS, ...options.settings },
      round: () => this.#tendAll(),
    });
  }

  /** Begins looking after one cadence: at the start there is nothing in memory. */
  async start(): Promise<void> {
    this.#rounds.start("wait");
  }

  /** Ends the training under way, if there is one. Idempotent. */
  async stop(): Promise<void> {
    await this.#rounds.stop();
  }

  /** Looks at one tenant now, after the round under way. Never rejects. */
  tendNow(tenant: string): Promise<KeeperOutcome> {
    return this.#rounds.inTurn(() => this.#tend(tenant));
  }

  async #tendAll(): Promise<void> {
    for (const tenant of this.#options.tenants) {
      if (this.#rounds.signal.aborted) return;
      await this.#tend(tenant);
    }
  }

  async #tend(tenant: string): Promise<KeeperOutcome> {
    try {
      const outcome = await this.#look(tenant);
      if (outcome.kind === "published") this.#log.info("model.published", { tenant, ...outcome });
      if (outcome.kind === "no-gain") this.#log.info("model.no-gain", { tenant, ...outcome });
      return outcome;
    } catch (error) {
      const reason = error instanceof OmegaError ? error.reason : "model.broken";
      if (!this.#rounds.signal.aborted) {
        this.#metrics.failures.add();
        this.#log.warn("model.failed", { tenant, reason, message: messageOf(error) });
      }
      return { kind: "failed", reason };
    }
  }

  async #look(tenant: string): Promise<KeeperOutcome> {
    const { store, leases, dimOf } = this.#options;
    const token = leases.tokenOf(tenant);
    if (token === null) return waiting("lease");
    const dim = dimOf(tenant);
    if (modelBytes(dim) > MODEL_BODY_BYTES_MAX) return waiting("dimension");
    const models = await store.models(tenant);
    const newest = models[0] ?? null;
    this.#metrics.version.set(newest?.version ?? 0);
    await this.#sweep(tenant, token, models);
    const nowMs = this.#clock.nowMs();
    if (!isRipe(newest, this.#policy, nowMs)) return waiting("age");
    const sample = await this.#sample(tenant);
    const lacking = lacks(sample, dim, this.#policy);
    if (lacking !== null) return waiting(lacking);
    const last = this.#attempts.get(tenant) ?? null;
    if (!isPromising(sample.offered, newest, last, this.#policy, nowMs)) return waiting("growth");
    this.#attempts.set(tenant, { samples: sample.offered, atMs: nowMs });
    const trained = await this.#learn(tenant, sample.vectors, newest, dim);
    return await this.#judge(tenant, token, sample.offered, trained);
  }

  async #sample(tenant: string): Promise<ModelSample> {
    const sample = new ModelSample(SAMPLES_MAX, this.#random);
    for (const shard of this.#options.registers.inMemory(tenant)) {
      for (const registers of shard) sample.offer(registers);
      await pause();
    }
    return sample;
  }

  async #learn(
    tenant: string,
    placed: readonly PlacedVector[],
    newest: StoredModel | null,
    dim: number,
  ): Promise<TrainedCodec> {
    const samples = await turnBack(tenant, placed, this.#shelf);
    const current = newest === null ? null : await this.#shelf.load(tenant, newest.version);
    this.#metrics.trainings.add();
    return await this.#train(
      samples,
      (newest?.version ?? 0) + 1,
      dim,
      this.#rounds.signal,
      current === null ? {} : { current },
    );
  }

  async #judge(
    tenant: string,
    token: number,
    samples: number,
    { bytes, model, gainDb, currentGainDb }: TrainedCodec,
  ): Promise<KeeperOutcome> {
    this.#metrics.gainDb.set(gainDb);
    if (!isBetter(gainDb, currentGainDb)) return { kind: "no-gain", gainDb, currentGainDb };
    const { version } = model;
    const stored = { version, bytes, samples, learntAtMs: this.#clock.nowMs() };
    await this.#persist(() => this.#options.store.putModel(tenant, token, stored));
    this.#metrics.version.set(version);
    return { kind: "published", version, gainDb };
  }

  /** Drops models that no sums are in any more, now and then. */
  async #sweep(tenant: string, token: number, models: readonly StoredModel[]): Promise<void> {
    const nowMs = this.#clock.monotonicMs();
    const sweptMs = this.#swept.get(tenant) ?? Number.NEGATIVE_INFINITY;
    if (droppable(models, new Set()).length === 0 || nowMs - sweptMs < DROP_EVERY_MS) return;
    this.#swept.set(tenant, nowMs);
    const { store } = this.#options;
    const inUse = new Set<number>();
    for (const { rows } of await store.loadTenantSums(tenant)) {
      for (const row of rows) {
        if (isForgetMark(row) || row.blob === null) continue;
        for (const space of decodeSums(row.blob).parts.keys()) inUse.add(space);
      }
      await pause();
    }
    const versions = droppable(models, inUse);
    if (versions.length === 0) return;
    await this.#persist(() => store.dropModels(tenant, token, versions));
    this.#log.info("model.dropped", { tenant, versions });
  }

  /** An unknown outcome is asked again: putting and dropping the same twice does no harm. */
  #persist(call: () => Promise<void>): Promise<void> {
    return this.#rounds.persist(call, (message) => this.#log.warn("model.retry", { message }));
  }
}

function waiting(what: Extract<KeeperOutcome, { kind: "waiting" }>["for"]): KeeperOutcome {
  return { kind: "waiting", for: what };
}
