/**
 * Who is connected to this gateway, found by name, by tenant, or by the broker's own object.
 *
 * The broker's object is the truth: during a takeover two connections share a
 * name for a moment, and the old one's end must not remove the new one.
 * @module
 */
import { deviceName } from "../src/core/index.ts";
import type { Link } from "./link.ts";

export class Roster {
  readonly #byName = new Map<string, Link>();
  readonly #byTenant = new Map<string, Set<Link>>();
  readonly #byClient = new Map<object, Link>();

  get size(): number {
    return this.#byName.size;
  }

  /** Adds `link`; whoever had its name must have been removed before. */
  add(link: Link): void {
    const { key } = link.subscriber;
    this.#byName.set(deviceName(key), link);
    this.#byClient.set(link.client, link);
    const tenant = this.#byTenant.get(key.tenant);
    if (tenant === undefined) this.#byTenant.set(key.tenant, new Set([link]));
    else tenant.add(link);
  }

  /** False when `link` was not in the roster any more. */
  remove(link: Link): boolean {
    const { key } = link.subscriber;
    const name = deviceName(key);
    if (this.#byName.get(name) !== link) return false;
    this.#byName.delete(name);
    this.#byClient.delete(link.client);
    const tenant = this.#byTenant.get(key.tenant);
    tenant?.delete(link);
    if (tenant?.size === 0) this.#byTenant.delete(key.tenant);
    return true;
  }

  named(name: string): Link | undefined {
    return this.#byName.get(name);
  }

  of(client: object): Link | undefined {
    return this.#byClient.get(client);
  }

  tenants(): string[] {
    return [...this.#byTenant.keys()];
  }

  hasTenant(tenant: string): boolean {
    return this.#byTenant.has(tenant);
  }

  inTenant(tenant: string): Iterable<Link> {
    return this.#byTenant.get(tenant) ?? [];
  }

  all(): Iterable<Link> {
    return this.#byName.values();
  }
}
