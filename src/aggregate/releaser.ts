/**
 * The releaser: at a steady pace it turns each tenant's sums into the next version.
 *
 * One releaser at a time per tenant, by lease; the store refuses a publication
 * without it, or with any version but the next (P5). Whatever goes wrong in a
 * round (a lost lease, a race, a store that is away) is left to the next one:
 * nothing is remembered between rounds that a round could not do without.
 * @module
 */
import { randomUUID } from "node:crypto";
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
import {
  type RecentRelease,
  releaserLease,
  type Store,
  type StoredRelease,
} from "../store/index.ts";
import {
  buildingLadder1,
  buildLadder,
  type Codec,
  codec0,
  inSlices,
  type Release,
  type Zstd,
} from "../wire/index.ts";
import { type ReleaserMetrics, releaserMetrics } from "./aggregate-metrics.ts";
import { bucketOf, requireRetention } from "./buckets.ts";
import { forgetMarkCount, isForgetMark } from "./forget-mark.ts";
import { HeldLease } from "./lease.ts";
import { ModelShelf } from "./model-shelf.ts";
import { pause } from "./pause.ts";
import { Rounds } from "./rounds.ts";
import { totalsInSpace0 } from "./turn-back.ts";
import { planRelease } from "./version.ts";
import {
  DEFAULT_VERSION_POLICY,
  requireVersionPolicy,
  type VersionPolicy,
} from "./version-policy.ts";
import { isEligible, totalsOf } from "./version-totals.ts";
import { planningRendition1, type Rendition1Plan } from "./version1.ts";

interface ReleaserSettings {
  /** From one round to the next, milliseconds; each wait is 0.9–1.1 of it. */
  readonly cadenceMs: number;
  /** How long a tenant stays ours without a renewal, milliseconds. */
  readonly leaseTtlMs: number;
}

const DEFAULT_RELEASER_SETTINGS: ReleaserSettings = {
  cadenceMs: 60_000,
  leaseTtlMs: 10_000,
};

interface ReleaserOptions {
  readonly store: Store;
  readonly zstd: Zstd;
  /** What vectors are coded with; default codec 0. */
  readonly codec?: Codec;
  /** Default: every tenant the store knows. */
  readonly tenants?: readonly string[];
  /** The dimension of a tenant's embeddings; default 384 for all. */
  readonly dimOf?: (tenant: string) => number;
  /** Unique per process incarnation; default: random. */
  readonly owner?: string;
  readonly policy?: Partial<VersionPolicy>;
  readonly settings?: Partial<ReleaserSettings>;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly log?: Logger;
  readonly metrics?: Metrics;
}

/** What a round came to for one tenant. */
type RoundOutcome =
  | { readonly kind: "published"; readonly version: number; readonly patterns: number }
  /** The newest version says it all. */
  | { readonly kind: "unchanged"; readonly version: number }
  /** Another releaser has this tenant. */
  | { readonly kind: "elsewhere" }
  | { readonly kind: "failed"; readonly reason: string };

export class Releaser implements Service {
  readonly name = "releaser";
  readonly #store: Store;
  readonly #zstd: Zstd;
  readonly #codec: Codec;
  readonly #models: ModelShelf;
  readonly #tenants: readonly string[] | null;
  readonly #dimOf: (tenant: string) => number;
  readonly #owner: string;
  readonly #policy: VersionPolicy;
  readonly #settings: ReleaserSettings;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #metrics: ReleaserMetrics;
  readonly #leases = new Map<string, HeldLease>();
  /** Deletions that the newest release is known to be free of. */
  readonly #forgotten = new Map<string, number>();
  readonly #rounds: Rounds;

  /** Throws `InvalidConfigError` on a policy out of range. */
  constructor(options: ReleaserOptions) {
    this.#store = options.store;
    this.#zstd = options.zstd;
    this.#codec = options.codec ?? codec0;
    this.#tenants = options.tenants ?? null;
    this.#dimOf = options.dimOf ?? (() => limits.DIMENSION_DEFAULT);
    this.#owner = options.owner ?? `releaser-${randomUUID()}`;
    this.#policy = requireVersionPolicy({ ...DEFAULT_VERSION_POLICY, ...options.policy });
    requireRetention(this.#policy);
    this.#settings = { ...DEFAULT_RELEASER_SETTINGS, ...options.settings };
    this.#clock = options.clock ?? systemClock;
    this.#log = options.log ?? silentLogger;
    this.#metrics = releaserMetrics(options.metrics ?? noMetrics);
    this.#models = new ModelShelf({ store: this.#store, clock: this.#clock, log: this.#log });
    this.#rounds = new Rounds({
      ...{ name: this.name, cadenceMs: this.#settings.cadenceMs, clock: this.#clock },
      random: options.random ?? systemRandom,
      round: () => this.#releaseAll(),
    });
  }

  /** Begins the first round at once, in the background. */
  async start(): Promise<void> {
    this.#rounds.start("round");
  }

