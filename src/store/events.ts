/**
 * Notifications: what a backend's publish/subscribe carries, and who hears it.
 *
 *   "release <tenant> <version>"      "problems <tenant>/<device> <tenant>/<device> …"
 *   "model <tenant> <version>"
 *
 * They are hints. A payload that this version does not know is ignored, so that
 * newer writers can say more; PostgreSQL limits a payload to 8000 bytes, so many
 * problems are told in several.
 * @module
 */
import { type DeviceKey, deviceName, isId, parseDeviceName } from "../core/index.ts";
import type { Commit, StoreListener } from "./port.ts";

const EVENT_BYTES_MAX = 7_000;

/** With an empty version it is what a script puts the version behind. */
export function releaseEvent(tenant: string, version: number | ""): string {
  return `release ${tenant} ${version}`;
}

/** As {@link releaseEvent}. */
export function modelEvent(tenant: string, version: number | ""): string {
  return `model ${tenant} ${version}`;
}

/** One event per ≤ 7,000 bytes of device names; ids are ASCII, so characters are bytes. */
export function problemEvents(keys: readonly DeviceKey[]): string[] {
  const events: string[] = [];
  let event = "problems";
  for (const key of keys) {
    const name = deviceName(key);
    if (event.length + 1 + name.length > EVENT_BYTES_MAX) {
      events.push(event);
      event = "problems";
    }
    event += ` ${name}`;
  }
  if (keys.length > 0) events.push(event);
  return events;
}

/** The devices that a commit has bad news for: a dead letter in it, and problems in the new cursor. */
export function devicesToTell(commit: Commit): DeviceKey[] {
  if (commit.deadLetters.length === 0) return [];
  const refused = new Set(commit.deadLetters.map((letter) => deviceName(letter.key)));
  return commit.devices
    .filter((device) => device.cursor.problems.length > 0 && refused.has(deviceName(device.key)))
    .map((device) => device.key);
}

/** The listeners of one store. What one of them throws reaches `onFault` and nobody else. */
export class Listeners {
  readonly #listeners = new Set<StoreListener>();
  readonly #onFault: (error: unknown) => void;

  constructor(onFault: (error: unknown) => void) {
    this.#onFault = onFault;
  }

  get size(): number {
    return this.#listeners.size;
  }

  /** Answers how to remove it again. The same listener may be added twice and is then told twice. */
  add(listener: StoreListener): () => void {
    const own: StoreListener = {
      onRelease: (tenant, version) => listener.onRelease(tenant, version),
      onProblems: (key) => listener.onProblems(key),
      onModel: (tenant, version) => listener.onModel?.(tenant, version),
    };
    this.#listeners.add(own);
    return () => {
      this.#listeners.delete(own);
    };
  }

  clear(): void {
    this.#listeners.clear();
  }

  /** Tells everyone what `event` says, if it says something we know. */
  dispatch(event: string): void {
    const [kind, ...words] = event.split(" ");
    if (kind === "release") this.#dispatchVersion(words, "onRelease");
    if (kind === "model") this.#dispatchVersion(words, "onModel");
    if (kind === "problems") this.#dispatchProblems(words);
  }

  #dispatchVersion([tenant, version]: string[], tell: "onRelease" | "onModel"): void {
    const number = Number(version);
    if (!isId(tenant) || !Number.isSafeInteger(number)) return;
    this.#each((listener) => listener[tell]?.(tenant, number));
  }

  #dispatchProblems(names: string[]): void {
    for (const name of names) this.#each((listener) => listener.onProblems(parseDeviceName(name)));
  }

  #each(tell: (listener: StoreListener) => void): void {
    for (const listener of this.#listeners) {
      try {
        tell(listener);
      } catch (error) {
        this.#onFault(error);
      }
    }
  }
}
