/**
 * `omega-sync start`: gateway, aggregator, releaser and model keeper in one process.
 * @module
 */
import type { Command } from "commander";
import { createGateway, createWorkers } from "./compose/services.ts";
import type { CliContext } from "./output.ts";
import { addBackendOptions, type ServeOptions, serve } from "./serve.ts";

/** Makes `command` the command `start`. */
export function register(command: Command, context: CliContext): void {
  addBackendOptions(command)
    .option("--data-dir <dir>", "directory of the embedded database")
    .option("--port <port>", "MQTT over TCP")
    .option("--http-port <port>", "health and metrics")
    .option("--json", "print one line of JSON on stdout when ready")
    .addHelpText(
      "after",
      `
Examples:
  $ omega-sync start
  $ omega-sync start --data-dir /var/lib/omega-sync --port 1884
  $ omega-sync start --redis redis://127.0.0.1:6379`,
    )
    .action((options: ServeOptions) =>
      serve(context, options, "start", async (parts) => {
        const gateway = await createGateway(parts);
        return {
          services: [...createWorkers(parts).services, gateway],
          describe: () => ({ dataDir: parts.backend.database?.dir, ...gateway.addresses }),
        };
      }),
    );
}
