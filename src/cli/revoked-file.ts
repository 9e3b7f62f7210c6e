/**
 * Adding to the list of revoked devices and tokens (gateway/revoked-list.ts).
 *
 * A line is only ever added, in one write, so that two who revoke at once lose
 * nothing and a gateway that reads meanwhile sees whole lines or, once, half of
 * the last: that it refuses, and it looks again a second later.
 * @module
 */
import { closeSync, fstatSync, fsyncSync, openSync, readSync, writeSync } from "node:fs";
import { readRevokedList } from "../../gateway/index.ts";
import { InvalidConfigError, messageOf } from "../core/index.ts";

/** Adds `line` to `file`, which is made when it is not there. Throws `InvalidConfigError`. */
export function appendRevoked(file: string, line: string): void {
  readRevokedList(line); // Ours to get right; a gateway would refuse the whole list.
  try {
    const handle = openSync(file, "a+", 0o644);
    try {
      writeSync(handle, `${endsOpen(handle) ? "\n" : ""}${line}\n`);
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
  } catch (error) {
    throw new InvalidConfigError([`--file ${file}: ${messageOf(error)}`], { cause: error });
  }
}

/** Whether the last line of a file lacks its line break, as some editors leave it. */
function endsOpen(handle: number): boolean {
  const { size } = fstatSync(handle);
  if (size === 0) return false;
  const last = Buffer.alloc(1);
  readSync(handle, last, 0, 1, size - 1);
  return last.toString() !== "\n";
}
