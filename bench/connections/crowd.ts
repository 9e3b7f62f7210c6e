/**
 * Carries out a bench's orders on thousands of light devices.
 * @module
 */
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { type FramePool, makeFramePool } from "../../src/fleet/load/frame-pool.ts";
import { Histogram } from "../../src/fleet/load/histogram.ts";
import { Opener, type Target } from "../../src/fleet/load/wire.ts";
import { peekFrame } from "../../src/wire/index.ts";
import { BenchDevice, type DeviceEvents } from "./bench-device.ts";
import type {
  Acks,
  CrowdOptions,
  Opened,
  Opening,
  Orders,
  Range,
  Released,
  Storm,
  Way,
} from "./orders.ts";
import { storm } from "./reconnect.ts";

const SEED = 17;
const TICK_MS = 5;
const PING_STEPS = 20;
const ORDER_MS_MAX = 120_000;
const FRAME_BYTES_MAX = 256 * 1024;
/** What one delta says: ten patterns in a kilobyte, as the issue of the product's budget has it. */
const DELTA = { dim: 384, patterns: 10, frameBytes: 1_024 } as const;

export class Crowd implements Orders {
  readonly #options: CrowdOptions;
  readonly #devices = new Map<number, BenchDevice>();
  readonly #epoch = Math.floor(Date.now() / 1_000);
  readonly #openers: Record<"tcp" | "tls", Opener>;
  readonly #latencies = new Histogram();
  #publishing: NodeJS.Timeout | null = null;
  #onDown: ((payload: Buffer) => void) | null = null;

  constructor(options: CrowdOptions) {
    this.#options = options;
    this.#openers = { tcp: this.#opener("tcp"), tls: this.#opener("tls") };
  }

