/**
 * `npm run bench:scale -- …args`: builds when needed, then measures how the cost of a delta grows.
 * @module
 */
import { runBuilt } from "./prepare.mjs";

await runBuilt("dist/bench/scale/main.js");
