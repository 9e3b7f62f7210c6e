/**
 * The mark that a deletion leaves: "how many devices of this tenant were forgotten on this shard".
 *
 * The releaser keeps a pattern's published vector while the fresh one is close
 * to it. After a deletion that would be wrong, since the published one still
 * has the forgotten device in it. The mark is committed together with the
 * smaller sums and tells the releaser to publish every pattern afresh.
 *
 * It is stored as a row of sums outside of time: no real bucket has its number.
 * Eight bytes, a float64 holding an integer, little-endian.
 * @module
 */
import { SerializationError } from "../core/index.ts";
import type { StoredSumRow } from "./merge.ts";

const MARK_BUCKET = Number.MIN_SAFE_INTEGER;
const MARK_PATTERN = "forgotten";
const MARK_BYTES = 8;

export function isForgetMark(row: { readonly bucket: number }): boolean {
  return row.bucket === MARK_BUCKET;
}

export function forgetMarkRow(tenant: string, count: number): StoredSumRow {
  const blob = new Uint8Array(MARK_BYTES);
  new DataView(blob.buffer).setFloat64(0, count, true);
  return { tenant, pattern: MARK_PATTERN, bucket: MARK_BUCKET, blob };
}

/** The count of a mark. Throws `SerializationError("record.mark")`. */
export function forgetMarkCount(row: StoredSumRow): number {
  const { blob } = row;
  if (blob?.length === MARK_BYTES) {
    const count = new DataView(blob.buffer, blob.byteOffset, MARK_BYTES).getFloat64(0, true);
    if (Number.isSafeInteger(count) && count >= 0) return count;
  }
  throw new SerializationError("record.mark", "a stored deletion mark is no count");
}
