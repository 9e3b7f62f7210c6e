/**
 * `omega-sync aggregator`: folds deltas and makes releases, as many processes as you like.
 * @module
 */
import type { Command } from "commander";
import { createAggregatorHttp, createWorkers } from "./compose/services.ts";
import { giveWay } from "./give-way.ts";
import { collectWithoutHelpers } from "./heap.ts";
import type { CliContext } from "./output.ts";
import { addBackendOptions, type ServeOptions, serve } from "./serve.ts";

/** Makes `command` the command `aggregator`. */
export function register(command: Command, context: CliContext): void {
  addBackendOptions(command)
    .option("--http-port <port>", "health and metrics")
    .option("--json", "print one line of JSON on stdout when ready")
    .addHelpText(
      "after",
      `
Examples:
  $ omega-sync aggregator --redis redis://127.0.0.1:6379
  $ omega-sync aggregator --postgres postgres://omega@127.0.0.1/omega --http-port 9475`,
    )
    .action((options: ServeOptions) =>
      serve(context, options, "aggregator", async (parts) => {
        collectWithoutHelpers();
        giveWay(parts.config.aggregator.niceness, parts.log);
        const { aggregator, services } = createWorkers(parts);
        const http = createAggregatorHttp(parts, aggregator.health);
        return {
          // HTTP first and so stopped last: it tells of the others starting and stopping.
          services: [...(http ? [http] : []), ...services],
          describe: () => ({ shards: parts.config.shards, ...(http && { http: http.address() }) }),
        };
      }),
    );
}
