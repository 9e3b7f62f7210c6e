/**
 * `omega-sync aggregator`: folds deltas and makes releases, as many processes as you like.
 * @module
 */
import type { Command } from "commander";
import { createAggregator, createReleaser } from "./compose/services.ts";
import type { CliContext } from "./output.ts";
import { addBackendOptions, type ServeOptions, serve } from "./serve.ts";

/** Adds `aggregator` to `program`. */
export function register(program: Command, context: CliContext): void {
  addBackendOptions(program.command("aggregator"))
    .description("fold queued deltas and publish releases; shards are shared among all that run")
    .option("--json", "print one line of JSON on stdout when ready")
    .addHelpText(
      "after",
      `
Examples:
  $ omega-sync aggregator --redis redis://127.0.0.1:6379
  $ omega-sync aggregator --postgres postgres://omega@127.0.0.1/omega`,
    )
    .action((options: ServeOptions) =>
      serve(context, options, "aggregator", async (parts) => ({
        services: [createAggregator(parts), createReleaser(parts)],
        describe: () => ({ shards: parts.config.shards }),
      })),
    );
}
