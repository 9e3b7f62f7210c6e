/**
 * Real delta frames at a price that tens of thousands of devices can pay.
 *
 * The bodies are made once by the device's own encoder (codec 1, the whole byte
 * budget used) and shared; each frame has its device's header: epoch, seq and
 * base. That is a valid frame because every vector is absolute: nothing in such
 * a body depends on the device or on the seq. What a fleet cannot show with it
 * is the cost of differences, and that of many distinct vectors.
 * @module
 */
import { InvalidConfigError, type Random, seededRandom } from "../../core/index.ts";
import {
  COUNTER_MAX,
  encodeDelta1,
  encodeFrame,
  GRID,
  loadZstd,
  type PackedBody,
  peekFrame,
  type Upsert,
} from "../../wire/index.ts";

export interface FramePoolOptions {
  readonly dim: number;
  /** Patterns in a delta, 1–256. */
  readonly patterns: number;
  /** What a frame may hold at most. */
  readonly frameBytes: number;
  readonly seed: number;
  /** Seconds since 1970: when the patterns were last used. */
  readonly nowS: number;
}

export interface FramePool {
  /** The frame of the delta (epoch, seq) of device number `device`, which holds release `base`. */
  frame(device: number, epoch: number, seq: number, base: number): Uint8Array;
}

const BODIES = 32;
/** What the fleet's TVs talk about. */
const PATTERNS = 500;
const NORM = 0.5;
const SUCCESS = 0.8;

/** Throws `InvalidConfigError` when so many patterns do not fit the frame at any quality. */
export async function makeFramePool(options: FramePoolOptions): Promise<FramePool> {
  const zstd = await loadZstd();
  const random = seededRandom(options.seed);
  const bodies: PackedBody[] = [];
  // The longest header there can be, so that no device's frame outgrows the budget.
  const at = { epoch: COUNTER_MAX, seq: COUNTER_MAX, base: COUNTER_MAX };
  for (let body = 0; body < BODIES; body += 1) {
    const { dim, patterns, frameBytes: bytesMax } = options;
    const encoded = encodeDelta1(
      at,
      { dim, upserts: upsertsOf(options, random), removals: [] },
      { bytesMax, model: null, mode: "tracking", states: 8, sender: "fleet/pool" },
      zstd,
    );
    if (encoded === null) {
      throw new InvalidConfigError([
        `${patterns} patterns of ${dim} numbers do not fit in ${bytesMax} bytes: lower --patterns or raise --frame-bytes`,
      ]);
    }
    bodies.push(peekFrame(encoded.frame, encoded.frame.length).body);
  }
  return {
    frame: (device, epoch, seq, base) => {
      const body = bodies[(device + seq) % BODIES] as PackedBody;
      return encodeFrame({ kind: "delta", minor: 1, epoch, seq, base, codec: 1 }, body);
    },
  };
}

function upsertsOf({ dim, patterns, nowS }: FramePoolOptions, random: Random): Upsert[] {
  const first = Math.floor(random.next() * PATTERNS);
  return Array.from({ length: patterns }, (_, index) => ({
    id: `fleet-${(first + index) % PATTERNS}`,
    weight: 1 + Math.floor(random.next() * 50),
    success: SUCCESS,
    samples: 1 + Math.floor(random.next() * 200),
    updatedAtS: nowS - Math.floor(random.next() * 3_600),
    embedding: { mode: "absolute" as const, target: vectorOf(dim, random) },
  }));
}

function vectorOf(dim: number, random: Random): Int16Array {
  const raw = Float64Array.from({ length: dim }, () => random.next() - 0.5);
  const norm = Math.hypot(...raw);
  return Int16Array.from(raw, (x) => Math.round((x / norm) * NORM * GRID));
}
