/**
 * A batch being folded: the drafts of the sums and of every device it touches.
 *
 * Nothing here is visible outside until the commit made of it is kept; throwing
 * the batch away is the roll-back.
 * @module
 */
import { assert } from "../core/index.ts";
import { bucketOf, oldestCounted, oldestStored } from "./buckets.ts";
import { consume, type EpochSeen, gapBefore, isLater, newestConsumed } from "./dedup.ts";
import { type Judgement, judge } from "./fold-device.ts";
import { DeviceDraft } from "./fold-draft.ts";
import { clipDetail, deadLetterId, problemOf } from "./fold-letter.ts";
import type { FoldPolicy } from "./fold-policy.ts";
import type { ReadDelta } from "./fold-read.ts";
import type {
  DeviceChange,
  FoldDeadLetter,
  FoldEntry,
  Folded,
  FoldState,
  Outcome,
} from "./fold-state.ts";
import { draftOf, encodeChanges, type SumsDraft } from "./merge.ts";

/** Rows dropped by age with one commit; the rest waits for the next one. */
const DROPPED_ROWS_MAX = 20_000;

interface Fault {
  readonly reason: string;
  readonly detail: string;
}

export class Batch {
  readonly #state: FoldState;
  readonly #policy: FoldPolicy;
  /** Buckets from here on take contributions. */
  readonly #oldestBucket: number;
  readonly #sums: SumsDraft;
  readonly #drafts = new Map<string, DeviceDraft>();
  readonly #deadLetters: FoldDeadLetter[] = [];
  /** Those among them that were counted when they were dead-lettered first. */
  #retriedLetters = 0;

  constructor(state: FoldState, policy: FoldPolicy, nowMs: number) {
    this.#state = state;
    this.#policy = policy;
    this.#oldestBucket = oldestCounted(policy, nowMs);
    this.#sums = draftOf(state.sums);
    const newest = Math.max(...state.sums.rowsByBucket.keys());
    this.#sums.dropBefore(oldestStored(policy, nowMs, newest), DROPPED_ROWS_MAX);
  }

  /** Folds one entry into the drafts. `isFinal`: nothing may be deferred any more. */
  take(entry: FoldEntry, isFinal: boolean): Outcome {
    const { read } = entry;
    const { position } = read;
    const draft = this.#draftFor(entry);
    if (position === null) {
      assert(read.kind === "refused", "a delta has a position");
      return this.#bury(entry, draft, null, read);
    }
    const consumption = consume(draft.cursor.epochs, position);
    if (consumption.verdict === "duplicate") {
      return entry.retried ? this.#retry(entry, draft) : { kind: "duplicate" };
    }
    if (consumption.verdict === "refused") {
      const gap =
        consumption.reason === "seq.window" ? gapBefore(draft.cursor.epochs, position) : null;
      if (gap !== null && !isFinal) return { kind: "deferred", referenceSeq: gap };
      const detail = `epoch ${position.epoch}, seq ${position.seq}`;
      return this.#bury(entry, draft, null, { reason: consumption.reason, detail });
    }
    const { epochs } = consumption;
    if (read.kind === "refused") return this.#bury(entry, draft, epochs, read);
    const judgement = this.#judge(entry, read, draft);
    switch (judgement.verdict) {
      case "refuse":
        return this.#bury(entry, draft, epochs, judgement);
      case "defer": {
        const { referenceSeq } = judgement;
        if (!isFinal) return { kind: "deferred", referenceSeq };
        const detail = `seq ${referenceSeq} never came`;
        return this.#bury(entry, draft, epochs, { reason: "reference.missing", detail });
      }
      case "apply":
        this.#apply(draft, read, judgement, epochs);
        return { kind: "applied" };
    }
  }