  async open(of: Range & Opening): Promise<Opened> {
    const startedMs = performance.now();
    const { perS = Number.POSITIVE_INFINITY } = of;
    let begun = 0;
    let resumed = 0;
    const resumedBefore = this.#openers.tls.resumed;
    await this.#each(of, of.atOnceMax, async (device) => {
      const waitMs = startedMs + (begun / perS) * 1_000 - performance.now();
      begun += 1;
      if (waitMs > 0) await sleep(waitMs);
      const opener = this.#openerFor(of.way);
      const before = opener.resumed;
      await this.#enter(device, opener, of.subscribes);
      resumed += of.way === "tls" ? opener.resumed - before : 0;
    });
    if (of.way === "tls-resumed") resumed = this.#openers.tls.resumed - resumedBefore;
    return { elapsedMs: performance.now() - startedMs, resumed };
  }

  async close(of: Range): Promise<void> {
    for (const device of this.#range(of)) device.leave();
    await sleep(0);
  }

  async ping(of: Range & { overMs: number }): Promise<void> {
    const devices = this.#range(of);
    const perStep = Math.ceil(devices.length / PING_STEPS);
    const pongs: Promise<void>[] = [];
    for (let at = 0; at < devices.length; at += perStep) {
      for (const device of devices.slice(at, at + perStep)) {
        pongs.push(inTime("a PINGRESP", (done) => device.ping(done)));
      }
      await sleep(of.overMs / PING_STEPS);
    }
    await Promise.all(pongs);
  }

  async subscribe(of: Range & { atOnceMax: number }): Promise<void> {
    await this.#each(of, of.atOnceMax, (device) => versionOf(device, () => device.subscribe()));
  }

  storm(of: Range & { withinMsMax: number }): Promise<Storm> {
    return storm(this.#range(of), this.#openers.tcp, of.withinMsMax);
  }

  async publish(of: Range & { ratePerS: number }): Promise<void> {
    const nowS = this.#epoch;
    const pool = await makeFramePool({ ...DELTA, seed: SEED, nowS });
    const devices = this.#range(of);
    const startedMs = performance.now();
    let sent = 0;
    this.#publishing = setInterval(() => {
      const due = Math.floor(((performance.now() - startedMs) / 1_000) * of.ratePerS);
      for (; sent < due; sent += 1) {
        const dueMs = startedMs + (sent / of.ratePerS) * 1_000;
        this.#publishOne(devices[sent % devices.length], pool, sent, devices.length, dueMs);
      }
    }, TICK_MS);
  }

  async acks(): Promise<Acks> {
    const { count, p50, p99 } = this.#latencies.quantiles();
    this.#latencies.clear();
    return { count, p50Ms: p50, p99Ms: p99 };
  }

  async quiet(): Promise<void> {
    if (this.#publishing !== null) clearInterval(this.#publishing);
    this.#publishing = null;
  }

  async released(of: Range & { version: number; withinMsMax: number }): Promise<Released> {
    const startedMs = performance.now();
    const devices = this.#range(of);
    const bodies = new Set<string>();
    const sums = { frames: 0, bytes: 0 };
    this.#onDown = (payload) => {
      sums.frames += 1;
      sums.bytes += payload.length;
      const { bytes } = peekFrame(payload, FRAME_BYTES_MAX).body;
      bodies.add(createHash("sha1").update(bytes).digest("hex"));
    };
    const missing = () => devices.filter((device) => device.version < of.version).length;
    while (missing() > 0 && performance.now() - startedMs < of.withinMsMax) await sleep(10);
    const elapsedMs = performance.now() - startedMs;
    this.#onDown = null;
    return { elapsedMs, missing: missing(), ...sums, bodies: bodies.size };
  }

  /** Connects one device, and listens when `subscribes`. */
  #enter(device: BenchDevice, opener: Opener, subscribes: boolean): Promise<void> {
    return inTime("a device to be let in", (done, fail) => {
      device.onVersion = () => {
        device.onVersion = null;
        done();
      };
      device.connect(opener, {
        ...this.#events(fail),
        connack: (code) => {
          if (code !== 0) fail(new Error(`CONNACK ${code}`));
          else if (subscribes) device.listen();
          else done();
        },
      });
    });
  }

  #events(fail: (error: Error) => void): DeviceEvents {
    return {
      opened: () => {},
      connack: () => {},
      lost: () => fail(new Error("a connection was closed")),
      wrong: () => fail(new Error("a server said what it should not")),
      down: (payload) => this.#onDown?.(payload),
    };
  }

  #publishOne(
    device: BenchDevice | undefined,
    pool: FramePool,
    sent: number,
    count: number,
    dueMs: number,
  ): void {
    if (device === undefined) return;
    const seq = 1 + Math.floor(sent / count);
    device.publish(pool.frame(device.index, this.#epoch, seq, 0), () => {
      this.#latencies.add(performance.now() - dueMs);
    });
  }

  /** A fresh one has no ticket, so its handshake is a full one. */
  #openerFor(way: Way): Opener {
    if (way === "tls") return this.#opener("tls");
    return this.#openers[way === "tcp" ? "tcp" : "tls"];
  }

  #opener(kind: "tcp" | "tls"): Opener {
    const { tcpPort, tlsPort, ca } = this.#options;
    const target: Target = {
      ...(kind === "tcp"
        ? { protocol: "mqtt", port: tcpPort }
        : { protocol: "mqtts", port: tlsPort }),
      ...{ host: "127.0.0.1", path: "/", ca },
    };
    return new Opener(target);
  }

  #range({ from, to }: Range): BenchDevice[] {
    return Array.from({ length: to - from }, (_, at) => {
      const index = from + at;
      const device = this.#devices.get(index) ?? new BenchDevice(index, this.#options.minor);
      this.#devices.set(index, device);
      return device;
    });
  }

  /** `act` for every device of the range, at most `atOnceMax` at a time. */
  async #each(of: Range, atOnceMax: number, act: (device: BenchDevice) => Promise<void>) {
    const devices = this.#range(of).values();
    const worker = async () => {
      for (const device of devices) await act(device);
    };
    await Promise.all(Array.from({ length: atOnceMax }, worker));
  }
}

/** Resolves when the device holds a release after `act`. */
function versionOf(device: BenchDevice, act: () => void): Promise<void> {
  return inTime("a retained message", (done) => {
    device.onVersion = () => {
      device.onVersion = null;
      done();
    };
    act();
  });
}

function inTime(
  what: string,
  begin: (done: () => void, fail: (error: Error) => void) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`gave up waiting for ${what}`)), ORDER_MS_MAX);
    const settled = (act: () => void) => {
      clearTimeout(timer);
      act();
    };
    begin(
      () => settled(resolve),
      (error) => settled(() => reject(error)),
    );
  });
}
