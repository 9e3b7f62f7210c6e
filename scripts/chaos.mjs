/**
 * `npm run chaos -- …args`: builds when needed, then kills, cuts and confuses real processes.
 * @module
 */
import { runBuilt } from "./prepare.mjs";

await runBuilt("dist/test/chaos/main.js");
