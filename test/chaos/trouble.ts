/**
 * Trouble: the events of a schedule done to a rig, each at its time, and all of it undone at the end.
 * @module
 */
import { setTimeout as sleep } from "node:timers/promises";
import { integerBelow, messageOf, type Random, seededRandom } from "../../src/core/index.ts";
import type { CrowdOrder, DeviceOrder } from "./messages.ts";
import type { Part } from "./part.ts";
import { DIRECTIONS, type FaultProxy } from "./proxy.ts";
import type { Rig } from "./rig.ts";
import type { FaultEvent, Schedule } from "./schedule.ts";
import { SHARDS } from "./stage.ts";

export interface TroubleOptions {
  readonly rig: Rig;
  readonly schedule: Schedule;
  readonly say: (line: string) => void;
}

/** What a wrong clock needs of Node, and how it is told. */
const CLOCK_SHIFT = new URL("./clock-shift.js", import.meta.url).href;
const RESTART_MS = 200;
const PROGRESS_MS = 15_000;

export class Trouble {
  readonly #options: TroubleOptions;
  readonly #random: Random;
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #done: Record<string, number> = {};
  readonly #skipped: Record<string, number> = {};
  readonly #wrongClocks = new Set<Part>();

  constructor(options: TroubleOptions) {
    this.#options = options;
    this.#random = seededRandom(options.schedule.seed);
  }

  /** Events that were done, by kind; one for which there was nobody at that moment is not counted. */
  get done(): Readonly<Record<string, number>> {
    return this.#done;
  }

  get skipped(): Readonly<Record<string, number>> {
    return this.#skipped;
  }

  /** Plays the schedule to its end. */
  async run(): Promise<void> {
    const { schedule, say } = this.#options;
    const fromMs = performance.now();
    const acting: Promise<void>[] = [];
    const progress = setInterval(() => say(this.#progress(fromMs)), PROGRESS_MS);
    try {
      for (const event of schedule.events) {
        await sleep(Math.max(0, event.atMs - (performance.now() - fromMs)));
        acting.push(this.#act(event));
      }
      await sleep(Math.max(0, schedule.troubleMs - (performance.now() - fromMs)));
      await Promise.all(acting);
    } finally {
      clearInterval(progress);
    }
  }

  /** Ends every fault at once. */
  async end(): Promise<void> {
    const { rig } = this.#options;
    for (const timer of this.#timers) clearTimeout(timer);
    for (const disk of rig.disks.values()) disk.free();
    for (const link of rig.links.values()) await link.heal();
    for (const part of rig.all) {
      part.thaw();
      part.clock?.shift(0);
    }
    for (const part of this.#wrongClocks) part.kill(0);
  }

  #progress(fromMs: number): string {
    const { schedule, rig } = this.#options;
    const count = Object.values(this.#done).reduce((sum, n) => sum + n, 0);
    const seconds = Math.round((performance.now() - fromMs) / 1_000);
    const down = rig.all.filter(({ child }) => child === null).map(({ name }) => name);
    const of = Math.round(schedule.troubleMs / 1_000);
    const gone = down.length === 0 ? "" : `, down: ${down.join(" ")}`;
    return `${schedule.backend}: ${seconds} of ${of} s, ${count} faults${gone}`;
  }

  async #act(event: FaultEvent): Promise<void> {
    let isDone = false;
    try {
      isDone = await this.#do(event);
    } catch (error) {
      // The very part that the fault was for may be down: then there was none.
      this.#options.say(`${event.kind} could not be done: ${messageOf(error)}`);
    }
    const counts = isDone ? this.#done : this.#skipped;
    counts[event.kind] = (counts[event.kind] ?? 0) + 1;
  }

  async #do(event: FaultEvent): Promise<boolean> {
    const { rig } = this.#options;
    const { forMs } = event;
    switch (event.kind) {
      case "slow":
      case "rate":
      case "hole":
      case "refuse":
      case "cut":
      case "reset":
        return this.#hurtLink(event, need(rig.links.get(event.link), event.link));
      case "kill":
        return this.#part(event.part).kill(forMs);
      case "freeze":
        return this.#part(event.part).freeze(forMs);
      case "terminate":
        return this.#part(event.part).terminate();
      case "clock":
        return this.#shiftClock(this.#part(event.part), event.shiftMs, forMs);
      case "die": {
        const { operation, after } = event;
        return this.#part(event.part).send({ kind: "die", operation, after } satisfies DeviceOrder);
      }
      case "mischief": {
        const { what, devices } = event;
        const order: CrowdOrder = { kind: "mischief", what, devices };
        return this.#part(event.part).send(order);
      }
      case "disk-full": {
        const disk = need(rig.disks.get(event.disk), event.disk);
        disk.fill();
        this.#later(forMs, () => disk.free());
        return true;
      }
      case "fail-over":
        return (await rig.stage.failOver?.(event.by, forMs)) ?? false;
      case "poison-job":
        await rig.stage.poisonJob?.(integerBelow(this.#random, SHARDS));
        return rig.stage.poisonJob !== null;
    }
  }

  #hurtLink(event: Extract<FaultEvent, { readonly link: string }>, link: FaultProxy): boolean {
    const { forMs } = event;
    switch (event.kind) {
      case "slow":
        link.slow(event.latencyMs, event.latencyMs / 2);
        this.#later(forMs, () => link.slow(0, 0));
        return true;
      case "rate":
        link.limit(event.bytesPerS);
        this.#later(forMs, () => link.limit(null));
        return true;
      case "hole":
        link.hold(event.directions);
        this.#later(forMs, () => link.letGo(DIRECTIONS));
        return true;
      case "refuse":
        link.refuse();
        this.#later(forMs, () => void link.accept());
        return true;
      case "cut":
        return link.cut(event.share, event.direction) > 0;
      case "reset":
        return link.reset(event.share) > 0;
    }
  }

  /** A server's clock is set while it runs; of ours the next life has a wrong one, the one after that a right one. */
  #shiftClock(part: Part, shiftMs: number, forMs: number): boolean {
    const { clock } = part;
    if (clock !== null) {
      clock.shift(shiftMs);
      this.#later(forMs, () => clock.shift(0));
      return true;
    }
    const env = { NODE_OPTIONS: `--import=${CLOCK_SHIFT}`, CLOCK_SHIFT_MS: `${shiftMs}` };
    if (!part.kill(RESTART_MS, env)) return false;
    this.#wrongClocks.add(part);
    this.#later(forMs, () => {
      this.#wrongClocks.delete(part);
      part.kill(RESTART_MS);
    });
    return true;
  }

  #part(name: string): Part {
    return need(this.#options.rig.parts.get(name), name);
  }

  #later(ms: number, act: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      act();
    }, ms);
    this.#timers.add(timer);
  }
}

function need<T>(found: T | undefined, name: string): T {
  if (found === undefined) throw new Error(`the schedule names ${name}, which this rig has not`);
  return found;
}
