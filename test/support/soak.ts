/**
 * Tests of chance say more the longer they last: `npm run soak` runs them at full length, every other
 * run shorter.
 * @module
 */

/** `long` under `npm run soak` (`OMEGA_SOAK=1`), else `short`. */
export function soak<T>(long: T, short: T): T {
  return process.env.OMEGA_SOAK === "1" ? long : short;
}
