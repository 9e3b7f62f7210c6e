/**
 * One process's share of a fleet, from the first connection to the last PUBACK.
 *
 *   ramp (devices connect) ─▶ the announced time ─▶ grace (no new deltas, acks may arrive) ─▶ end
 *
 * The load is open-loop: every device's next delta is due at a time drawn from
 * the seed, whatever became of the one before, and its latency counts from
 * then. A generator that waits for answers would leave out just the deltas that
 * a slow server delays ("coordinated omission", Gil Tene, "How NOT to Measure
 * Latency", 2013).
 * @module
 */
import { type EventLoopUtilization, monitorEventLoopDelay, performance } from "node:perf_hooks";
import { devicePassword } from "../../../gateway/index.ts";
import { type Clock, deviceName, type Random, seededRandom, sleep } from "../../core/index.ts";
import { topicOf } from "../../wire/index.ts";
import { Agenda } from "./agenda.ts";
import { type FramePool, makeFramePool } from "./frame-pool.ts";
import { type DeviceIdentity, type DeviceWorld, LightDevice } from "./light-device.ts";
import { NETWORKS, waitMs } from "./network.ts";
import type { LoadPlan, RunPart, Share } from "./plan.ts";
import { cutAtMs, rampMs, rateFactor } from "./scenario.ts";
import { type Sample, Tally } from "./tally.ts";
import { Opener } from "./wire.ts";

export interface LoadRunOptions {
  readonly plan: LoadPlan;
  readonly share: Share;
  readonly clock: Clock;
  readonly onSample: (sample: Sample) => void;
}

/** How long PUBACKs are waited for after the last delta was due. */
const GRACE_MS = 30_000;
/** The same for a run that was stopped. */
const STOPPED_GRACE_MS = 1_000;
const GRACE_POLL_MS = 20;
const TURN_MS = 1;
/** Acts in one turn, so that sockets are served in between however late the schedule is. */
const ACTS_PER_TURN = 500;
const SECOND_MS = 1_000;
const LOOP_RESOLUTION_MS = 10;
/** A TV that was switched off comes back after so long. */
const AWAY_MS_MIN = 2_000;
const AWAY_MS_MAX = 10_000;
const MINUTES_PER_HOUR = 60;

export class LoadRun {
  readonly #options: LoadRunOptions;
  readonly #agenda = new Agenda();
  readonly #tally = new Tally();
  readonly #random: Random;
  readonly #opener: Opener;
  #devices: LightDevice[] = [];
  #pushing = true;
  #second = 0;
  #startMs = 0;
  readonly #stopping = new AbortController();

  constructor(options: LoadRunOptions) {
    this.#options = options;
    const { plan, share } = options;
    this.#random = seededRandom(plan.seed + share.first);
    this.#opener = new Opener(plan.target);
  }

  /** Ends the run early; what was measured counts. */
  stop(): void {
    this.#stopping.abort(new Error("stopped"));
  }

