/**
 * `omega-sync gateway`: the sockets alone, as many processes as you like.
 * @module
 */
import { type Command, Option } from "commander";
import { createGateway } from "./compose/services.ts";
import type { CliContext } from "./output.ts";
import { addBackendOptions, type ServeOptions, serve } from "./serve.ts";

/** Adds `gateway` to `program`. */
export function register(program: Command, context: CliContext): void {
  addBackendOptions(program.command("gateway"))
    .description("accept devices and queue what they send; run any number behind a TCP balancer")
    .option("--port <port>", "MQTT over TCP")
    .option("--http-port <port>", "health and metrics")
    .option("--json", "print one line of JSON on stdout when ready")
    .addOption(new Option("--from-parent", "use the parent process's database").hideHelp())
    .addHelpText(
      "after",
      `
Examples:
  $ omega-sync gateway --redis redis://127.0.0.1:6379
  $ omega-sync gateway --postgres postgres://omega@127.0.0.1/omega --port 1884 --http-port 9474
  $ omega-sync gateway --config deploy/omega.yaml`,
    )
    .action((options: ServeOptions) =>
      serve(context, options, "gateway", async (parts) => {
        const gateway = await createGateway(parts);
        return { services: [gateway], describe: () => ({ ...gateway.addresses }) };
      }),
    );
}
