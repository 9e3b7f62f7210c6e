/**
 * The devices this process has heard of through another broker: as many as
 * memory is meant to hold, the one heard of longest ago forgotten first.
 *
 * Forgetting one costs it nothing but time: it hears of the next release when
 * it next speaks, and its retained message stays at the broker.
 * @module
 */
import type { DeviceKey } from "../../src/core/index.ts";
import type { Position } from "../../src/wire/index.ts";
import type { Sender, Told } from "../ports.ts";

export interface Peer extends Sender {
  /** The minor it spoke last. */
  minor: number;
  /** What its unanswered pull said; null when none is open. */
  asked: Told | null;
  /** A delta named an older version than it was told of. */
  behind: boolean;
  /** What it was told last: -1 and null for nothing. */
  version: number;
  applied: Position | null;
}

export class Peers {
  readonly #countMax: number;
  readonly #forgotten: (peer: Peer) => void;
  /** In order of last word: a Map keeps insertion order and every word inserts again. */
  readonly #byName = new Map<string, Peer>();
  readonly #byTenant = new Map<string, Set<Peer>>();

  constructor(countMax: number, forgotten: (peer: Peer) => void) {
    this.#countMax = countMax;
    this.#forgotten = forgotten;
  }

  get size(): number {
    return this.#byName.size;
  }

  /** The peer of `sender`, known or new, now the one heard of last. */
  heard({ name, key }: Sender): Peer {
    const peer = this.#byName.get(name) ?? newPeer(name, key);
    this.#byName.delete(name);
    this.#byName.set(name, peer);
    const tenant = this.#byTenant.get(key.tenant);
    if (tenant === undefined) this.#byTenant.set(key.tenant, new Set([peer]));
    else tenant.add(peer);
    for (const oldest of this.#byName.values()) {
      if (this.#byName.size <= this.#countMax) break;
      this.#forget(oldest);
    }
    return peer;
  }

  named(name: string): Peer | undefined {
    return this.#byName.get(name);
  }

  tenants(): string[] {
    return [...this.#byTenant.keys()];
  }

  hasTenant(tenant: string): boolean {
    return this.#byTenant.has(tenant);
  }

  inTenant(tenant: string): Iterable<Peer> {
    return this.#byTenant.get(tenant) ?? [];
  }

  #forget(peer: Peer): void {
    this.#byName.delete(peer.name);
    const tenant = this.#byTenant.get(peer.key.tenant);
    tenant?.delete(peer);
    if (tenant?.size === 0) this.#byTenant.delete(peer.key.tenant);
    this.#forgotten(peer);
  }
}

function newPeer(name: string, key: DeviceKey): Peer {
  const told = { version: -1, applied: null };
  return { name, key, minor: 0, asked: null, behind: false, ...told };
}
