/**
 * The configuration: one schema, every value with its description, its unit in its name and its default beside it.
 *
 * All that is said of a setting is said here. The names of environment
 * variables, the `…File` variants of secrets, the suggestions, `config print`
 * and `deploy/omega.yaml` are derived from it or checked against it.
 * @module
 */
import { isIP } from "node:net";
import { z } from "zod";
import { ID_PATTERN, limits } from "../../core/index.ts";
import { type Backend, parseBackend } from "./backend.ts";
import { Secret } from "./secret.ts";

/** What the loader must know of a setting beyond its type. */
export interface FieldMeta {
  readonly description: string;
  /** `whole`: never shown; `url`: shown without credentials. Both have a `…File` variant. */
  readonly secret?: "whole" | "url";
  /** A path on this machine, made absolute when read; a `file` must be readable. */
  readonly location?: "file" | "directory";
}

interface Range {
  readonly min: number;
  readonly max: number;
}

const count = (fallback: number, { min, max }: Range, description: string) =>
  z.int().min(min).max(max).default(fallback).meta({ description });
const ratio = (fallback: number, { min, max }: Range, description: string) =>
  z.number().min(min).max(max).default(fallback).meta({ description });
const flag = (fallback: boolean, description: string) =>
  z.boolean().default(fallback).meta({ description });
const file = (description: string) =>
  z.string().min(1).nullable().default(null).meta({ description, location: "file" });
const host = (description: string) =>
  z
    .string()
    .refine((value) => isIP(value) !== 0 || /^[A-Za-z0-9.-]+$/.test(value), "must be a host or IP")
    .default("127.0.0.1")
    .meta({ description });
const port = (fallback: number, description: string) =>
  count(fallback, { min: 0, max: 65_535 }, `${description} (0: any free port).`);

const tcp = z.strictObject({
  enabled: flag(true, "Listen for MQTT over plain TCP."),
  host: host("Address of the TCP listener."),
  port: port(1883, "Port of the TCP listener"),
});

const tls = z.strictObject({
  enabled: flag(false, "Listen for MQTT over TLS; needs certFile and keyFile."),
  host: host("Address of the TLS listener."),
  port: port(8883, "Port of the TLS listener"),
  certFile: file("PEM certificate chain of the gateway."),
  keyFile: file("PEM private key of the gateway."),
});

const ws = z.strictObject({
  enabled: flag(false, "Listen for MQTT over WebSocket."),
  host: host("Address of the WebSocket listener."),
  port: port(8083, "Port of the WebSocket listener"),
  path: z
    .string()
    .regex(/^\/[\x21-\x7e]*$/, "must start with /")
    .default("/mqtt")
    .meta({ description: "HTTP path of the WebSocket listener." }),
});

const http = z.strictObject({
  host: host("Address of /healthz, /readyz and /metrics; they show no device's data."),
  port: port(9464, "Port of /healthz, /readyz and /metrics"),
});

const auth = z.strictObject({
  mode: z.enum(["none", "password", "jwt"]).default("none").meta({
    description:
      "How devices prove who they are; none is refused when anything listens beyond loopback.",
  }),
  secret: z
    .string()
    .min(32)
    .transform((value) => new Secret(value))
    .nullable()
    .default(null)
    .meta({
      description:
        "Shared secret of password and HS256 jwt, at least 32 characters; better given as a file.",
      secret: "whole",
    }),
  jwksFile: file("JSON Web Key Set with the public keys that sign device tokens."),
  jwksUrl: z
    .url({ protocol: /^https?$/ })
    .nullable()
    .default(null)
    .meta({ description: "Where to fetch the JSON Web Key Set instead; https, or 127.0.0.1." }),
  audience: z
    .string()
    .min(1)
    .default("omega-sync")
    .meta({ description: "The aud claim a device token must carry." }),
  issuer: z
    .string()
    .min(1)
    .nullable()
    .default(null)
    .meta({ description: "The iss claim a device token must carry; null: any." }),
});

