/**
 * A process that plays a share of a fleet: told what by its parent, over the channel that `fork` opens.
 * @module
 */
import { assert, systemClock } from "../../core/index.ts";
import { LoadRun } from "./load-run.ts";
import type { LoadPlan, RunPart, Share } from "./plan.ts";
import type { Sample } from "./tally.ts";

export type WorkerOrder =
  | { readonly kind: "run"; readonly plan: LoadPlan; readonly share: Share }
  | { readonly kind: "stop" };

export type WorkerNews =
  | { readonly kind: "sample"; readonly sample: Sample }
  | { readonly kind: "done"; readonly part: RunPart };

// The parent decides when to end; a terminal's Ctrl-C reaches the whole group.
process.on("SIGINT", () => {});
process.once("disconnect", () => process.exit(1));
let run: LoadRun | null = null;

process.on("message", (order: WorkerOrder) => {
  if (order.kind === "stop") {
    run?.stop();
    return;
  }
  assert(run === null, "a worker runs once");
  const { plan, share } = order;
  run = new LoadRun({
    ...{ plan, share, clock: systemClock },
    onSample: (sample) => tell({ kind: "sample", sample }),
  });
  run.run().then(
    (part) => tell({ kind: "done", part }, () => process.exit(0)),
    (error: unknown) => {
      process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
      process.exit(1);
    },
  );
});

function tell(news: WorkerNews, sent: () => void = () => {}): void {
  process.send?.(news, sent);
}