  async run(): Promise<RunPart> {
    const { plan, clock } = this.#options;
    const frames = await makeFramePool({ ...plan, nowS: Math.floor(clock.nowMs() / 1_000) });
    const lag = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });
    lag.enable();
    const busyBefore = performance.eventLoopUtilization();
    this.#startMs = clock.monotonicMs();
    this.#devices = this.#makeDevices(frames);
    const ramp = rampMs(plan.scenario, plan.devices, plan.connectRate);
    this.#plan(ramp);
    const turning = this.#turnUntilEnd();
    const { signal } = this.#stopping;
    await sleep(clock, ramp + plan.durationMs, signal).catch(() => {});
    this.#pushing = false;
    await this.#grace();
    turning.end();
    for (const device of this.#devices) device.abandon();
    lag.disable();
    return this.#part(busyBefore, lag.percentile(99) / 1e6 - LOOP_RESOLUTION_MS);
  }

  #part(busyBefore: EventLoopUtilization, lagMs: number): RunPart {
    const tally = this.#tally;
    return {
      counts: tally.counts,
      ackMs: tally.ackMs,
      connectMs: tally.connectMs.data(),
      lateMs: tally.lateMs.data(),
      tlsResumed: this.#opener.resumed,
      health: {
        loopLagMsP99: Math.max(0, Math.round(lagMs * 100) / 100),
        utilisation:
          Math.round(performance.eventLoopUtilization(busyBefore).utilization * 1_000) / 1_000,
      },
    };
  }

  #makeDevices(frames: FramePool): LightDevice[] {
    const { plan, share, clock } = this.#options;
    const world: DeviceWorld = {
      ...{ frames, clock, agenda: this.#agenda, tally: this.#tally, random: this.#random },
      opener: this.#opener,
      network: NETWORKS[plan.network],
      epoch: plan.epoch,
    };
    return Array.from({ length: share.count }, (_, index) => {
      return new LightDevice(identityOf(plan, share.first + index), world);
    });
  }

  #plan(ramp: number): void {
    const { plan, share } = this.#options;
    const startMs = this.#startMs;
    for (const [index, device] of this.#devices.entries()) {
      const place = (share.first + index) / plan.devices;
      const joinMs = startMs + place * ramp;
      this.#agenda.at(joinMs, (atMs) => this.#join(device, atMs));
      const first = plan.scenario === "cold-start" ? 0 : this.#random.next() * plan.intervalMs;
      this.#agenda.at(joinMs + first, (atMs) => this.#push(device, atMs));
      this.#planLeave(device, joinMs);
    }
    const cutMs = cutAtMs(plan.scenario, plan.durationMs);
    if (cutMs !== null) this.#agenda.at(startMs + ramp + cutMs, () => this.#cutAll());
    this.#agenda.at(startMs + SECOND_MS, (atMs) => this.#sample(atMs));
  }

  #join(device: LightDevice, atMs: number): void {
    this.#late(atMs);
    if (device.isAway && this.#pushing) device.join(atMs);
  }

  /** One delta, and the next one after a gap that knows nothing of this one's fate. */
  #push(device: LightDevice, atMs: number): void {
    if (!this.#pushing) return;
    this.#late(atMs);
    const { plan } = this.#options;
    if (!device.isAway) device.push(atMs);
    const ramp = rampMs(plan.scenario, plan.devices, plan.connectRate);
    const share = (atMs - this.#startMs - ramp) / plan.durationMs;
    const spread = 1 + plan.jitter * (2 * this.#random.next() - 1);
    const gapMs = (plan.intervalMs * spread) / rateFactor(plan.scenario, share);
    this.#agenda.at(atMs + gapMs, (nextMs) => this.#push(device, nextMs));
  }

  #planLeave(device: LightDevice, fromMs: number): void {
    const perHour = this.#options.plan.churnPerMinute * MINUTES_PER_HOUR;
    const inMs = waitMs(perHour, () => this.#random.next());
    if (inMs !== Number.POSITIVE_INFINITY) {
      this.#agenda.at(fromMs + inMs, (atMs) => this.#leave(device, atMs));
    }
  }

  /** Nobody switches off a TV that has something to say: it would not be back in time for it. */
  #leave(device: LightDevice, atMs: number): void {
    if (!this.#pushing) return;
    if (device.pending > 0 || device.isAway) {
      this.#agenda.at(atMs + SECOND_MS, (againMs) => this.#leave(device, againMs));
      return;
    }
    device.leave();
    const awayMs = AWAY_MS_MIN + this.#random.next() * (AWAY_MS_MAX - AWAY_MS_MIN);
    this.#agenda.at(atMs + awayMs, (backMs) => {
      this.#join(device, backMs);
      this.#planLeave(device, backMs);
    });
  }

  #cutAll(): void {
    for (const device of this.#devices) device.cut();
  }

  #late(atMs: number): void {
    this.#tally.lateMs.add(this.#options.clock.monotonicMs() - atMs);
  }

  #sample(atMs: number): void {
    this.#second += 1;
    this.#options.onSample(this.#tally.sample(this.#second));
    this.#agenda.at(atMs + SECOND_MS, (nextMs) => this.#sample(nextMs));
  }

  #turnUntilEnd(): { end(): void } {
    const { clock } = this.#options;
    const turn = () => {
      this.#agenda.run(clock.monotonicMs(), ACTS_PER_TURN);
      timer = clock.after(TURN_MS, turn);
    };
    let timer = clock.after(0, turn);
    return { end: () => timer.cancel() };
  }

  /** Until every delta is acknowledged, or the grace is over. */
  async #grace(): Promise<void> {
    const { clock } = this.#options;
    const stopped = this.#stopping.signal.aborted;
    const nowMs = clock.monotonicMs();
    const endMs = nowMs + (stopped ? STOPPED_GRACE_MS : GRACE_MS);
    if (!stopped) this.#bringHome(nowMs);
    while (clock.monotonicMs() < endMs && this.#pending()) await sleep(clock, GRACE_POLL_MS);
    this.#second += 1;
    this.#options.onSample(this.#tally.sample(this.#second));
  }

  /**
   * Who is waiting to connect again and has something to say does so within the first third of the
   * grace: a backoff grows to minutes, and what a TV would say after the end is not lost.
   */
  #bringHome(nowMs: number): void {
    for (const device of this.#devices) {
      if (device.pending === 0) continue;
      const atMs = nowMs + (this.#random.next() * GRACE_MS) / 3;
      this.#agenda.at(atMs, (dueMs) => device.hurry(dueMs));
    }
  }

  #pending(): boolean {
    return this.#devices.some((device) => device.pending > 0);
  }
}

function identityOf({ tenant, secret }: LoadPlan, index: number): DeviceIdentity {
  const device = `fleet-${index}`;
  const key = { tenant, device };
  return {
    index,
    clientId: device,
    username: deviceName(key),
    password: () => (secret === null ? null : devicePassword(secret, key)),
    topics: { up: topicOf(key, "up"), down: topicOf(key, "down"), err: topicOf(key, "err") },
  };
}
