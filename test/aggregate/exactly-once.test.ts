import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ShardWriter } from "../../src/aggregate/shard-writer.ts";
import { verifyShards } from "../../src/aggregate/verify.ts";
import { type DeviceKey, deviceName } from "../../src/core/index.ts";
import type { QueueEntry } from "../../src/queue/index.ts";
import { memoryStore } from "../../src/store/index.ts";
import type { Position } from "../../src/wire/index.ts";
import { type ManualClock, manualClock, settle } from "../support/manual-clock.ts";
import { type Fault, faultyStore } from "./faults.ts";
import { foldable, NOW_MS, POLICY, stockModels } from "./frames.ts";
import { histories } from "./histories.ts";
import { type ProcessModel, processModel } from "./process-model.ts";
import { printed, referenceFold } from "./reference.ts";
import { writerContext } from "./writers.ts";

type Action =
  | { readonly act: "deliver"; readonly job: number }
  | { readonly act: "wait"; readonly ms: number }
  | {
      readonly act: "fault";
      readonly on: "commit" | "loadDevices" | "model";
      readonly fault: Fault;
    }
  | { readonly act: "kill" | "freeze" | "thaw" | "open" };

const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 6, arbitrary: fc.nat({ max: 99 }).map((job) => ({ act: "deliver" as const, job })) },
  {
    weight: 5,
    arbitrary: fc.constantFrom(1, 40, 100, 350, 1_100).map((ms) => ({ act: "wait" as const, ms })),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      act: fc.constant("fault" as const),
      on: fc.constantFrom(...(["commit", "commit", "loadDevices", "model"] as const)),
      fault: fc.constantFrom<Fault>("unavailable", "done-unheard"),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      act: fc.constantFrom("kill" as const, "freeze" as const, "thaw" as const, "open" as const),
    }),
  },
);

interface Incarnation {
  readonly process: ProcessModel;
  readonly writer: ShardWriter;
}

/** Jobs as the queue keeps them: handed to whoever writes, again and again until one resolves. */
class ScriptedWorld {
  readonly clock: ManualClock = manualClock(NOW_MS);
  readonly faulty = faultyStore(memoryStore({ shards: 1, clock: this.clock }));
  readonly done = new Set<number>();
  readonly #jobs: readonly (readonly QueueEntry[])[];
  readonly #all: Incarnation[] = [];

  constructor(jobs: readonly (readonly QueueEntry[])[]) {
    this.#jobs = jobs;
  }

  async run(step: Action): Promise<void> {
    const current = this.#all.at(-1);
    switch (step.act) {
      case "deliver":
        this.deliver(step.job % this.#jobs.length);
        break;
      case "wait":
        await this.clock.advance(step.ms);
        break;
      case "fault":
        this.faulty.plan(step.on, step.fault);
        break;
      case "open":
        await this.open();
        break;
      case "thaw":
        for (const { process } of this.#all) process.thaw();
        await settle();
        break;
      case "kill":
        current?.process.kill();
        break;
      case "freeze":
        current?.process.freeze();
        break;
    }
  }

  deliver(job: number): void {
    const current = this.#all.at(-1);
    if (current === undefined || !current.process.alive) return;
    // An answer that reaches the queue counts, whoever gives it, and how late.
    current.writer.handle(this.#jobs[job] ?? []).then(
      () => this.done.add(job),
      () => {},
    );
  }

  async open(): Promise<boolean> {
    const process = processModel(this.faulty.store, this.clock);
    const base = writerContext(process.store, this.clock, {
      owner: `writer-${this.#all.length}`,
      // Small enough that one job often needs several commits.
      settings: { commitEntriesMax: 2 },
    });
    const opening = ShardWriter.open(0, { ...base, clock: process.clock });
    const writer = await opening.catch(() => null);
    if (writer === null) return false;
    this.#all.push({ process, writer });
    return true;
  }

  /** No more faults: whatever is open is handed to living writers until it is done. */
  async finish(): Promise<void> {
    for (const { process } of this.#all) process.thaw();
    for (let round = 0; this.done.size < this.#jobs.length; round += 1) {
      if (round > 60) throw new Error(`jobs stay open: ${this.done.size} of ${this.#jobs.length}`);
      await this.open();
      for (const job of this.#jobs.keys()) if (!this.done.has(job)) this.deliver(job);
      await this.clock.advance(700);
    }
    for (const { process } of this.#all) process.kill();
  }
}

function nameOf(key: DeviceKey, position: Position | null): string {
  return `${deviceName(key)} ${position?.epoch}.${position?.seq}`;
}

describe("exactly once", () => {
  it("P2: through crashes, freezes, lost answers and redelivery every delta is applied exactly once", async () => {
    await fc.assert(
      fc.asyncProperty(
        histories(3, 8),
        fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 12 }),
        fc.array(action, { maxLength: 40 }),
        async (sent, sizes, script) => {
          const jobs: QueueEntry[][] = [];
          for (let at = 0; at < sent.length; ) {
            const size = sizes[jobs.length % sizes.length] ?? 1;
            jobs.push(sent.slice(at, at + size));
            at += size;
          }
          const world = new ScriptedWorld(jobs);
          await stockModels(world.faulty.store);
          await world.open();
          for (const step of script) await world.run(step);
          await world.finish();

          const keys = [...new Map(sent.map(({ key }) => [deviceName(key), key])).values()];
          const [verdict] = await verifyShards(world.faulty.store, keys, POLICY, NOW_MS);
          // A delta may wait too long for the one it refers to; then it is buried, once, and told.
          const letters = await world.faulty.store.deadLetters(0, sent.length + 1);
          expect(letters.filter((letter) => letter.reason !== "reference.missing")).toEqual([]);
          const buried = new Set(letters.map(({ key, position }) => nameOf(key, position)));
          const applied = sent
            .map((entry) => foldable(entry))
            .filter(({ key, read }) => !buried.has(nameOf(key, read.position)));
          expect(verdict).toMatchObject({
            mismatches: [],
            consumed: sent.length,
            stats: { applied: applied.length, deadLettered: letters.length },
          });
          expect(applied.length + letters.length).toBe(sent.length);
          const { sums } = await world.faulty.store.loadShard(0);
          const table = new Map<string, Uint8Array>();
          for (const { tenant, pattern, bucket, blob } of sums) {
            if (blob !== null) table.set(`${tenant}/${pattern}/${bucket}`, blob);
          }
          const expected = referenceFold(applied, POLICY);
          expect(printed(table)).toEqual(printed(expected));
        },
      ),
      { numRuns: 60 },
    );
  }, 60_000);
});
