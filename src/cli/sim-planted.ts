/**
 * The checker checked, as a part of `omega-sync sim`: bugs are planted in a copy of the sources, so
 * it takes a checkout, and a program that was installed without one says so.
 * @module
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { InvalidConfigError, messageOf, TransportError } from "../core/index.ts";

/** Planted bugs that the simulator caught, and all that were planted. */
export interface Planted {
  readonly caught: number;
  readonly total: number;
}

/** Beside `src` of a checkout, for the sources and for what was built of them. */
const SCRIPTS = ["../../test/sim/planted/run.mjs", "../../../test/sim/planted/run.mjs"];
const OUTPUT_BYTES_MAX = 1024 * 1024;

/**
 * Plants the bugs named, all of them when `only` is true, and lets the simulator look for each.
 * Throws `InvalidConfigError` without a checkout, `TransportError("sim.planted")` when it fails.
 */
export async function runPlanted(only: string | true): Promise<Planted> {
  const scripts = SCRIPTS.map((path) => fileURLToPath(new URL(path, import.meta.url)));
  const script = scripts.find((path) => existsSync(path));
  if (script === undefined) {
    throw new InvalidConfigError(["--planted needs a checkout: bugs are planted in the sources"]);
  }
  const args = [script, "--json", ...(only === true ? [] : ["--only", only])];
  const stdout = await new Promise<string>((resolve, reject) => {
    const options = { maxBuffer: OUTPUT_BYTES_MAX };
    // It ends with 1 when one was missed, and has said which.
    execFile(process.execPath, args, options, (error, text) => {
      if (text === "" && error !== null) reject(failure(error));
      else resolve(text);
    });
  });
  const { planted } = JSON.parse(stdout) as { readonly planted: Planted };
  return planted;
}

function failure(cause: Error): TransportError {
  const message = `bugs could not be planted: ${messageOf(cause)}`;
  return new TransportError("sim.planted", message, { cause });
}
