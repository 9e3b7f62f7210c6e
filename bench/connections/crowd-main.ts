/**
 * The process of a crowd: orders come over IPC and their answers go back.
 * @module
 */
import { messageOf } from "../../src/core/index.ts";
import { Crowd } from "./crowd.ts";
import type { Answer, CrowdOptions, Order } from "./orders.ts";

const crowd = new Crowd(JSON.parse(process.argv[2] ?? "{}") as CrowdOptions);

process.on("message", (order: Order) => {
  const act = crowd[order.verb] as (...args: readonly unknown[]) => Promise<unknown>;
  act.apply(crowd, [...order.args]).then(
    (value) => answer({ id: order.id, value }),
    (error: unknown) => answer({ id: order.id, error: messageOf(error) }),
  );
});
process.once("disconnect", () => process.exit(0));

function answer(message: Answer): void {
  process.send?.(message);
}
