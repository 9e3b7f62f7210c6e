/**
 * `npm run bench:codec -- …args`: builds when needed, then measures the codec.
 * @module
 */
import { runBuilt } from "./prepare.mjs";

await runBuilt("dist/bench/codec/main.js");
