/**
 * Whether two byte strings are equal. Not for secrets: it stops at the first difference.
 * @module
 */

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
