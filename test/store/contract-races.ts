/**
 * Races and random histories: writers never interleave, and every backend shows
 * what the model shows.
 * @module
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { memoryStore, type Store } from "../../src/store/index.ts";
import type { Bench } from "./contract.ts";
import { observe, outcomeOf } from "./observe.ts";
import {
  commitOf,
  cursorOf,
  deviceOf,
  INTEGER_MAX,
  keysOn,
  letterOf,
  modelOf,
  PROBLEM,
  releaseOf,
  SHARDS,
  sumOf,
  TTL_MS,
} from "./samples.ts";

const SHARD = 3;
const KEYS = keysOn(SHARD, 3);

type Move = "take" | "commit" | "resend" | "drop";

/** Someone who writes the shard the way the port says, as far as it gets. */
class Writer {
  readonly #store: Store;
  readonly #name: string;
  readonly #done: Map<number, string>;
  #token = 0;
  #number = 0;
  #story: string[] = [];
  #turn = 0;
  #resend: (() => Promise<void>) | null = null;

  constructor(store: Store, name: string, done: Map<number, string>) {
    this.#store = store;
    this.#name = name;
    this.#done = done;
  }

  async play(moves: readonly Move[]): Promise<void> {
    for (const move of moves) await this.#move(move);
  }

  async #move(move: Move): Promise<void> {
    if (move === "take") await this.#take();
    if (move === "commit") await this.#commit();
    if (move === "resend") await this.#resend?.();
    // It goes on writing as if it still had the lease: what a paused process does.
    if (move === "drop") await this.#store.releaseLease(`shard-${SHARD}`, this.#token);
  }

  async #take(): Promise<void> {
    const token = await this.#store.acquireLease(`shard-${SHARD}`, this.#name, TTL_MS);
    if (token === null) return;
    const { sums, commitNumber } = await this.#store.loadShard(SHARD);
    const story = sums.map((row) => Buffer.from(row.blob ?? []).toString())[0];
    this.#token = token;
    this.#number = commitNumber;
    this.#story = story ? story.split(" ") : [];
    this.#resend = null;
  }

  async #commit(): Promise<void> {
    this.#turn += 1;
    const entry = `${this.#name}${this.#turn}`;
    const [token, number] = [this.#token, this.#number + 1];
    const story = [...this.#story, entry];
    const commit = commitOf({
      sums: [sumOf("story", Buffer.from(story.join(" ")))],
      stats: { applied: 1, duplicates: 0, deadLettered: 0 },
    });
    const send = async () => {
      const outcome = await outcomeOf(this.#store.commit(SHARD, token, number, commit));
      expect(["ok", "lease.lost", "commit.order"]).toContain(outcome);
      if (outcome !== "ok") return;
      expect(this.#done.get(number) ?? entry).toBe(entry);
      this.#done.set(number, entry);
      this.#number = Math.max(this.#number, number);
      if (this.#number === number) this.#story = story;
    };
    this.#resend = send;
    await send();
  }
}

const moves = fc.array(fc.constantFrom<Move>("take", "commit", "commit", "resend", "drop"), {
  minLength: 1,
  maxLength: 12,
});

export function raceContract(bench: Bench, runs: number): void {
  test("P2: writers that race, pause and resend never interleave, and no commit is lost", async () => {
    await fc.assert(
      fc.asyncProperty(moves, moves, moves, async (first, second, third) => {
        await bench.wipe();
        const stores = [bench.store(), await bench.another(), await bench.another()];
        const done = new Map<number, string>();
        const plans = [first, second, third];
        await Promise.all(
          stores.map((store, index) =>
            new Writer(store, "abc"[index] ?? "", done).play(["take", ...(plans[index] ?? [])]),
          ),
        );
        const { sums, commitNumber } = await bench.store().loadShard(SHARD);
        const told = Buffer.from(sums[0]?.blob ?? []).toString();
        const numbers = [...done.keys()].sort((a, b) => a - b);
        expect(numbers).toEqual(Array.from({ length: done.size }, (_, index) => index + 1));
        expect(commitNumber).toBe(done.size);
        expect(told).toBe(numbers.map((number) => done.get(number)).join(" "));
        expect((await bench.store().stats(SHARD)).applied).toBe(done.size);
      }),
      { numRuns: runs },
    );
  }, 120_000);

  test("store: random histories end, step by step, as they do in the model", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (history) => {
        await bench.wipe();
        const model = memoryStore({ shards: SHARDS });
        for (const act of history) {
          expect(await act(bench.store())).toEqual(await act(model));
        }
        const look = (store: Store) => observe(store, KEYS, ["acme", "other"]);
        expect(await look(bench.store())).toEqual(await look(model));
      }),
      { numRuns: runs },
    );
  }, 120_000);
}

