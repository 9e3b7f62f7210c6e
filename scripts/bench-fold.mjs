/**
 * `npm run bench:fold -- …args`: builds when needed, then measures the fold.
 * @module
 */
import { runBuilt } from "./prepare.mjs";

await runBuilt("dist/bench/fold/main.js");
