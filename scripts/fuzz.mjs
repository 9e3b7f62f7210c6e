/**
 * `npm run fuzz -- …args`: builds when needed, then looks for input that crashes, stalls or bloats.
 * @module
 */
import { runBuilt } from "./prepare.mjs";

await runBuilt("dist/fuzz/main.js");
