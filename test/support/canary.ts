/**
 * The secret of every test that needs one: `npm run verify` searches for it in all that the run
 * prints, its report included (scripts/canary.mjs).
 * @module
 */

/** 48 characters. */
export const CANARY =
  process.env.CANARY_OF_THE_RUN ?? "5f1d0c7a5f1d0c7a5f1d0c7a5f1d0c7a5f1d0c7a5f1d0c7a";
