/**
 * A commit as the parameters of omega.commit_shard, in the order it declares them.
 * @module
 */
import { devicesToTell, problemEvents } from "./events.ts";
import { type Commit, shardLease } from "./port.ts";
import { encodeCursor, encodeDeadLetter } from "./records.ts";

export interface CommitAt {
  readonly shard: number;
  readonly token: number;
  readonly number: number;
  readonly deadLettersKept: number;
}

export const COMMIT_CALL = `SELECT omega.commit_shard(${Array.from({ length: 27 }, (_, index) => `$${index + 1}`).join(", ")}) AS outcome`;

/** Collects byte strings into one, and remembers where each is. */
class Packer {
  readonly #parts: Uint8Array[] = [];
  #length = 0;

  /** Where every blob starts (from 1, as SQL counts) and its size; null has size −1. */
  columns(blobs: readonly (Uint8Array | null)[]): { at: number[]; size: number[] } {
    const at: number[] = [];
    const size: number[] = [];
    for (const blob of blobs) {
      at.push(this.#length + 1);
      size.push(blob?.length ?? -1);
      if (blob === null) continue;
      this.#parts.push(blob);
      this.#length += blob.length;
    }
    return { at, size };
  }

  finish(): Buffer {
    return Buffer.concat(this.#parts, this.#length);
  }
}

/** Pure; the commit must have been checked. */
export function commitParameters(at: CommitAt, commit: Commit): unknown[] {
  const { applied, duplicates, deadLettered } = commit.stats;
  const { sums, devices, deadLetters } = commit;
  const registers = devices.flatMap(({ key, registers }) =>
    Array.from(registers, ([pattern, blob]) => ({ key, pattern, blob })),
  );
  const pack = new Packer();
  const sumBlobs = pack.columns(sums.map((row) => row.blob));
  const cursorBlobs = pack.columns(devices.map((device) => encodeCursor(device.cursor)));
  const registerBlobs = pack.columns(registers.map((register) => register.blob));
  const letterBlobs = pack.columns(deadLetters.map(encodeDeadLetter));
  return [
    ...[at.shard, shardLease(at.shard), at.token, at.number],
    ...[applied, duplicates, deadLettered, at.deadLettersKept, pack.finish()],
    sums.map((row) => row.tenant),
    sums.map((row) => row.pattern),
    sums.map((row) => row.bucket),
    ...[sumBlobs.at, sumBlobs.size],
    devices.map((device) => device.key.tenant),
    devices.map((device) => device.key.device),
    ...[cursorBlobs.at, cursorBlobs.size],
    registers.map((register) => register.key.tenant),
    registers.map((register) => register.key.device),
    registers.map((register) => register.pattern),
    ...[registerBlobs.at, registerBlobs.size],
    deadLetters.map((letter) => letter.id),
    ...[letterBlobs.at, letterBlobs.size],
    problemEvents(devicesToTell(commit)),
  ];
}
