/**
 * `omega-sync gateway`: the sockets alone, as many processes as you like.
 * @module
 */
import { type Command, Option } from "commander";
import { createForeignGateway, createGateway } from "./compose/services.ts";
import { keepHeapTight } from "./heap.ts";
import type { CliContext } from "./output.ts";
import { addBackendOptions, type ServeOptions, serve } from "./serve.ts";

/** Makes `command` the command `gateway`. */
export function register(command: Command, context: CliContext): void {
  addBackendOptions(command)
    .option("--port <port>", "MQTT over TCP")
    .option("--http-port <port>", "health and metrics")
    .option(
      "--broker <url>",
      "take frames from another MQTT 5 broker, mqtt://host:1883, instead of listening for devices",
    )
    .option("--json", "print one line of JSON on stdout when ready")
    .addOption(new Option("--from-parent", "use the parent process's database").hideHelp())
    .addHelpText(
      "after",
      `
Examples:
  $ omega-sync gateway --redis redis://127.0.0.1:6379
  $ omega-sync gateway --postgres postgres://omega@127.0.0.1/omega --port 1884 --http-port 9474
  $ omega-sync gateway --config deploy/omega.yaml
  $ omega-sync gateway --redis redis://127.0.0.1:6379 --broker mqtts://broker.example.com \\
      --set gateway.broker.username=omega --set gateway.broker.passwordFile=/run/secrets/broker

With --broker, devices log in at that broker, and who may publish on a device's topic is
decided by its access rules alone. Each process needs a client id of its own
(gateway.broker.clientId) that stays the same after a restart. docs/broker.md says what the
broker must be configured to keep.`,
    )
    .action((options: ServeOptions) =>
      serve(context, options, "gateway", async (parts) => {
        keepHeapTight();
        const { url } = parts.config.gateway.broker;
        const gateway =
          url === null ? await createGateway(parts) : await createForeignGateway(parts, url);
        return { services: [gateway], describe: () => ({ ...gateway.addresses }) };
      }),
    );
}
