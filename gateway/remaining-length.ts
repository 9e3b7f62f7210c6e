/**
 * The Remaining Length of a fixed header (MQTT 3.1.1 §2.2.3): one to four bytes of seven bits each,
 * the lowest first; the high bit says that another follows.
 * @module
 */

const BYTES_MAX = 4;

export interface RemainingLength {
  /** Bytes of the packet behind its fixed header, 0 … 268,435,455. */
  readonly value: number;
  /** How many bytes say so. */
  readonly bytes: number;
}

/** What stands at `at` of `bytes`, which end at `end`: "more" while it is cut off, "endless" beyond four bytes. */
export function remainingLengthAt(
  bytes: Uint8Array,
  at: number,
  end: number,
): RemainingLength | "more" | "endless" {
  let value = 0;
  for (let index = 0; index < BYTES_MAX; index += 1) {
    if (at + index >= end) return "more";
    const digit = bytes[at + index] as number;
    value += (digit & 0x7f) * 128 ** index;
    if ((digit & 0x80) === 0) return { value, bytes: index + 1 };
  }
  return "endless";
}
