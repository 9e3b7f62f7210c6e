/**
 * `npm run bench:embedded -- …args`: builds when needed, then measures the single process on its embedded database.
 * @module
 */
import { runBuilt } from "./prepare.mjs";

await runBuilt("dist/bench/embedded/main.js");
