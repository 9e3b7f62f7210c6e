/**
 * `npm run bench -- …args`: builds when needed, then measures the ingest pipeline beside its alternatives.
 * @module
 */
import { runBuilt } from "./prepare.mjs";

await runBuilt("dist/bench/ingest/main.js");
