/**
 * What must hold between settings; each rule names the settings it reads, and is skipped while one of them is faulty.
 * @module
 */
import { isLoopback } from "../../core/index.ts";
import type { Config } from "./schema.ts";

export interface Rule {
  readonly reads: readonly string[];
  /** The setting to blame (its origin is shown) and what is wrong with it, fix included. */
  check(config: Config): readonly { readonly path: string; readonly fault: string }[];
}

interface Listener {
  /** Dotted path of its section. */
  readonly path: string;
  readonly host: string;
  readonly port: number;
}

/** Everything that would listen. One file serves all processes of a machine, so they count together. */
function listenersOf({ gateway, aggregator }: Config): Listener[] {
  const { tcp, tls, ws, http } = gateway;
  return [
    { ...tcp, path: "gateway.tcp" },
    { ...tls, path: "gateway.tls" },
    { ...ws, path: "gateway.ws" },
    { ...http, path: "gateway.http", enabled: true },
    { ...aggregator.http, path: "aggregator.http" },
  ].filter((listener) => listener.enabled);
}

/** The settings that {@link listenersOf} reads, with `host` or `port` as the rule needs. */
function listenerSettings(name: "host" | "port"): string[] {
  const optional = ["gateway.tcp", "gateway.tls", "gateway.ws", "aggregator.http"];
  return [
    ...optional.flatMap((path) => [`${path}.enabled`, `${path}.${name}`]),
    `gateway.http.${name}`,
  ];
}

/** Who listens where anyone can reach it must ask who is there. */
const noOpenDoors: Rule = {
  reads: ["gateway.auth.mode", ...listenerSettings("host")],
  check(config) {
    if (config.gateway.auth.mode !== "none") return [];
    const open = listenersOf(config).filter(({ host }) => !isLoopback(host));
    return open.map(({ path, host }) => ({
      path: `${path}.host`,
      fault:
        `${host} can be reached from other machines while gateway.auth.mode is none: ` +
        "set gateway.auth.mode to password, jwt or certificate, or listen on 127.0.0.1",
    }));
  },
};

const passwordNeedsSecret: Rule = {
  reads: ["gateway.auth.mode", "gateway.auth.secret"],
  check: ({ gateway: { auth } }) =>
    auth.mode === "password" && auth.secret === null
      ? [{ path: "gateway.auth.mode", fault: "password needs gateway.auth.secretFile" }]
      : [],
};

const JWT_KEYS = ["secret", "jwksFile", "jwksUrl"] as const;

const jwtNeedsOneKey: Rule = {
  reads: ["gateway.auth.mode", ...JWT_KEYS.map((key) => `gateway.auth.${key}`)],
  check({ gateway: { auth } }) {
    if (auth.mode !== "jwt") return [];
    const given = JWT_KEYS.filter((key) => auth[key] !== null);
    if (given.length === 1) return [];
    const got = given.length === 0 ? "got none" : `got ${given.join(" and ")}`;
    const fault = `jwt needs exactly one of secretFile, jwksFile and jwksUrl in gateway.auth: ${got}`;
    return [{ path: "gateway.auth.mode", fault }];
  },
};

const keysTravelSafely: Rule = {
  reads: ["gateway.auth.jwksUrl"],
  check({ gateway: { auth } }) {
    if (auth.jwksUrl === null) return [];
    const { protocol, hostname } = new URL(auth.jwksUrl);
    if (protocol === "https:" || hostname === "127.0.0.1") return [];
    return [
      { path: "gateway.auth.jwksUrl", fault: "keys fetched over http can be forged: use https" },
    ];
  },
};

const tlsNeedsCertificate: Rule = {
  reads: ["gateway.tls.enabled", "gateway.tls.certFile", "gateway.tls.keyFile"],
  check: ({ gateway: { tls } }) =>
    tls.enabled && (tls.certFile === null || tls.keyFile === null)
      ? [{ path: "gateway.tls.enabled", fault: "TLS needs gateway.tls.certFile and keyFile" }]
      : [],
};

