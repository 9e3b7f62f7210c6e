export { lineOf } from "../oracle/sinks.ts";
export { INVARIANTS, type Invariant } from "../oracle/violation.ts";
export { count, emptyTally, runBatch, type SeedRange, type Tally } from "./batch.ts";
export { planOf } from "./plan.ts";
export { runWorld, type SimContext } from "./run.ts";
export { PACES, type PaceName } from "./settings.ts";
export { shrink } from "./shrink.ts";
export { traceOf } from "./trace.ts";
export { describe as describeFault } from "./trouble.ts";
