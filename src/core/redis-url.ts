/**
 * The URL of a Redis Cluster: `redis+cluster://[user:password@]host:port,host:port,…`.
 *
 * Any of the nodes is enough to find the others. `URL` cannot read a list of hosts, hence our own.
 * @module
 */

const CLUSTER_URL = /^redis\+cluster:\/\/(?:([^:@/,]*):([^@/,]*)@)?([^@/?#]+)\/?$/;
const NODE = /^([A-Za-z0-9.-]+):(\d{1,5})$/;
const PORT_MAX = 65_535;

export interface RedisClusterAddress {
  readonly nodes: readonly { readonly host: string; readonly port: number }[];
  /** Of every node alike; empty when the cluster asks for none. */
  readonly login: { readonly username?: string; readonly password?: string };
}

/** What the URL says, or null when it is not the URL of a cluster. */
export function parseRedisClusterUrl(url: string): RedisClusterAddress | null {
  const [, username = "", password = "", list = ""] = CLUSTER_URL.exec(url) ?? [];
  const nodes: { host: string; port: number }[] = [];
  for (const text of list.split(",")) {
    const [, host = "", digits = ""] = NODE.exec(text) ?? [];
    const port = Number(digits);
    if (host === "" || port < 1 || port > PORT_MAX) return null;
    nodes.push({ host, port });
  }
  try {
    const user = decodeURIComponent(username);
    const secret = decodeURIComponent(password);
    const login = { ...(user ? { username: user } : {}), ...(secret ? { password: secret } : {}) };
    return { nodes, login };
  } catch {
    return null;
  }
}
