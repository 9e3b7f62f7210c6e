/**
 * Where Redis is, read from a URL.
 *
 *   redis://[user:password@]host:port[/db]                         one server; rediss:// for TLS
 *   redis+cluster://[user:password@]host:port,host:port,…          a Redis Cluster
 *   redis+sentinel://[user:password@]host:port,host:port,…/master  whichever server its Sentinels call the master
 *
 * `rediss+` in place of `redis+` is TLS to every node and Sentinel, checked against the authorities
 * that Node knows (`NODE_EXTRA_CA_CERTS` adds one's own).
 * Any node of a cluster is enough to find the others, and any Sentinel to find the master. `URL`
 * cannot read a list of hosts, hence our own. The login is that of the servers, all alike;
 * Sentinels with one of their own get it as `?sentinelPassword=…` and `&sentinelUsername=…`.
 * @module
 */

export interface RedisLogin {
  readonly username?: string;
  readonly password?: string;
}

interface RedisNode {
  readonly host: string;
  readonly port: number;
}

export type RedisAddress =
  | { readonly kind: "server"; readonly url: string }
  | {
      readonly kind: "cluster";
      readonly tls: boolean;
      readonly nodes: readonly RedisNode[];
      readonly login: RedisLogin;
    }
  | {
      readonly kind: "sentinel";
      readonly tls: boolean;
      readonly sentinels: readonly RedisNode[];
      /** As the Sentinels call it. */
      readonly master: string;
      readonly login: RedisLogin;
      readonly sentinelLogin: RedisLogin;
    };

const SERVER = /^rediss?:\/\//;
const MANY =
  /^redis(s?)\+(cluster|sentinel):\/\/(?:([^:@/,]*):([^@/,]*)@)?([^@/?#]*)(?:\/([^?#/]*))?/;
const REST = /^(?:\?([^#]*))?$/;
const NODE = /^([A-Za-z0-9.-]+):(\d{1,5})$/;
const MASTER = /^[A-Za-z0-9._-]{1,64}$/;
const PORT_MAX = 65_535;

/**
 * What `url` says: an address; or a sentence with the part that is wrong and how it should be,
 * never with credentials; or null when it is no URL of Redis at all.
 */
export function readRedisAddress(url: string): RedisAddress | string | null {
  if (SERVER.test(url)) return URL.canParse(url) ? { kind: "server", url } : "is not a URL";
  const match = MANY.exec(url);
  const kind = match?.[2];
  if (!match || (kind !== "cluster" && kind !== "sentinel")) return null;
  const [whole, secure, , username = "", password = "", list = "", path = ""] = match;
  const tls = secure === "s";
  const nodes = readNodes(list, kind);
  if (typeof nodes === "string") return nodes;
  const [, query = ""] = REST.exec(url.slice(whole.length)) ?? [null, null];
  if (query === null) return `redis+${kind}:// must end after its hosts and its master's name`;
  const login = readLogin(username, password);
  if (login === null) return "the login in the URL must be percent-encoded";
  if (kind === "cluster") {
    return path === "" && query === ""
      ? { kind, tls, nodes, login }
      : "redis+cluster:// must end after its hosts: there are no databases in a cluster";
  }
  if (!MASTER.test(path)) {
    return `redis+sentinel:// needs the master's name, as its Sentinels call it, behind the hosts: redis+sentinel://${list}/mymaster, got ${JSON.stringify(path)}`;
  }
  const sentinelLogin = readQuery(query);
  if (typeof sentinelLogin === "string") return sentinelLogin;
  return { kind, tls, sentinels: nodes, master: path, login, sentinelLogin };
}

function readNodes(list: string, kind: "cluster" | "sentinel"): RedisNode[] | string {
  const nodes: RedisNode[] = [];
  for (const text of list.split(",")) {
    const [, host = "", digits = ""] = NODE.exec(text) ?? [];
    const port = Number(digits);
    if (host === "" || port < 1 || port > PORT_MAX) {
      return `redis+${kind}:// needs host:port, separated by commas: got ${JSON.stringify(text)}`;
    }
    nodes.push({ host, port });
  }
  return nodes;
}

function readLogin(username: string, password: string): RedisLogin | null {
  try {
    const [user, secret] = [decodeURIComponent(username), decodeURIComponent(password)];
    return { ...(user ? { username: user } : {}), ...(secret ? { password: secret } : {}) };
  } catch {
    return null;
  }
}

function readQuery(query: string): RedisLogin | string {
  const given = new URLSearchParams(query);
  for (const name of given.keys()) {
    if (name !== "sentinelUsername" && name !== "sentinelPassword") {
      return `redis+sentinel:// knows sentinelUsername and sentinelPassword: got ${JSON.stringify(name)}`;
    }
  }
  const [username, password] = [given.get("sentinelUsername"), given.get("sentinelPassword")];
  return { ...(username ? { username } : {}), ...(password ? { password } : {}) };
}