/** Defaults as in `gateway/limits.ts`; a test holds them together. */
const gatewayLimits = z.strictObject({
  connectionsMax: count(20_000, { min: 1, max: 1e6 }, "Sockets of one listener."),
  unauthenticatedMax: count(
    2_000,
    { min: 1, max: 1e6 },
    "Sockets of the whole gateway that have not logged in yet.",
  ),
  connectDeadlineMs: count(
    5_000,
    { min: 100, max: 60_000 },
    "Time a socket has to log in, TLS handshake included, milliseconds.",
  ),
  connectsPerS: count(500, { min: 1, max: 1e5 }, "Logins admitted per second on one gateway."),
  connectsBurst: count(2_000, { min: 1, max: 1e6 }, "Logins admitted at once on one gateway."),
  keepaliveSMin: count(5, { min: 1, max: 65_535 }, "Shortest keepalive accepted, seconds."),
  keepaliveSMax: count(3_600, { min: 1, max: 65_535 }, "Longest keepalive accepted, seconds."),
  inFlightBytesMax: count(
    64 * 1024 * 1024,
    { min: 64 * 1024, max: 16 * 1024 ** 3 },
    "Bytes of deltas taken and not yet acknowledged; beyond it no socket is read.",
  ),
  unreadBytesMax: count(
    256 * 1024,
    { min: limits.DOWN_FRAME_BYTES_MAX, max: 64 * 1024 ** 2 },
    "Bytes a device may leave unread before it is cut off.",
  ),
  addTimeoutMs: count(
    15_000,
    { min: 100, max: 300_000 },
    "Time the queue has to take a job durably, milliseconds.",
  ),
});

const drain = z.strictObject({
  graceMs: count(
    3_000,
    { min: 0, max: 300_000 },
    "From SIGTERM (readyz answers 503) to the first closed connection, milliseconds.",
  ),
  spreadMs: count(
    5_000,
    { min: 0, max: 3_600_000 },
    "Time over which connections are closed in steps, milliseconds.",
  ),
});

const batch = z.strictObject({
  countMax: count(64, { min: 1, max: 1024 }, "Frames in one queue job."),
  bytesMax: count(256 * 1024, { min: limits.UP_FRAME_BYTES_MAX, max: 4e6 }, "Bytes in one job."),
  lingerMs: count(3, { min: 0, max: 1_000 }, "How long a job waits to fill, milliseconds."),
});

const gateway = z.strictObject({
  tcp: tcp.prefault({}),
  tls: tls.prefault({}),
  ws: ws.prefault({}),
  http: http.prefault({}),
  auth: auth.prefault({}),
  limits: gatewayLimits.prefault({}),
  drain: drain.prefault({}),
  batch: batch.prefault({}),
  fanoutPerS: count(
    2_000,
    { min: 1, max: 1e6 },
    "Devices told of a new release per second, on one gateway.",
  ),
});

const aggregator = z.strictObject({
  commitIntervalMs: count(
    200,
    { min: 1, max: 10_000 },
    "Time over which deltas are gathered into one commit, milliseconds.",
  ),
  leaseTtlMs: count(
    10_000,
    { min: 1_000, max: 300_000 },
    "How long a shard stays owned by a writer that has gone silent, milliseconds.",
  ),
  deferMs: count(
    2_000,
    { min: 0, max: 60_000 },
    "How long a delta waits for the one it refers to, milliseconds.",
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

const tenant = z.strictObject({
  dim: count(
    limits.DIMENSION_DEFAULT,
    { min: limits.DIMENSION_MIN, max: limits.DIMENSION_MAX },
    "Dimension of the tenant's embeddings, fixed for its life.",
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
      description: "Where queue and state live: embedded, a redis:// or a postgres:// URL.",
      secret: "url",
    }),
  shards: count(
    4,
    { min: 1, max: 256 },
    "Parts the devices are divided into; fixed once there is data.",
  ),
  tenants: z
    .record(z.string().regex(ID_PATTERN), tenant)
    .default({ default: { dim: limits.DIMENSION_DEFAULT } })
    .meta({ description: "The tenants by id; naming any replaces the one called default." }),
  gateway: gateway.prefault({}),
  aggregator: aggregator.prefault({}),
  releaser: releaser.prefault({}),
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
