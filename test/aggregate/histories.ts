/** Histories of honest devices for property tests: what each sent, as real frames. */
import fc from "fast-check";
import { EPOCHS_MAX } from "../../src/aggregate/dedup.ts";
import type { DeviceKey } from "../../src/core/index.ts";
import type { QueueEntry } from "../../src/queue/index.ts";
import {
  codec0,
  type DeltaContent,
  type DeltaPlace,
  type EncodedDelta,
  encodeDelta,
  type GridVector,
  type Upsert,
  type UpsertEmbedding,
} from "../../src/wire/index.ts";
import { absolute, DIM, encodedWith, keyOf, NOW_MS, queued, vectorOf, zstd } from "./frames.ts";

interface Held {
  readonly seq: number;
  readonly space: number;
  readonly vector: GridVector;
}

/** How a delta is coded: with codec 0, or codec 1 with the rotation (0) or that model. */
type Coding = "codec 0" | number;

/** Devices get another model now and then, or none. */
const CODINGS: readonly Coding[] = ["codec 0", 0, 1, 1, 1, 2];

interface Step {
  /** A new incarnation begins with this delta. */
  readonly wiped: boolean;
  readonly coding: Coding;
  readonly items: readonly {
    readonly pattern: number;
    readonly act: "absolute" | "difference" | "kept" | "remove";
    readonly seed: number;
    readonly weight: number;
  }[];
  readonly daysLater: number;
}

const step: fc.Arbitrary<Step> = fc.record({
  wiped: fc.integer({ min: 0, max: 9 }).map((roll) => roll === 0),
  coding: fc.constantFrom(...CODINGS),
  items: fc.uniqueArray(
    fc.record({
      pattern: fc.integer({ min: 0, max: 4 }),
      act: fc.constantFrom("absolute", "difference", "difference", "kept", "remove"),
      seed: fc.integer({ min: 1, max: 10_000 }),
      weight: fc.integer({ min: 1, max: 1_023 }),
    }),
    { minLength: 1, maxLength: 4, selector: (item) => item.pattern },
  ),
  daysLater: fc.constantFrom(0, 0, 0, 1, 3),
});

/**
 * Every delta of up to `devicesMax`  devices, in the order each device sent its own. The models
 * they need: `stockModels`.
 */
export function histories(devicesMax: number, stepsMax: number): fc.Arbitrary<QueueEntry[]> {
  return fc
    .array(fc.array(step, { minLength: 1, maxLength: stepsMax }), {
      minLength: 1,
      maxLength: devicesMax,
    })
    .map((all) => all.flatMap((steps, index) => playDevice(keyOf(`tv-${index}`), steps)));
}

function playDevice(key: DeviceKey, steps: readonly Step[]): QueueEntry[] {
  const held = new Map<string, Held>();
  const entries: QueueEntry[] = [];
  let [epoch, seq, atMs] = [1, 0, NOW_MS - 20 * 86_400_000];
  for (const { wiped, coding, items, daysLater } of steps) {
    if (wiped && seq > 0 && epoch < EPOCHS_MAX) {
      epoch += 1;
      seq = 0;
      held.clear();
    }
    seq += 1;
    atMs = Math.min(NOW_MS, atMs + daysLater * 86_400_000);
    const removals: string[] = [];
    const upserts: Upsert[] = [];
    for (const { pattern, act, seed, weight } of items) {
      const id = `p${pattern}`;
      if (act === "remove") removals.push(id);
      else {
        const embedding = embed(act, seed, coding, held.get(id));
        upserts.push(absolute(id, seed, { weight, embedding }));
      }
    }
    const content = { dim: DIM, upserts, removals };
    const delta = encode({ epoch, seq, base: 0 }, content, coding);
    entries.push(queued(key, delta.frame, atMs));
    for (const id of removals) held.delete(id);
    for (const { id, embedding } of upserts) {
      const kept = embedding.mode === "kept" ? held.get(id) : undefined;
      const vector = kept?.vector ?? delta.reconstructions.get(id);
      if (vector !== undefined) held.set(id, { seq, space: kept?.space ?? delta.space, vector });
    }
  }
  return entries;
}

function embed(
  act: "absolute" | "difference" | "kept",
  seed: number,
  coding: Coding,
  held: Held | undefined,
): UpsertEmbedding {
  if (held !== undefined && act === "kept") return { mode: "kept", referenceSeq: held.seq };
  const target = vectorOf(seed);
  const unusable = coding === "codec 0" && held?.space !== 0;
  if (held === undefined || act === "absolute" || unusable) return { mode: "absolute", target };
  const { seq: referenceSeq, space: referenceSpace, vector: reference } = held;
  return { mode: "difference", target, reference, referenceSpace, referenceSeq };
}

function encode(at: DeltaPlace, content: DeltaContent, coding: Coding): EncodedDelta {
  if (coding === "codec 0") return encodeDelta(at, content, codec0, zstd);
  return encodedWith(coding, at, content);
}
