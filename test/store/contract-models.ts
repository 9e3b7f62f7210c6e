/**
 * Codec models: versions rise one by one, never change, and gateways hear of them.
 * @module
 */
import { expect, test } from "vitest";
import { MODEL_BYTES_MAX } from "../../src/wire/index.ts";
import { waitFor } from "../support/wait.ts";
import type { Bench } from "./contract.ts";
import { outcomeOf, refusalOf } from "./observe.ts";
import { INTEGER_MAX, leaseReleaser, modelOf } from "./samples.ts";

export function modelContract(bench: Bench): void {
  const versionsOf = async (tenant: string) =>
    (await bench.store().models(tenant)).map((model) => model.version);

  test("model: none before the first, then exactly what was put, also for another process", async () => {
    const store = bench.store();
    expect(await store.models("acme")).toEqual([]);
    expect(await store.model("acme", 1)).toBeNull();
    const token = await leaseReleaser(store);
    await store.putModel("acme", token, modelOf(1));
    await store.putModel("acme", token, modelOf(2));
    const other = await bench.another();
    expect(await other.models("acme")).toEqual([modelOf(2), modelOf(1)]);
    expect(await other.model("acme", 1)).toEqual(modelOf(1).bytes);
    for (const version of [0, 3, 0.5, Number.NaN, INTEGER_MAX]) {
      expect(await other.model("acme", version)).toBeNull();
    }
    expect(await other.models("other")).toEqual([]);
    expect(await other.model("other", 1)).toBeNull();
  });

  test("model: only the next version is taken, and a version never changes", async () => {
    const store = bench.store();
    const token = await leaseReleaser(store);
    const put = (version: number, salt = 0) =>
      store.putModel("acme", token, modelOf(version, salt));
    expect(await refusalOf(put(2))).toBe("Transport model.order");
    await put(1);
    await put(2);
    for (const version of [1, 2, 4, 65_535]) {
      expect(await outcomeOf(put(version, 9))).toBe("model.order");
    }
    expect(await store.models("acme")).toEqual([modelOf(2), modelOf(1)]);
  });

  test("model: a resend of the same is done once, even when the lease is gone", async () => {
    const store = bench.store();
    const token = await leaseReleaser(store);
    await store.putModel("acme", token, modelOf(1));
    await store.putModel("acme", token, modelOf(1));
    await store.putModel("acme", token, modelOf(2));
    await store.releaseLease("releaser-acme", token);
    await store.putModel("acme", token, modelOf(1));
    expect(await versionsOf("acme")).toEqual([2, 1]);
  });

  test("model: without the releaser's lease nothing is put or dropped", async () => {
    const store = bench.store();
    expect(await refusalOf(store.putModel("acme", 1, modelOf(1)))).toBe("Transport lease.lost");
    const stale = await leaseReleaser(store);
    await store.putModel("acme", stale, modelOf(1));
    const token = await leaseReleaser(store);
    expect(await outcomeOf(store.putModel("acme", stale, modelOf(2)))).toBe("lease.lost");
    expect(await outcomeOf(store.putModel("other", token, modelOf(1)))).toBe("lease.lost");
    await store.putModel("acme", token, modelOf(2));
    expect(await outcomeOf(store.dropModels("acme", stale, [1]))).toBe("lease.lost");
    expect(await outcomeOf(store.dropModels("other", token, [1]))).toBe("lease.lost");
    expect(await versionsOf("acme")).toEqual([2, 1]);
    expect(await versionsOf("other")).toEqual([]);
  });

  test("model: of those who put at the same time exactly one wins", async () => {
    const store = bench.store();
    const other = await bench.another();
    const token = await leaseReleaser(store);
    const outcomes = await Promise.all(
      Array.from({ length: 8 }, (_, salt) =>
        outcomeOf((salt % 2 ? store : other).putModel("acme", token, modelOf(1, salt))),
      ),
    );
    expect(outcomes.filter((outcome) => outcome === "ok")).toHaveLength(1);
    expect(await store.models("acme")).toEqual([modelOf(1, outcomes.indexOf("ok"))]);
  });

  test("model: dropped ones are gone, the newest stays, and versions go on from it", async () => {
    const store = bench.store();
    const token = await leaseReleaser(store);
    for (const version of [1, 2, 3, 4]) await store.putModel("acme", token, modelOf(version));
    await store.dropModels("acme", token, []);
    await store.dropModels("acme", token, [1, 3, 3, 4, 77]);
    await store.dropModels("acme", token, [1]);
    expect(await versionsOf("acme")).toEqual([4, 2]);
    expect(await store.model("acme", 3)).toBeNull();
    // A number once used stays used, or a frame would name something else than it was coded with.
    expect(await outcomeOf(store.putModel("acme", token, modelOf(3)))).toBe("model.order");
    await store.putModel("acme", token, modelOf(5));
    expect(await versionsOf("acme")).toEqual([5, 4, 2]);
    expect(await outcomeOf(store.dropModels("other", token, [1]))).toBe("lease.lost");
  });

  test("model: the largest model comes back byte for byte; what is out of range is refused", async () => {
    const store = bench.store();
    const token = await leaseReleaser(store);
    const bytes = Uint8Array.from({ length: MODEL_BYTES_MAX }, (_, index) => (index * 7919) >> 5);
    const largest = { version: 1, bytes, samples: INTEGER_MAX, learntAtMs: INTEGER_MAX };
    const put = (change: Partial<typeof largest>) =>
      refusalOf(store.putModel("acme", token, { ...largest, ...change }));
    expect(await put({ bytes: new Uint8Array(MODEL_BYTES_MAX + 1) })).toBe(
      "Serialization model.length",
    );
    expect(await put({ bytes: new Uint8Array(0) })).toBe("Serialization model.length");
    for (const version of [0, -1, 1.5, 65_536]) {
      expect(await put({ version })).toBe("Serialization model.version");
    }
    expect(await put({ samples: -1 })).toBe("Serialization model.number");
    expect(await put({ learntAtMs: 0.5 })).toBe("Serialization model.number");
    expect(await outcomeOf(store.putModel("a/b", token, largest))).toBe("commit.id");
    expect(await store.models("acme")).toEqual([]);
    await store.putModel("acme", token, largest);
    const [kept, ...rest] = await store.models("acme");
    expect(rest).toEqual([]);
    expect(Buffer.compare(kept?.bytes ?? bytes.subarray(1), bytes)).toBe(0);
    expect({ ...kept, bytes: null }).toEqual({ ...largest, bytes: null });
  });

  test("watch: models are announced to every process, the newest at the start; who does not listen is left alone", async () => {
    const store = bench.store();
    const other = await bench.another();
    const token = await leaseReleaser(store);
    const listener = (heard: string[]) => ({
      onRelease: (tenant: string) => heard.push(`release of ${tenant}`),
      onProblems() {},
      onModel: (tenant: string, version: number) => heard.push(`${tenant} ${version}`),
    });
    const first: string[] = [];
    await other.watch(listener(first));
    await other.watch({ onRelease() {}, onProblems() {} });
    await store.putModel("acme", token, modelOf(1));
    await store.putModel("acme", token, modelOf(2));
    // Between the nodes of a cluster a notice takes a while: this one was heard, none is on its way.
    await waitFor(() => first.includes("acme 2"));
    const second: string[] = [];
    await other.watch(listener(second));
    expect(new Set(second)).toEqual(new Set(["acme 2"]));
    await store.putModel("acme", token, modelOf(3));
    await waitFor(() => second.includes("acme 3"));
    // A notice is a hint and may come twice; of one process never out of order.
    const changes = (heard: string[]) => heard.filter((each, at) => each !== heard[at - 1]);
    expect(changes(first)).toEqual(["acme 1", "acme 2", "acme 3"]);
    expect(changes(second)).toEqual(["acme 2", "acme 3"]);
    const late: string[] = [];
    await (await bench.another()).watch(listener(late));
    expect(late).toContain("acme 3");
  });
}
