/**
 * Releases: versions rise one by one, bases are kept, gateways hear of it.
 * @module
 */
import { expect, test } from "vitest";
import { waitFor } from "../support/wait.ts";
import type { Bench } from "./contract.ts";
import { outcomeOf, refusalOf } from "./observe.ts";
import { laddersOf, leaseReleaser, recentOf, releaseOf } from "./samples.ts";

export function releaseContract(bench: Bench): void {
  test("release: none before the first, then exactly what was published", async () => {
    const store = bench.store();
    expect(await store.currentRelease("acme")).toBeNull();
    expect(await store.recentReleases("acme")).toEqual([]);
    await store.publishRelease("acme", await leaseReleaser(store), releaseOf(1));
    const other = await bench.another();
    expect(await other.currentRelease("acme")).toEqual(laddersOf(releaseOf(1)));
    expect(await other.recentReleases("acme")).toEqual([recentOf(releaseOf(1))]);
    expect(await other.currentRelease("other")).toBeNull();
    expect(await other.tenants()).toEqual(["acme"]);
  });

  test("release: one without rendition 1 is kept beside those with it", async () => {
    const store = bench.store();
    const token = await leaseReleaser(store);
    const plain = { ...releaseOf(1), rendition1: null };
    await store.publishRelease("acme", token, plain);
    expect(await store.currentRelease("acme")).toEqual({ ladder: plain.ladder, ladder1: null });
    await store.publishRelease("acme", token, releaseOf(2));
    expect(await store.currentRelease("acme")).toEqual(laddersOf(releaseOf(2)));
    expect(await store.recentReleases("acme")).toEqual([
      recentOf(releaseOf(2)),
      { release: plain.release, release1: null },
    ]);
  });

  test("P5: only the next version is taken", async () => {
    const store = bench.store();
    const token = await leaseReleaser(store);
    const publish = (version: number) => store.publishRelease("acme", token, releaseOf(version));
    expect(await refusalOf(publish(2))).toBe("Transport release.version");
    await publish(1);
    await publish(2);
    for (const version of [1, 4]) expect(await outcomeOf(publish(version))).toBe("release.version");
    expect(await outcomeOf(store.publishRelease("acme", token, releaseOf(2, "acme", 9)))).toBe(
      "release.version",
    );
    expect((await store.currentRelease("acme"))?.ladder.version).toBe(2);
  });

  test("release: a resend of the same one is done once; a ladder of another is refused", async () => {
    const store = bench.store();
    const token = await leaseReleaser(store);
    await store.publishRelease("acme", token, releaseOf(1));
    await store.publishRelease("acme", token, releaseOf(1));
    expect(await store.recentReleases("acme")).toHaveLength(1);
    const two = releaseOf(2);
    const mixed = [
      { ...two, ladder: releaseOf(3).ladder },
      { ...two, rendition1: releaseOf(3).rendition1 },
      { ...two, rendition1: releaseOf(2, "other").rendition1 },
    ];
    for (const stored of mixed) {
      expect(await outcomeOf(store.publishRelease("acme", token, stored))).toBe("release.mismatch");
    }
    const foreign = releaseOf(2, "other");
    expect(await outcomeOf(store.publishRelease("acme", token, foreign))).toBe("release.mismatch");
  });

  test("release: without the releaser's lease nothing is published", async () => {
    const store = bench.store();
    expect(await refusalOf(store.publishRelease("acme", 1, releaseOf(1)))).toBe(
      "Transport lease.lost",
    );
    const stale = await leaseReleaser(store);
    await leaseReleaser(store);
    expect(await outcomeOf(store.publishRelease("acme", stale, releaseOf(1)))).toBe("lease.lost");
    const unleased = releaseOf(1, "other");
    expect(await outcomeOf(store.publishRelease("other", stale, unleased))).toBe("lease.lost");
    expect(await store.tenants()).toEqual([]);
  });

  test("P5: of publishers at the same time exactly one wins", async () => {
    const store = bench.store();
    const other = await bench.another();
    const token = await leaseReleaser(store);
    await store.publishRelease("acme", token, releaseOf(1));
    const outcomes = await Promise.all(
      Array.from({ length: 8 }, (_, salt) =>
        outcomeOf(
          (salt % 2 ? store : other).publishRelease("acme", token, releaseOf(2, "acme", salt)),
        ),
      ),
    );
    expect(outcomes.filter((outcome) => outcome === "ok")).toHaveLength(1);
    const winner = outcomes.indexOf("ok");
    expect(await store.currentRelease("acme")).toEqual(laddersOf(releaseOf(2, "acme", winner)));
    expect((await store.recentReleases("acme"))[0]).toEqual(recentOf(releaseOf(2, "acme", winner)));
  });

  test("release: the newest eight stay as bases, newest first, for each tenant", async () => {
    const store = bench.store();
    const token = await leaseReleaser(store);
    for (let version = 1; version <= 11; version += 1) {
      await store.publishRelease("acme", token, releaseOf(version));
    }
    await store.publishRelease("other", await leaseReleaser(store, "other"), releaseOf(1, "other"));
    const versions = (await store.recentReleases("acme")).map(({ release }) => release.version);
    expect(versions).toEqual([11, 10, 9, 8, 7, 6, 5, 4]);
    expect(await store.recentReleases("other")).toEqual([recentOf(releaseOf(1, "other"))]);
    expect(await store.tenants()).toEqual(["acme", "other"]);
  });

  test("watch: releases are announced to every process, the current ones at the start", async () => {
    const store = bench.store();
    const other = await bench.another();
    const token = await leaseReleaser(store);
    await store.publishRelease("acme", token, releaseOf(1));
    const heard: string[] = [];
    const listener = (name: string) => ({
      onRelease: (tenant: string, version: number) => heard.push(`${name} ${tenant} ${version}`),
      onProblems() {},
    });
    await other.watch(listener("a"));
    expect(heard).toEqual(["a acme 1"]);
    const unwatch = await other.watch(listener("b"));
    expect(heard).toContain("b acme 1");
    await store.publishRelease("acme", token, releaseOf(2));
    await waitFor(() => heard.includes("a acme 2") && heard.includes("b acme 2"));
    await unwatch();
    await store.publishRelease("acme", token, releaseOf(3));
    await waitFor(() => heard.includes("a acme 3"));
    expect(heard).not.toContain("b acme 3");
  });

  test("watch: a listener that throws harms no other", async () => {
    const store = bench.store();
    const heard: number[] = [];
    const broken = () => {
      throw new Error("the listener is broken");
    };
    await store.watch({ onRelease: broken, onProblems: broken });
    await store.watch({ onRelease: (_tenant, version) => heard.push(version), onProblems() {} });
    await store.publishRelease("acme", await leaseReleaser(store), releaseOf(1));
    await waitFor(() => heard.includes(1));
  });
}
