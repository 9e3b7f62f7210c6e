/**
 * The wall clock of a server that is no program of ours: a library preloaded into it adds what a
 * file says (clock-shim.c), from one moment to the next and while it runs.
 * @module
 */
import { execFileSync } from "node:child_process";
import { closeSync, openSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Beside the sources; this runs from where they were built to. */
const SHIM = fileURLToPath(new URL("../../../test/chaos/clock-shim.c", import.meta.url));

export class ServerClock {
  /** What the server must be started with. */
  readonly env: Readonly<Record<string, string>>;
  readonly #file: string;

  /** One that is right, with its files in `dir`; null where there is no C compiler. */
  static in(dir: string, name: string): ServerClock | null {
    const library = join(dir, `${name}-clock.so`);
    try {
      execFileSync("cc", ["-O2", "-shared", "-fPIC", "-o", library, SHIM], { stdio: "ignore" });
    } catch {
      return null;
    }
    return new ServerClock(library, join(dir, `${name}-clock`));
  }

  private constructor(library: string, file: string) {
    this.#file = file;
    this.env = { LD_PRELOAD: library, CLOCK_SHIFT_FILE: file };
    writeFileSync(file, millis(0));
  }

  /** From now on it is wrong by `ms`; 0: right. */
  shift(ms: number): void {
    // In place: the server has this very file in its memory.
    const file = openSync(this.#file, "r+");
    writeSync(file, millis(ms), 0, undefined, 0);
    closeSync(file);
  }
}

function millis(ms: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(BigInt(ms));
  return bytes;
}
