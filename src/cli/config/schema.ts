/**
 * The configuration: one schema, every value with its description, its unit in its name and its default beside it.
 *
 * All that is said of a setting is said here. The names of environment
 * variables, the `…File` variants of secrets, the suggestions, `config print`
 * and `deploy/omega.yaml` are derived from it or checked against it.
 * @module
 */
import { z } from "zod";
import { ID_PATTERN, limits } from "../../core/index.ts";
import { type Backend, parseBackend } from "./backend.ts";
import { gatewaySchema } from "./gateway-schema.ts";
import { count, flag, host, port, ratio } from "./setting.ts";

const aggregatorHttp = z.strictObject({
  enabled: flag(
    true,
    "Serve health and metrics of the aggregator process; in start, gateway.http serves them.",
  ),
  host: host("Address of the aggregator's /healthz, /readyz and /metrics."),
  port: port(9465, "Port of the aggregator's /healthz, /readyz and /metrics"),
});

const aggregator = z.strictObject({
  http: aggregatorHttp.prefault({}),
  commitIntervalMs: count(
    200,
    { min: 1, max: 10_000 },
    "Time over which deltas are gathered into one commit while more may come, milliseconds.",
  ),
  leaseTtlMs: count(
    10_000,
    { min: 1_000, max: 300_000 },
    "How long a shard stays owned by a writer that has gone silent, milliseconds.",
  ),
  deferMs: count(
    10_000,
    { min: 0, max: 60_000 },
    "How long a delta waits for the one it refers to, milliseconds.",
  ),
  stopMs: count(
    5_000,
    { min: 0, max: 300_000 },
    "How long open jobs may take to finish when stopping, milliseconds.",
  ),
  cachedBytesMax: count(
    16 * 1024 * 1024,
    { min: 0, max: 1e12 },
    "Memory for devices seen lately, of all shards of the process together, bytes.",
  ),
  niceness: count(
    10,
    { min: 0, max: 19 },
    "How far an aggregator process leaves the processor to others of its machine, as POSIX nice.",
  ),
});

const releaser = z.strictObject({
  cadenceMs: count(60_000, { min: 100, max: 86_400_000 }, "Time between releases, milliseconds."),
  topK: count(100, { min: 1, max: 1_000 }, "Patterns in a release."),
  minDevices: count(50, { min: 1, max: 1e6 }, "Devices that must share a pattern to release it."),
  decayPerBucket: ratio(0.97, { min: 0.01, max: 1 }, "What a bucket keeps of its weight per step."),
  bucketMs: count(86_400_000, { min: 1_000, max: 31_536_000_000 }, "A time bucket, milliseconds."),
  bucketsKept: count(30, { min: 1, max: 1_000 }, "Buckets until a contribution is forgotten."),
  shrinkage: ratio(5, { min: 0, max: 1e6 }, "Pseudo-devices that pull a pattern to the mean."),
});

const codec = z.strictObject({
  learn: flag(
    true,
    "Learn from the patterns of a tenant how to code them in fewer bytes, and tell its devices.",
  ),
  minSamples: count(
    1_000,
    { min: 100, max: 1e6 },
    "Patterns in memory, at most 16 of one device and at least two per dimension, before a codec model is learnt.",
  ),
  minAgeMs: count(
    86_400_000,
    { min: 0, max: 31_536_000_000 },
    "Age at which a codec model may be replaced by a better one, milliseconds.",
  ),
});

const tenant = z.strictObject({
  dim: count(
    limits.DIMENSION_DEFAULT,
    { min: limits.DIMENSION_MIN, max: limits.DIMENSION_MAX },
    "Dimension of the tenant's embeddings, fixed for its life.",
  ),
  weightMax: count(
    limits.WEIGHT_MAX_DEFAULT,
    { min: 1, max: limits.WEIGHT_MAX },
    "How much one device may say of one pattern; just above what honest devices say is best.",
  ),
});

export const configSchema = z.strictObject({
  dataDir: z.string().min(1).default(".omega-data").meta({
    description: "Directory of the embedded backend; one process at a time.",
    location: "directory",
  }),
  backend: z
    .string()
    .transform((value, context): Backend => {
      const backend = parseBackend(value);
      if (typeof backend !== "string") return backend;
      context.issues.push({ code: "custom", message: backend, input: value });
      return z.NEVER;
    })
    .prefault("embedded")
    .meta({
      description:
        "Where queue and state live: embedded, a redis://, redis+sentinel://, redis+cluster:// or postgres:// URL.",
      secret: "url",
    }),
  durability: z.enum(["memory", "aof", "replicated"]).nullable().default(null).meta({
    description:
      "What a PUBACK waits for: memory, Redis' answer; aof, one that is on disk; replicated, the replicas too. Unset: replicated with redis+sentinel://, else aof.",
  }),
  replicas: count(
    1,
    { min: 1, max: 16 },
    "Replicas that must have a delta before its PUBACK, where durability is replicated.",
  ),
  shards: count(
    4,
    { min: 1, max: 256 },
    "Parts the devices are divided into; fixed once there is data.",
  ),
  tenants: z
    .record(z.string().regex(ID_PATTERN), tenant)
    .default({ default: { dim: limits.DIMENSION_DEFAULT, weightMax: limits.WEIGHT_MAX_DEFAULT } })
    .meta({ description: "The tenants by id; naming any replaces the one called default." }),
  gateway: gatewaySchema.prefault({}),
  aggregator: aggregator.prefault({}),
  releaser: releaser.prefault({}),
  codec: codec.prefault({}),
  history: z.string().min(1).nullable().default(null).meta({
    description:
      "Append to this file what becomes of each delta and release, one line of JSON an event: for tests that judge a whole run. One file for each process; null: nothing is recorded.",
    location: "output",
  }),
  log: z
    .strictObject({
      level: z
        .enum(["debug", "info", "warn", "error", "silent"])
        .default("info")
        .meta({ description: "The least severe event that is logged." }),
    })
    .prefault({}),
});

export type Config = z.output<typeof configSchema>;
