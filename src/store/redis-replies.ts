/**
 * Redis' replies as our values.
 * @module
 */
import type { SumRow } from "./port.ts";

/** A decimal string or nil (0), exact to 2^53. */
export function toNumber(reply: unknown): number {
  return reply === null || reply === undefined ? 0 : Number(String(reply));
}

export function toTexts(reply: unknown): string[] {
  return (reply as Buffer[]).map(String);
}

/** The flat field, value, field, value … of a hash. */
export function toPairs(reply: unknown): [string, Buffer][] {
  const flat = reply as Buffer[];
  const pairs: [string, Buffer][] = [];
  for (let index = 0; index + 1 < flat.length; index += 2) {
    pairs.push([String(flat[index]), flat[index + 1] as Buffer]);
  }
  return pairs;
}

/** A copy of its own: Buffers of small replies are windows of a shared one. */
export function toBytes(blob: Buffer): Uint8Array {
  return new Uint8Array(blob);
}

export function toSumRow(tenant: string, field: string, blob: Buffer): SumRow {
  const slash = field.indexOf("/");
  const bucket = Number(field.slice(slash + 1));
  return { tenant, pattern: field.slice(0, slash), bucket, blob: toBytes(blob) };
}