  /** Ends the round under way and frees the tenants. Idempotent. */
  async stop(): Promise<void> {
    await this.#rounds.stop();
    for (const lease of this.#leases.values()) await lease.release();
    this.#leases.clear();
  }

  /** Runs one round for one tenant now, after the one under way. Never rejects. */
  releaseNow(tenant: string): Promise<RoundOutcome> {
    return this.#rounds.inTurn(() => this.#release(tenant));
  }

  /** The token of the tenant's releaser lease; null while another has it, or before the first round. */
  tokenOf(tenant: string): number | null {
    const lease = this.#leases.get(tenant);
    return lease?.held === true ? lease.token : null;
  }

  async #releaseAll(): Promise<void> {
    let tenants: readonly string[];
    try {
      tenants = this.#tenants ?? (await this.#store.tenants());
    } catch (error) {
      this.#metrics.failures.add();
      this.#log.warn("release.failed", { message: messageOf(error) });
      return;
    }
    for (const tenant of tenants) {
      if (this.#rounds.signal.aborted) return;
      await this.#release(tenant);
    }
  }

  async #release(tenant: string): Promise<RoundOutcome> {
    const startedMs = this.#clock.monotonicMs();
    try {
      const lease = await this.#leaseFor(tenant);
      if (lease === null) return { kind: "elsewhere" };
      const outcome = await this.#publish(tenant, lease.token);
      if (outcome.kind === "published") {
        const { version, patterns } = outcome;
        this.#metrics.releases.add();
        this.#metrics.patterns.observe(patterns);
        this.#metrics.buildSeconds.observe((this.#clock.monotonicMs() - startedMs) / 1_000);
        this.#log.info("release.published", { tenant, version, patterns });
      }
      return outcome;
    } catch (error) {
      const reason = error instanceof OmegaError ? error.reason : "release.broken";
      this.#metrics.failures.add();
      this.#log.warn("release.failed", { tenant, reason, message: messageOf(error) });
      // A refused publication means that our idea of lease or version is old: begin afresh.
      await this.#leases.get(tenant)?.release();
      this.#leases.delete(tenant);
      return { kind: "failed", reason };
    }
  }

  async #leaseFor(tenant: string): Promise<HeldLease | null> {
    const known = this.#leases.get(tenant);
    if (known?.held) return known;
    this.#leases.delete(tenant);
    const lease = await HeldLease.acquire({
      store: this.#store,
      name: releaserLease(tenant),
      owner: this.#owner,
      ttlMs: this.#settings.leaseTtlMs,
      clock: this.#clock,
      log: this.#log,
    });
    if (lease !== null) this.#leases.set(tenant, lease);
    return lease;
  }

  async #publish(tenant: string, token: number): Promise<RoundOutcome> {
    const store = this.#store;
    const [shards, recent] = await Promise.all([
      store.loadTenantSums(tenant),
      store.recentReleases(tenant),
    ]);
    const previous = recent[0]?.release ?? null;
    const rows = shards.flatMap((shard) => shard.rows);
    const marks = rows.filter(isForgetMark);
    const forgotten = marks.reduce((sum, row) => sum + forgetMarkCount(row), 0);
    const dim = this.#dimOf(tenant);
    const nowBucket = bucketOf(this.#policy, this.#clock.nowMs());
    const spaced = totalsOf(rows, this.#policy, nowBucket, dim);
    const eligible = spaced.filter((totals) => isEligible(totals, this.#policy));
    const { totals, lost } = await totalsInSpace0(tenant, eligible, dim, this.#models);
    if (lost.length > 0) {
      this.#metrics.leftOut.add(lost.length);
      this.#log.error("release.model-missing", { tenant, leftOut: lost });
    }
    const exact = forgotten !== (this.#forgotten.get(tenant) ?? 0);
    const plan = planRelease(totals, previous, {
      policy: this.#policy,
      dim,
      exact,
      incumbents: recent[0]?.release1?.patterns.map(({ id }) => id) ?? [],
      codec: this.#codec,
      zstd: this.#zstd,
    });
    const { release, leftOut } = plan;
    if (leftOut.length > 0) {
      this.#metrics.leftOut.add(leftOut.length);
      this.#log.warn("release.left-out", { tenant, fits: release.patterns.length, leftOut });
    }
    const work = planningRendition1(plan.fresh, recent[0]?.release1 ?? null, {
      policy: this.#policy,
      exact,
      newest: await this.#models.newest(tenant),
    });
    const plan1 = await inSlices(work, pause);
    const changed = plan.changed || plan1.changed;
    if (changed) {
      const stored = await this.#ladders(tenant, release, plan1, recent);
      // An unknown outcome is asked again: the store knows a resend by token and content hash.
      await this.#rounds.persist(
        () => store.publishRelease(tenant, token, stored),
        (message) => this.#log.warn("release.retry", { message }),
      );
    }
    this.#forgotten.set(tenant, forgotten);
    if (!changed) return { kind: "unchanged", version: previous?.version ?? 0 };
    return { kind: "published", version: release.version, patterns: release.patterns.length };
  }

  /** Both renditions with their ladders, rung by rung. */
  async #ladders(
    tenant: string,
    release: Release,
    { release: release1, model }: Rendition1Plan,
    recent: readonly RecentRelease[],
  ): Promise<StoredRelease> {
    const bases = recent.map((kept) => kept.release);
    const ladder = buildLadder(tenant, release, bases, this.#codec, this.#zstd);
    const bases1 = recent.flatMap((kept) => kept.release1 ?? []);
    const ladder1 = await inSlices(buildingLadder1(tenant, release1, bases1, model), pause);
    return { release, ladder, rendition1: { release: release1, ladder: ladder1 } };
  }
}
