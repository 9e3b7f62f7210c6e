/**
 * Words: I3, what each application said last against what the server holds of it. Pure.
 *
 * A delta that was being stored when its process died, or whose storing failed,
 * may exist or not; so what a pattern may be at the end is a set. A device that
 * lost its memory owes nothing of what it said before.
 * @module
 */
import { deviceName } from "../../core/index.ts";
import type { Dated, SaidItem } from "./events.ts";
import type { Finals } from "./finals.ts";
import type { Violation } from "./violation.ts";

type Weight = number | null;
/** What the server holds of a pattern that was spoken of before and forgotten since. */
const ANYTHING = "anything";
type May = Set<Weight | typeof ANYTHING>;

class Spoken {
  /** By pattern: what it may be. */
  readonly #may = new Map<string, May>();
  /** Patterns spoken of by any incarnation. */
  readonly #ever = new Set<string>();
  readonly #puts = new Map<number, readonly SaidItem[]>();

  put(put: number, items: readonly SaidItem[]): void {
    this.#puts.set(put, items);
    for (const { id, weight } of items) this.#of(id).add(weight);
  }

  /** It is durable, so it stands alone; unless something was said after it. */
  stored(put: number): void {
    for (const { id, weight } of this.#puts.get(put) ?? []) {
      const later = this.#after(put, id);
      this.#may.set(id, new Set([weight, ...later]));
    }
  }

  given(ids: readonly string[]): void {
    for (const id of ids) this.#may.delete(id);
  }

  forget(): void {
    this.#may.clear();
    this.#puts.clear();
  }

  get entries(): Iterable<[string, ReadonlySet<Weight | typeof ANYTHING>]> {
    return this.#may;
  }

  #after(put: number, id: string): Weight[] {
    const weights: Weight[] = [];
    for (const [number, items] of this.#puts) {
      if (number <= put) continue;
      for (const item of items) if (item.id === id) weights.push(item.weight);
    }
    return weights;
  }

  #of(id: string): May {
    const known = this.#may.get(id) ?? new Set([this.#ever.has(id) ? ANYTHING : null]);
    this.#may.set(id, known);
    this.#ever.add(id);
    return known;
  }
}

export function wordFaults(history: readonly Dated[], { devices }: Finals): Violation[] {
  const spoken = new Map(devices.map(({ key }) => [deviceName(key), new Spoken()]));
  for (const event of history) {
    if (!("device" in event)) continue;
    const words = spoken.get(event.device);
    if (event.kind === "boot" && event.memory !== "kept") words?.forget();
    if (event.kind === "put") words?.put(event.put, event.items);
    if (event.kind === "stored") words?.stored(event.put);
    if (event.kind === "dropped") words?.given(event.ids);
  }
  return devices.flatMap(({ key, registers }) => {
    const name = deviceName(key);
    return [...(spoken.get(name)?.entries ?? [])].flatMap(([id, may]): Violation[] => {
      const weight = registers.get(id)?.weight ?? null;
      if (may.has(weight) || may.has(ANYTHING)) return [];
      const said = [...may].map((value) => value ?? "nothing").join(" or ");
      const what = `${name} said ${said} of ${id} last, the server holds ${weight ?? "nothing"}`;
      return [{ invariant: "I3", what }];
    });
  });
}
