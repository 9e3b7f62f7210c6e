/** Histories of honest devices for property tests: what each sent, as real frames. */
import fc from "fast-check";
import { EPOCHS_MAX } from "../../src/aggregate/dedup.ts";
import type { DeviceKey } from "../../src/core/index.ts";
import type { QueueEntry } from "../../src/queue/index.ts";
import {
  codec0,
  encodeDelta,
  type GridVector,
  type Upsert,
  type UpsertEmbedding,
} from "../../src/wire/index.ts";
import { absolute, DIM, keyOf, NOW_MS, queued, traceOf, vectorOf, zstd } from "./frames.ts";

interface Held {
  readonly seq: number;
  readonly space: number;
  readonly vector: GridVector;
}

interface Step {
  /** A new incarnation begins with this delta. */
  readonly wiped: boolean;
  /** The space its vectors are in; devices change it when they get another model. */
  readonly space: number;
  readonly items: readonly {
    readonly pattern: number;
    readonly act: "absolute" | "difference" | "kept" | "remove";
    readonly seed: number;
    readonly weight: number;
  }[];
  readonly daysLater: number;
}

const stepIn = (spaces: readonly number[]): fc.Arbitrary<Step> =>
  fc.record({
    wiped: fc.integer({ min: 0, max: 9 }).map((roll) => roll === 0),
    space: fc.constantFrom(...spaces),
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
 * Every delta of up to `devicesMax` devices, in the order each device sent its own. `spaces`: those
 * the devices speak in; only `foldable` understands any but 0.
 */
export function histories(
  devicesMax: number,
  stepsMax: number,
  spaces: readonly number[] = [0, 0, 1, 1, 1, 0xffff],
): fc.Arbitrary<QueueEntry[]> {
  return fc
    .array(fc.array(stepIn(spaces), { minLength: 1, maxLength: stepsMax }), {
      minLength: 1,
      maxLength: devicesMax,
    })
    .map((all) => all.flatMap((steps, index) => playDevice(keyOf(`tv-${index}`), steps)));
}

function playDevice(key: DeviceKey, steps: readonly Step[]): QueueEntry[] {
  const held = new Map<string, Held>();
  const entries: QueueEntry[] = [];
  let [epoch, seq, atMs] = [1, 0, NOW_MS - 20 * 86_400_000];
  for (const { wiped, space, items, daysLater } of steps) {
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
        const embedding = embed(act, seed, space, held.get(id));
        upserts.push(absolute(id, seed, { weight, embedding }));
      }
    }
    const content = { dim: DIM, upserts, removals };
    const delta = encodeDelta({ epoch, seq, base: 0, ...traceOf(space) }, content, codec0, zstd);
    entries.push(queued(key, delta.frame, atMs));
    for (const id of removals) held.delete(id);
    for (const { id, embedding } of upserts) {
      const kept = embedding.mode === "kept" ? held.get(id) : undefined;
      const vector = kept?.vector ?? delta.reconstructions.get(id);
      if (vector !== undefined) held.set(id, { seq, space: kept?.space ?? space, vector });
    }
  }
  return entries;
}

function embed(
  act: "absolute" | "difference" | "kept",
  seed: number,
  space: number,
  held: Held | undefined,
): UpsertEmbedding {
  if (held !== undefined && act === "kept") return { mode: "kept", referenceSeq: held.seq };
  if (act === "absolute" || held?.space !== space) {
    return { mode: "absolute", target: vectorOf(seed) };
  }
  const { seq: referenceSeq, vector: reference } = held;
  return { mode: "difference", target: vectorOf(seed), reference, referenceSeq };
}
