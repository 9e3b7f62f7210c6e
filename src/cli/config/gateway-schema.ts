/**
 * The section `gateway`: listeners, authentication, limits, draining. Defaults are those of the gateway room; a test holds them together.
 * @module
 */
import { z } from "zod";
import { ID_PATTERN, limits } from "../../core/index.ts";
import { Secret } from "./secret.ts";
import { count, file, flag, host, port } from "./setting.ts";

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
  caFile: file("PEM authorities; when given, devices must show a certificate that one signed."),
  crlFile: file(
    "PEM revocation lists of those authorities, one each; they are read again on change.",
  ),
});

const ws = z.strictObject({
  enabled: flag(false, "Listen for MQTT over WebSocket."),
  host: host("Address of the WebSocket listener."),
  port: port(8083, "Port of the WebSocket listener"),
  path: z
    .string()
    .regex(/^\/[!-~]*$/, "must start with /")
    .regex(/^[^?#]*$/, "must be a path alone, without ? or #")
    .default("/mqtt")
    .meta({ description: "The one HTTP path that becomes a WebSocket." }),
  certFile: file("PEM certificate chain; with it the listener speaks wss."),
  keyFile: file("PEM private key; goes with certFile."),
  caFile: file("PEM authorities; when given, devices must show a certificate that one signed."),
  crlFile: file(
    "PEM revocation lists of those authorities, one each; they are read again on change.",
  ),
});

const http = z.strictObject({
  host: host("Address of /healthz, /readyz and /metrics; they show no device's data."),
  port: port(9464, "Port of /healthz, /readyz and /metrics"),
});

const auth = z.strictObject({
  mode: z.enum(["none", "password", "jwt", "certificate"]).default("none").meta({
    description:
      "How devices prove who they are; none is refused when anything listens beyond loopback.",
  }),
  revokedFile: file(
    "List of revoked devices and tokens (omega-sync token revoke); it is read again on change.",
  ),
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
  jwksFile: file(
    "JSON Web Key Set with the public keys that sign device tokens; read again when it changes.",
  ),
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

const gatewayLimits = z.strictObject({
  connectionsMax: count(20_000, { min: 1, max: 1e6 }, "Sockets of one listener."),
  unauthenticatedMax: count(
    20_000,
    { min: 1, max: 1e6 },
    "Sockets of the whole gateway that have not logged in yet, those in line included.",
  ),
  connectDeadlineMs: count(
    4_500,
    { min: 100, max: 60_000 },
    "Time a socket has for its first words, and again for its login once that is due, TLS handshake included, milliseconds.",
  ),
  loginWaitMs: count(
    29_000,
    { min: 1, max: 60_000 },
    "Time a socket may stand in line for its login before it is told busy, milliseconds; shorter than devices wait for an answer.",
  ),
  connectsPerS: count(
    500,
    { min: 1, max: 1e5 },
    "Logins admitted per second on one gateway; others wait in line.",
  ),
  connectsBurst: count(100, { min: 1, max: 1e6 }, "Logins admitted at once on one gateway."),
  connectionsPerAddressS: count(
    0,
    { min: 0, max: 1e5 },
    "Connections per second from one address; 0: any, as is needed behind a TCP balancer.",
  ),
  connectionsPerAddressBurst: count(
    100,
    { min: 1, max: 1e6 },
    "Connections at once from one address.",
  ),
  failedLoginsPerAddressS: count(
    0,
    { min: 0, max: 1e5 },
    "Refused logins per second from one address; 0: any, as is needed behind a TCP balancer.",
  ),
  failedLoginsPerAddressBurst: count(
    20,
    { min: 1, max: 1e6 },
    "Refused logins at once from one address.",
  ),
  connectsPerDeviceMin: count(
    30,
    { min: 0, max: 1e6 },
    "Logins per minute of one device, after as many at once; 0: any.",
  ),
  deltasPerDeviceS: count(
    100,
    { min: 0, max: 1e6 },
    "Frames per second of one device, beyond which its socket rests; 0: any.",
  ),
  deltasPerDeviceBurst: count(1_000, { min: 1, max: 1e6 }, "Frames at once of one device."),
  keepaliveSMin: count(5, { min: 1, max: 65_535 }, "Shortest keepalive accepted, seconds."),
  keepaliveSMax: count(3_600, { min: 1, max: 65_535 }, "Longest keepalive accepted, seconds."),
  inFlightBytesMax: count(
    16 * 1024 * 1024,
    { min: 64 * 1024, max: 16 * 1024 ** 3 },
    "Bytes of deltas taken and not yet acknowledged; beyond it no socket is read.",
  ),
  unreadBytesMax: count(
    256 * 1024,
    { min: limits.DOWN_FRAME_BYTES_MAX, max: 64 * 1024 ** 2 },
    "Bytes a device may leave unread before it is cut off.",
  ),
  addTimeoutMs: count(
    25_000,
    { min: 100, max: 300_000 },
    "Time the queue has to take a job durably, however often it is asked, milliseconds; then devices are closed.",
  ),
});

const drain = z.strictObject({
  readyGraceMs: count(
    3_000,
    { min: 0, max: 300_000 },
    "From SIGTERM (readyz answers 503) to closed ports; longer than the balancer's check, milliseconds.",
  ),
  closeMs: count(
    5_000,
    { min: 0, max: 3_600_000 },
    "Time over which connections are closed in steps, milliseconds.",
  ),
  flushMs: count(
    5_000,
    { min: 0, max: 300_000 },
    "Time that deltas already taken have to become durable, milliseconds.",
  ),
});

const batch = z.strictObject({
  countMax: count(64, { min: 1, max: 1024 }, "Frames in one queue job."),
  bytesMax: count(256 * 1024, { min: limits.UP_FRAME_BYTES_MAX, max: 4e6 }, "Bytes in one job."),
  lingerMs: count(6, { min: 0, max: 1_000 }, "How long a job waits to fill, milliseconds."),
});

const broker = z.strictObject({
  url: z
    .string()
    .regex(/^mqtts?:\/\/[^\s]+$/, "must start with mqtt:// or mqtts://")
    .transform((value) => new Secret(value))
    .nullable()
    .default(null)
    .meta({
      description:
        "Another MQTT 5 broker that devices connect to: the gateway command then takes their frames from a shared subscription there and opens no listener for devices. Who may publish on a device's topic is decided by that broker's access rules.",
      secret: "url",
    }),
  username: z
    .string()
    .min(1)
    .nullable()
    .default(null)
    .meta({ description: "User name at that broker, instead of one in the URL." }),
  password: z
    .string()
    .min(1)
    .transform((value) => new Secret(value))
    .nullable()
    .default(null)
    .meta({ description: "Password at that broker; better given as a file.", secret: "whole" }),
  caFile: file("PEM authority to trust for mqtts:// instead of the system's."),
  clientId: z
    .string()
    .regex(/^[!-~]{1,128}$/, "must be 1 to 128 printable characters without spaces")
    .nullable()
    .default(null)
    .meta({
      description:
        "Client id at that broker, one for each process and the same after a restart; null: omega-HOSTNAME-HTTPPORT.",
    }),
  group: z
    .string()
    .regex(ID_PATTERN, "must be 1 to 64 letters, digits, _ or -")
    .default("omega")
    .meta({ description: "Name of the shared subscription; the same for all processes." }),
  sessionExpiryS: count(
    604_800,
    { min: 60, max: 0xffffffff },
    "How long that broker keeps what waits for a process that is away, seconds.",
  ),
  inFlightCountMax: count(
    512,
    { min: 1, max: 65_535 },
    "Deltas taken from that broker and not yet acknowledged, of one process.",
  ),
  devicesMax: count(
    50_000,
    { min: 1, max: 1e7 },
    "Devices one process remembers, to tell them of a new release; about 500 bytes each.",
  ),
  leave: flag(
    false,
    "On SIGTERM give the subscription up and take what is queued for it; only for a process that does not come back while others stay.",
  ),
});

export const gatewaySchema = z.strictObject({
  tcp: tcp.prefault({}),
  tls: tls.prefault({}),
  ws: ws.prefault({}),
  http: http.prefault({}),
  auth: auth.prefault({}),
  limits: gatewayLimits.prefault({}),
  drain: drain.prefault({}),
  batch: batch.prefault({}),
  broker: broker.prefault({}),
  fanoutPerS: count(
    5_000,
    { min: 1, max: 1e6 },
    "Devices told of a new release per second, on one gateway.",
  ),
});