/** Where nothing is asked for a certificate, nobody could show one. */
const certificatesAreAskedFor: Rule = {
  reads: [
    ...["gateway.auth.mode", "gateway.tcp.enabled"],
    ...["tls", "ws"].flatMap((name) => [`gateway.${name}.enabled`, `gateway.${name}.caFile`]),
  ],
  check({ gateway: { auth, tcp, tls, ws } }) {
    if (auth.mode !== "certificate") return [];
    const faults = [
      {
        path: "gateway.tcp.enabled",
        fault: "plain TCP asks for no certificate: set it to false",
        is: tcp.enabled,
      },
    ];
    for (const [name, { enabled, caFile }] of Object.entries({ tls, ws })) {
      const path = `gateway.${name}.caFile`;
      faults.push({
        path,
        fault: "certificate needs an authority",
        is: enabled && caFile === null,
      });
    }
    return faults.filter(({ is }) => is);
  },
};

const listsHaveAuthorities: Rule = {
  reads: ["tls", "ws"].flatMap((name) => [`gateway.${name}.caFile`, `gateway.${name}.crlFile`]),
  check({ gateway: { tls, ws } }) {
    return Object.entries({ tls, ws })
      .filter(([, { caFile, crlFile }]) => crlFile !== null && caFile === null)
      .map(([name]) => ({ path: `gateway.${name}.crlFile`, fault: "goes with caFile" }));
  },
};

const onePortEach: Rule = {
  reads: listenerSettings("port"),
  check(config) {
    const taken = new Map<number, string>();
    return listenersOf(config).flatMap(({ path, port }) => {
      if (port === 0) return [];
      const other = taken.get(port);
      taken.set(port, path);
      return other === undefined
        ? []
        : [{ path: `${path}.port`, fault: `${port} is taken by ${other}` }];
    });
  },
};

const keepaliveInOrder: Rule = {
  reads: ["gateway.limits.keepaliveSMin", "gateway.limits.keepaliveSMax"],
  check: ({ gateway: { limits } }) =>
    limits.keepaliveSMin > limits.keepaliveSMax
      ? [{ path: "gateway.limits.keepaliveSMin", fault: "must not exceed keepaliveSMax" }]
      : [],
};

const websocketKeyPair: Rule = {
  reads: ["gateway.ws.certFile", "gateway.ws.keyFile"],
  check: ({ gateway: { ws } }) =>
    (ws.certFile === null) === (ws.keyFile === null)
      ? []
      : [{ path: "gateway.ws.certFile", fault: "certFile and keyFile go together" }],
};

const websocketAuthorityNeedsTls: Rule = {
  reads: ["gateway.ws.certFile", "gateway.ws.caFile"],
  check: ({ gateway: { ws } }) =>
    ws.caFile !== null && ws.certFile === null
      ? [{ path: "gateway.ws.caFile", fault: "goes with certFile: without TLS nobody is asked" }]
      : [],
};

/** The broker keeps a process's share of the deltas under its client id while it is away. */
const brokerKnowsUsAgain: Rule = {
  reads: ["gateway.broker.url", "gateway.broker.clientId", "gateway.http.port"],
  check({ gateway: { broker, http } }) {
    if (broker.url === null || broker.clientId !== null || http.port !== 0) return [];
    const fault =
      "must be set when gateway.http.port is 0: the broker must know this process again after a restart";
    return [{ path: "gateway.broker.clientId", fault }];
  },
};

/** `memory` and `replicated` are words about Redis, and a cluster cannot be asked for its replicas. */
const durabilityFitsBackend: Rule = {
  reads: ["backend", "durability"],
  check({ backend, durability }) {
    if (durability === null || durability === "aof") return [];
    const blame = (fault: string) => [{ path: "durability", fault: `${durability} ${fault}` }];
    if (backend.kind !== "redis") {
      return blame(
        `is for Redis and the backend is ${backend.kind}: set it to aof, or leave it out`,
      );
    }
    if (durability === "replicated" && backend.servers === "cluster") {
      return blame(
        "cannot be had of a redis+cluster:// backend: set it to aof, or the backend to redis+sentinel://",
      );
    }
    return [];
  },
};

export const RULES: readonly Rule[] = [
  noOpenDoors,
  passwordNeedsSecret,
  jwtNeedsOneKey,
  keysTravelSafely,
  tlsNeedsCertificate,
  websocketKeyPair,
  websocketAuthorityNeedsTls,
  certificatesAreAskedFor,
  listsHaveAuthorities,
  keepaliveInOrder,
  onePortEach,
  brokerKnowsUsAgain,
  durabilityFitsBackend,
];
