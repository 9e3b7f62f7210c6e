/**
 * `npm run bench:hostile -- …args`: builds when needed, then measures what attacks cost.
 * @module
 */
import { runBuilt } from "./prepare.mjs";

await runBuilt("dist/bench/hostile/main.js");
