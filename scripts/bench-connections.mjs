/**
 * `npm run bench:connections -- …args`: builds when needed, then measures what connections cost.
 * @module
 */
import { runBuilt } from "./prepare.mjs";

await runBuilt("dist/bench/connections/main.js");
