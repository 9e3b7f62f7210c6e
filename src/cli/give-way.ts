/**
 * Which process has the processor first where several of ours share a machine.
 *
 * A device waits for its PUBACK, nobody for the fold: what is queued is durable and loses nothing by
 * being folded a little later. So where there is too little for all, aggregators leave the processor
 * to gateways and Redis.
 * @module
 */
import { getPriority, setPriority } from "node:os";
import { messageOf } from "../core/index.ts";
import type { Logger } from "../observe/index.ts";

/**
 * Makes this process at least as nice as `niceness`, 0–19 (POSIX `nice`: at 10 it gets about a tenth
 * of what one at 0 gets while both want all; among processes of one session and control group). Its
 * threads from now on inherit it. Never throws: where the system refuses, that is logged.
 */
export function giveWay(niceness: number, log: Logger): void {
  try {
    if (getPriority() < niceness) setPriority(niceness);
  } catch (error) {
    log.warn("priority.refused", { niceness, error: messageOf(error) });
  }
}