  /**
   * A dead letter's second chance. Its position stays counted as dead-lettered, so this counts
   * nothing; refused again it is the same letter as before. A device that has said anything newer
   * was told, and has said again what it still holds: what it said before must not come back (P6).
   */
  #retry(entry: FoldEntry, draft: DeviceDraft): Outcome {
    const { read } = entry;
    const newest = newestConsumed(draft.cursor.epochs);
    if (newest === null || read.position === null || isLater(newest, read.position)) {
      return { kind: "duplicate" };
    }
    const judgement: Judgement =
      read.kind === "refused" ? refuse(read.reason, read.detail) : this.#judge(entry, read, draft);
    if (read.kind === "refused" || judgement.verdict !== "apply") {
      const { epochs } = draft.cursor;
      const fault =
        judgement.verdict === "refuse"
          ? judgement
          : { reason: "reference.missing", detail: "what it refers to was never applied" };
      this.#bury(entry, draft, epochs, fault);
      this.#retriedLetters += 1;
      return { kind: "dead-lettered", reason: fault.reason };
    }
    draft.forgive(read.position);
    this.#apply(draft, read, judgement, draft.cursor.epochs);
    return { kind: "retried" };
  }

  /** The batch as one commit, once every entry was taken. */
  finish(outcomes: readonly Outcome[]): Folded {
    const changed = [...this.#drafts].filter(([, draft]) => draft.changed);
    const sums = this.#sums.changes();
    const countOf = (kind: Outcome["kind"]) =>
      outcomes.filter((outcome) => outcome.kind === kind).length;
    const commit = {
      sums: encodeChanges(sums),
      devices: changed.map(([, draft]) => draft.write()),
      deadLetters: this.#deadLetters,
      stats: {
        applied: countOf("applied"),
        duplicates: countOf("duplicate"),
        deadLettered: this.#deadLetters.length - this.#retriedLetters,
      },
    };
    const devices = new Map<string, DeviceChange>();
    for (const [name, draft] of changed) devices.set(name, draft.change());
    return { commit, changes: { sums, devices }, outcomes };
  }

  #draftFor({ key, name }: FoldEntry): DeviceDraft {
    const known = this.#drafts.get(name);
    if (known !== undefined) return known;
    const device = this.#state.devices.get(name);
    assert(device !== undefined, "every device of a batch is loaded");
    const draft = new DeviceDraft(key, device);
    this.#drafts.set(name, draft);
    return draft;
  }

  /** The device's own rules, then those of its tenant and of time. */
  #judge(entry: FoldEntry, read: ReadDelta, draft: DeviceDraft): Judgement {
    const policy = this.#policy;
    const { tenant } = entry.key;
    const bucket = bucketOf(policy, entry.receivedAtMs);
    if (!Number.isSafeInteger(bucket) || bucket < this.#oldestBucket) {
      return refuse("delta.expired", `bucket ${bucket} does not count any more`);
    }
    const { epochs, patterns } = draft.cursor;
    const context = {
      dim: policy.dimOf(tenant),
      weightMax: policy.weightMaxOf(tenant),
      livesMax: policy.devicePatternsMax,
      bucket,
      oldestBucket: this.#oldestBucket,
    };
    const judgement = judge(read, epochs, patterns, draft, context);
    if (judgement.verdict !== "apply") return judgement;
    let fresh = 0;
    for (const { pattern, register } of judgement.writes) {
      if (register.kind === "live" && !this.#sums.hasPattern(tenant, pattern)) fresh += 1;
    }
    if (fresh === 0) return judgement;
    if (!this.#sums.hasTenant(tenant) && this.#sums.tenantCount() >= policy.tenantsMax) {
      return refuse("tenant.count", `${policy.tenantsMax} tenants fit on a shard`);
    }
    if (this.#sums.patternCount(tenant) + fresh > policy.tenantPatternsMax) {
      return refuse("tenant.patterns", `${policy.tenantPatternsMax} patterns fit in a tenant`);
    }
    return judgement;
  }

  #apply(
    draft: DeviceDraft,
    read: ReadDelta,
    { writes, live }: Extract<Judgement, { readonly verdict: "apply" }>,
    epochs: readonly EpochSeen[],
  ): void {
    for (const { pattern, register } of writes) {
      this.#sums.replace(draft.key.tenant, pattern, draft.register(pattern), register);
    }
    draft.apply(read, writes, live, epochs);
    if (read.delta.removals.length === 0) return;
    draft.boundTombstones(this.#oldestBucket, this.#policy.deviceTombstonesMax);
  }

  /** Consumes without applying. `epochs` null: the position is not consumed either. */
  #bury(
    entry: FoldEntry,
    draft: DeviceDraft,
    epochs: readonly EpochSeen[] | null,
    { reason, detail }: Fault,
  ): Outcome {
    const { key, receivedAtMs, frame } = entry;
    const { position } = entry.read;
    this.#deadLetters.push({
      id: deadLetterId(entry, epochs === null ? null : position),
      key,
      position,
      reason,
      detail: clipDetail(detail),
      receivedAtMs,
      frame,
    });
    draft.refuse(problemOf(reason, detail, position), epochs);
    return { kind: "dead-lettered", reason };
  }
}

function refuse(reason: string, detail: string): Judgement {
  return { verdict: "refuse", reason, detail };
}
