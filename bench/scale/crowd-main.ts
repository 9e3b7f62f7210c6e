/**
 * The process of a crowd: `node crowd-main.js <options as JSON>`; orders come over IPC.
 * @module
 */
import { messageOf } from "../../src/core/index.ts";
import { Crowd } from "./crowd.ts";
import type { Answer, CrowdOptions, Order } from "./orders.ts";

const crowd = new Crowd(JSON.parse(process.argv[2] ?? "{}") as CrowdOptions);
const answer = (message: Answer) => process.send?.(message);

process.on("message", (order: Order) => {
  crowd.obey(order).then(
    (done) => answer({ kind: "done", done }),
    (error: unknown) => answer({ kind: "failed", why: messageOf(error) }),
  );
});
process.once("disconnect", () => process.exit(0));
