/**
 * A wrong value as a message names it.
 * @module
 */

/** Numbers as they are (NaN and infinities included), anything else as JSON. */
export function show(value: unknown): string {
  return typeof value === "number" ? String(value) : (JSON.stringify(value) ?? "undefined");
}