/** One call; answers what came of it, without the numbers that each backend chooses. */
type Step = (store: Store) => Promise<unknown>;

/** The tokens a store gave out, by lease: a step names one by its place, the newest being 0. */
const given = new WeakMap<Store, Map<string, number[]>>();

async function acquire(store: Store, name: string, owner: string): Promise<boolean> {
  const token = await store.acquireLease(name, owner, TTL_MS);
  if (token === null) return false;
  const leases = given.get(store) ?? new Map<string, number[]>();
  given.set(store, leases.set(name, [token, ...(leases.get(name) ?? [])]));
  return true;
}

/** A token that was never given out when there is none at this place. */
function tokenAt(store: Store, name: string, place: number): number {
  return given.get(store)?.get(name)?.[place] ?? INTEGER_MAX;
}

const SHARD_LEASE = `shard-${SHARD}`;
const RELEASER_LEASE = "releaser-acme";

const lease = fc.constantFrom(SHARD_LEASE, RELEASER_LEASE);
const tenant = fc.constantFrom("acme", "other");
const pattern = fc.constantFrom("a", "b", "__proto__");
const blob = fc.option(fc.uint8Array({ maxLength: 6 }), { nil: null });
const key = fc.constantFrom(...KEYS);
const place = fc.constantFrom(0, 0, 0, 1, 2);
const small = fc.nat({ max: 3 });

const commit = fc
  .record({
    sums: fc.uniqueArray(
      fc.record({ tenant, pattern, bucket: fc.integer({ min: -1, max: 1 }), blob }),
      { selector: (row) => `${row.tenant} ${row.pattern} ${row.bucket}`, maxLength: 5 },
    ),
    devices: fc.uniqueArray(
      fc
        .tuple(key, small, fc.dictionary(fc.constantFrom("a", "b", "c"), blob), fc.boolean())
        .map(([each, low, registers, isRefused]) =>
          deviceOf(each, cursorOf(low, isRefused ? [PROBLEM] : []), registers),
        ),
      { selector: (device) => device.key.device, maxLength: 3 },
    ),
    deadLetters: fc.array(
      fc.tuple(key, small).map(([each, id]) => letterOf(each, `letter-${id}`)),
      { maxLength: 3 },
    ),
    stats: fc.record({ applied: small, duplicates: small, deadLettered: small }),
  })
  .map(commitOf);

const acquiring = fc.tuple(lease, fc.constantFrom("a", "b")).map(
  ([name, owner]): Step =>
    (store) =>
      acquire(store, name, owner),
);

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: acquiring },
  fc.tuple(lease, place).map(
    ([name, at]): Step =>
      (store) =>
        store.releaseLease(name, tokenAt(store, name, at)),
  ),
  fc.tuple(lease, place).map(
    ([name, at]): Step =>
      (store) =>
        store.renewLease(name, tokenAt(store, name, at), TTL_MS),
  ),
  {
    weight: 5,
    arbitrary: fc.tuple(place, fc.constantFrom(0, 1, 1, 1, 2), commit).map(
      ([at, ahead, each]): Step =>
        async (store) => {
          const { commitNumber } = await store.loadShard(SHARD);
          const token = tokenAt(store, SHARD_LEASE, at);
          return await outcomeOf(store.commit(SHARD, token, commitNumber + ahead, each));
        },
    ),
  },
  fc.tuple(place, key).map(
    ([at, each]): Step =>
      (store) =>
        outcomeOf(store.forget(SHARD, tokenAt(store, SHARD_LEASE, at), each)),
  ),
  {
    weight: 2,
    arbitrary: fc.tuple(place, fc.integer({ min: 1, max: 3 }), small).map(
      ([at, version, salt]): Step =>
        (store) => {
          const token = tokenAt(store, RELEASER_LEASE, at);
          const stored = releaseOf(version, "acme", salt);
          return outcomeOf(store.publishRelease("acme", token, stored));
        },
    ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(place, fc.integer({ min: 1, max: 4 }), fc.nat({ max: 1 })).map(
      ([at, version, salt]): Step =>
        (store) => {
          const token = tokenAt(store, RELEASER_LEASE, at);
          return outcomeOf(store.putModel("acme", token, modelOf(version, salt)));
        },
    ),
  },
  fc.tuple(place, fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 3 })).map(
    ([at, versions]): Step =>
      (store) =>
        outcomeOf(store.dropModels("acme", tokenAt(store, RELEASER_LEASE, at), versions)),
  ),
);
