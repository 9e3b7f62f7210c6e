/**
 * What a client of a Redis Cluster waits for before it counts as connected.
 *
 * ioredis is ready when it knows the slots, and connects to a node at the first command for it.
 * Without an offline queue the commands right behind that one fail (or, resent after a delay,
 * overtake each other), so the nodes are connected first, and a new one as soon as it is known.
 * @module
 */

interface ClusterNode {
  readonly status: string;
  connect(): Promise<unknown>;
  once(event: "ready" | "end", act: () => void): unknown;
}

interface ClusterClient {
  nodes(role: "master"): readonly ClusterNode[];
  on(event: "+node", act: (node: ClusterNode) => void): unknown;
}

/** Settings of a client of a cluster that never sends a command a second time by itself, except where a node says MOVED or ASK. */
export const CLUSTER_WITHOUT_RESENDING = { retryDelayOnFailover: 0, retryDelayOnClusterDown: 0 };

/** Resolves when every master is connected; rejects when one cannot be. To be called once a cluster client is ready. */
export async function connectMasters(cluster: ClusterClient): Promise<void> {
  cluster.on("+node", (node) => void whenReady(node).catch(() => {}));
  await Promise.all(cluster.nodes("master").map(whenReady));
}

function whenReady(node: ClusterNode): Promise<void> {
  return new Promise((resolve, reject) => {
    if (node.status === "ready") return resolve();
    node.once("ready", resolve);
    node.once("end", () => reject(new Error("a master of the cluster cannot be reached")));
    if (node.status === "wait") node.connect().catch(reject);
  });
}
