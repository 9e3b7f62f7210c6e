/**
 * The rounds: all points of a dimension in turn, round after round, so that what slows the machine
 * slows them all.
 * @module
 */
import { join } from "node:path";
import { loadZstd, type Zstd } from "../../src/wire/index.ts";
import { watchOthers } from "../support/machine.ts";
import { scratchFolder } from "../support/processes.ts";
import { deviceSetsOf } from "./device-sets.ts";
import { type CodecId, frameOf, makePool, writePool } from "./frame-pool.ts";
import type { Options } from "./options.ts";
import { type Dimension, type Point, pointsOf, type Shape } from "./points.ts";
import type { Row, Run } from "./report.ts";
import { type CpuUs, startWorld, type World } from "./world.ts";

type Say = (line: string) => void;
interface Pool {
  readonly file: string;
  readonly frameBytes: number;
}

const CODECS: readonly CodecId[] = [0, 1];
const RATE_PER_S = 2_000;
/** What makes engines warm: not measured. */
const WARM = { deltas: 5_000, ratePerS: 3_000 } as const;
const PACE = {
  full: { rounds: 3, deltas: 4_000 },
  quick: { rounds: 1, deltas: 2_000 },
} as const;
const MIB = 1024 ** 2;

/** Every run of every round. Stops what it started, whatever happens. */
export async function runDimensions(options: Options, say: Say): Promise<Run[]> {
  const worlds = new Worlds(say, await loadZstd());
  const runs: Run[] = [];
  try {
    for (const [index, dimension] of options.dimensions.entries()) {
      const points = pointsOf(dimension, options.quick);
      for (const point of points) await worlds.at(point.shape);
      for (const codec of CODECS) {
        runs.push(...(await runRounds(worlds, points, codec, options, say)));
      }
      const later = options.dimensions.slice(index + 1);
      await worlds.keepOnly(shapesOf(later, options.quick));
    }
    return runs;
  } finally {
    await worlds.keepOnly([]);
  }
}

async function runRounds(
  worlds: Worlds,
  points: readonly Point[],
  codec: CodecId,
  { quick }: Options,
  say: Say,
): Promise<Run[]> {
  const pace = quick ? PACE.quick : PACE.full;
  for (const { shape } of points) await worlds.prepare(shape, codec);
  const runs: Run[] = [];
  for (let round = 1; round <= pace.rounds; round++) {
    for (const point of rotated(points, round)) {
      const row = await measure(worlds, point, codec, pace.deltas);
      say(`round ${round}/${pace.rounds}, codec ${codec}, ${lineOf(row)}`);
      runs.push({ ...row, round });
    }
  }
  // In the order of the points, whoever began.
  return points.flatMap(({ at }) => runs.filter((run) => run.at === at));
}

function lineOf({ dimension, at, gatewayUs, redisUs, aggregatorUs }: Row): string {
  const parts = [gatewayUs, redisUs, aggregatorUs].map((us) => us.toFixed(0));
  return `${dimension} ${at}: ${parts.join(" + ")} µs a delta`;
}

async function measure(
  worlds: Worlds,
  { dimension, at, shape }: Point,
  codec: CodecId,
  deltas: number,
): Promise<Row> {
  const world = await worlds.prepare(shape, codec);
  await world.obey({ kind: "take-turns" });
  const before = world.cpu();
  const others = watchOthers();
  const { elapsedS } = await world.obey({ kind: "publish", deltas, ratePerS: RATE_PER_S });
  const after = world.cpu();
  const usedUs = (part: keyof CpuUs) => (after[part] - before[part]) / deltas;
  const [gatewayUs, redisUs, aggregatorUs] = [
    usedUs("gateway"),
    usedUs("redis"),
    usedUs("aggregator"),
  ];
  const cpuUsPerDelta = gatewayUs + redisUs + aggregatorUs;
  return {
    ...{ dimension, at, codec, gatewayUs, redisUs, aggregatorUs },
    ...{ cpuUsPerDelta, othersCores: others((cpuUsPerDelta + usedUs("bench")) * deltas) },
    aggregatorRssMiB: world.aggregatorRssBytes() / MIB,
    redisMiB: (await world.redisBytes()) / MIB,
    frameBytes: worlds.frameBytes(shape, codec),
    ratePerS: deltas / elapsedS,
  };
}

function rotated<T>(list: readonly T[], by: number): T[] {
  const from = by % list.length;
  return [...list.slice(from), ...list.slice(0, from)];
}

function shapesOf(dimensions: readonly Dimension[], isQuick: boolean): Shape[] {
  return dimensions.flatMap((dimension) => pointsOf(dimension, isQuick).map(({ shape }) => shape));
}

/** The worlds that run, and the frames they share. */
class Worlds {
  readonly #say: Say;
  readonly #zstd: Zstd;
  readonly #dir = scratchFolder();
  readonly #worlds = new Map<string, World>();
  /** The codec that a world has been warmed up with last. */
  readonly #codecs = new Map<string, CodecId>();
  readonly #pools = new Map<string, Pool>();

  constructor(say: Say, zstd: Zstd) {
    this.#say = say;
    this.#zstd = zstd;
  }

  async at(shape: Shape): Promise<World> {
    const key = keyOf(shape);
    const known = this.#worlds.get(key);
    if (known !== undefined) return known;
    const world = await startWorld(shape);
    this.#worlds.set(key, world);
    return world;
  }

  /** The world, all of whose devices have said all they have with `codec`, and which is warm. */
  async prepare(shape: Shape, codec: CodecId): Promise<World> {
    const world = await this.at(shape);
    const key = keyOf(shape);
    if (this.#codecs.get(key) === codec) return world;
    this.#say(`codec ${codec}: filling ${key}`);
    await world.obey({ kind: "frames", codec, file: this.#pool(shape, codec).file });
    await world.obey({ kind: "fill" });
    await world.obey({ kind: "take-turns" });
    await world.obey({ kind: "publish", ...WARM });
    this.#codecs.set(key, codec);
    return world;
  }

  frameBytes(shape: Shape, codec: CodecId): number {
    return this.#pool(shape, codec).frameBytes;
  }

  /** Ends all worlds but those of `shapes`. */
  async keepOnly(shapes: readonly Shape[]): Promise<void> {
    const kept = new Set(shapes.map(keyOf));
    for (const [key, world] of this.#worlds) {
      if (kept.has(key)) continue;
      this.#worlds.delete(key);
      this.#codecs.delete(key);
      await world.end();
    }
    if (kept.size === 0) this.#dir.remove();
  }

  #pool(shape: Shape, codec: CodecId): Pool {
    const { perDelta, setCount } = deviceSetsOf(shape);
    const key = `${codec}-${perDelta}-${setCount}`;
    const known = this.#pools.get(key);
    if (known !== undefined) return known;
    const bodies = makePool({ codec, perDelta, setCount }, this.#zstd);
    const bytes = bodies.reduce((sum, body) => sum + frameOf(codec, 1, body).length, 0);
    const pool = { file: join(this.#dir.path, key), frameBytes: bytes / bodies.length };
    writePool(pool.file, bodies);
    this.#pools.set(key, pool);
    return pool;
  }
}

function keyOf({ devices, shards, patternsPerDevice, catalogue }: Shape): string {
  return `${devices} devices, ${shards} shards, ${patternsPerDevice} patterns each of ${catalogue}`;
}
