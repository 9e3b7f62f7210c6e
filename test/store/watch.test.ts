import { expect, test } from "vitest";
import { seededRandom } from "../../src/core/index.ts";
import { silentLogger } from "../../src/observe/index.ts";
import { Listeners, modelEvent, problemEvents, releaseEvent } from "../../src/store/events.ts";
import { type NotificationSource, Watch } from "../../src/store/watch.ts";
import { manualClock } from "../support/manual-clock.ts";
import { keysOn } from "./samples.ts";

/** A subscription whose every fault is the test's to choose. */
function rehearsal() {
  const clock = manualClock();
  const heard: number[] = [];
  const state = {
    version: 1,
    model: 1,
    links: 0,
    open: 0,
    isRefused: false,
    isDeaf: false,
    say: (_event: string) => {},
    cut: () => {},
  };
  const source: NotificationSource = {
    async open(onEvent, onLost) {
      if (state.isRefused) throw new Error("refused");
      state.links += 1;
      state.open += 1;
      let isOpen = true;
      state.say = onEvent;
      state.cut = onLost;
      return {
        async ping() {
          if (state.isDeaf) throw new Error("no answer");
        },
        close() {
          if (isOpen) state.open -= 1;
          isOpen = false;
        },
      };
    },
    releaseVersions: async () => new Map([["acme", state.version]]),
    modelVersions: async () => new Map([["acme", state.model]]),
  };
  const watch = new Watch({ source, clock, random: seededRandom(7), log: silentLogger });
  const listener = {
    onRelease: (_tenant: string, version: number) => heard.push(version),
    onProblems() {},
  };
  return { clock, heard, state, watch, listener };
}

test("watch: tells the current version at the start, and what is said after it", async () => {
  const { heard, state, watch, listener } = rehearsal();
  await watch.add(listener);
  state.say(releaseEvent("acme", 2));
  expect(heard).toEqual([1, 2]);
});

test("watch: listeners that come at the same time share one link, and each waits for it", async () => {
  const { heard, state, watch, listener } = rehearsal();
  await Promise.all([watch.add(listener), watch.add(listener)]);
  expect(state.links).toBe(1);
  expect(heard.length).toBeGreaterThanOrEqual(2);
});

test("P5: watch: a version missed while the link was down is told once it is back", async () => {
  const { clock, heard, state, watch, listener } = rehearsal();
  await watch.add(listener);
  state.isRefused = true;
  state.cut();
  state.version = 5;
  await clock.advance(60_000);
  expect(heard).toEqual([1]);
  state.isRefused = false;
  await clock.advance(3_000);
  expect(heard).toEqual([1, 5]);
  expect(state.links).toBe(2);
  expect(state.open).toBe(1);
});

test("watch: a codec model missed while the link was down is told once it is back", async () => {
  const { clock, state, watch } = rehearsal();
  const heard: number[] = [];
  await watch.add({
    onRelease() {},
    onProblems() {},
    onModel: (_tenant, version) => heard.push(version),
  });
  state.say(modelEvent("acme", 2));
  state.model = 3;
  state.cut();
  await clock.advance(3_000);
  expect(heard).toEqual([1, 2, 3]);
});

test("watch: a link that answers no ping is replaced", async () => {
  const { clock, heard, state, watch, listener } = rehearsal();
  await watch.add(listener);
  await clock.advance(30_000);
  expect(state.links).toBe(1);
  state.isDeaf = true;
  state.version = 9;
  await clock.advance(10_000);
  state.isDeaf = false;
  await clock.advance(3_000);
  expect(heard).toEqual([1, 9]);
  expect(state.open).toBe(1);
});

test("watch: a link lost while it was still asking for the versions is replaced too", async () => {
  const { clock, heard, state, watch, listener } = rehearsal();
  const adding = watch.add(listener);
  await Promise.resolve();
  state.cut();
  await adding;
  await clock.advance(3_000);
  expect(heard.length).toBeGreaterThan(0);
  expect(state.open).toBe(1);
  expect(state.links).toBe(2);
});

test("watch: the last listener to leave closes the link and every timer", async () => {
  const { clock, state, watch, listener } = rehearsal();
  const leave = [await watch.add(listener), await watch.add(listener)];
  await leave[0]?.();
  expect(state.open).toBe(1);
  await leave[1]?.();
  await leave[1]?.();
  expect(state.open).toBe(0);
  expect(clock.pending).toBe(0);
  await watch.add(listener);
  expect(state.links).toBe(2);
  watch.close();
  expect([state.open, clock.pending]).toEqual([0, 0]);
});

test("watch: when the first subscription fails the caller hears of it and nothing goes on", async () => {
  const { clock, state, watch, listener } = rehearsal();
  state.isRefused = true;
  await expect(watch.add(listener)).rejects.toThrow("refused");
  expect([state.open, clock.pending]).toEqual([0, 0]);
  state.isRefused = false;
  await watch.add(listener);
  expect(state.open).toBe(1);
});

test("events: problems of many devices fit PostgreSQL's 8000 bytes each, and all arrive", () => {
  const keys = keysOn(0, 2_000, "t".repeat(64));
  const events = problemEvents(keys);
  expect(Math.max(...events.map((event) => event.length))).toBeLessThan(8_000);
  const heard: unknown[] = [];
  const listeners = new Listeners(() => {});
  listeners.add({ onRelease() {}, onProblems: (key) => heard.push(key) });
  for (const event of events) listeners.dispatch(event);
  expect(heard).toEqual(keys);
  expect(problemEvents([])).toEqual([]);
});

test("events: what this version does not know is ignored", () => {
  const heard: unknown[] = [];
  const faults: unknown[] = [];
  const listeners = new Listeners((error) => faults.push(error));
  listeners.add({ onRelease: (...told) => heard.push(told), onProblems: (key) => heard.push(key) });
  for (const event of [
    "",
    "shutdown",
    "model",
    "model a/b 1",
    "release",
    "release a b",
    "release a/b 1",
    "problems x",
  ]) {
    listeners.dispatch(event);
  }
  expect(heard).toEqual([]);
});
