/**
 * `npm run bench:restart -- …args`: builds when needed, then restarts servers under load.
 * @module
 */
import { runBuilt } from "./prepare.mjs";

await runBuilt("dist/bench/restart/main.js");
