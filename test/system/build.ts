/**
 * Before the first system test: the build that their processes run, made once, because two files that both find it old
 * would write it under each other's processes.
 * @module
 */
import { ensureBuilt } from "../../scripts/prepare.mjs";

export default ensureBuilt;
