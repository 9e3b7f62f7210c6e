/**
 * A process that lives a share of the worlds of `omega-sync sim`, told which by its parent.
 * @module
 */
import { count, emptyTally, runBatch, type SeedRange, type Tally } from "../fleet/sim/index.ts";
import { loadZstd } from "../wire/index.ts";
import { downlinkSource } from "./compose/downlink-source.ts";

/** What came of one world. */
export interface SimNews {
  readonly tally: Tally;
}

// The parent decides when to end; a terminal's Ctrl-C reaches the whole group.
process.on("SIGINT", () => {});
process.once("disconnect", () => process.exit(1));

process.on("message", (range: SeedRange) => {
  run(range).then(
    () => process.exit(0),
    (error: unknown) => {
      process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
      process.exit(1);
    },
  );
});

async function run(range: SeedRange): Promise<void> {
  const context = { zstd: await loadZstd(), sourceOf: downlinkSource };
  await runBatch(range, context, (outcome) => {
    const tally = emptyTally();
    count(tally, outcome);
    process.send?.({ tally } satisfies SimNews);
    return true;
  });
  await new Promise<void>((resolve) => process.send?.(null, () => resolve()));
}
