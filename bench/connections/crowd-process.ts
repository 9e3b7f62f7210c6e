/**
 * A crowd in a process of its own, so that the device ends share neither memory nor event loop with
 * the bench.
 * @module
 */
import type { ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { start, stop } from "../support/processes.ts";
import type { Answer, CrowdOptions, Orders } from "./orders.ts";

export type CrowdProcess = Orders & { end(): Promise<void> };

const MAIN = fileURLToPath(new URL("./crowd-main.js", import.meta.url));

export function startCrowd(options: CrowdOptions): CrowdProcess {
  const child = start(process.execPath, [MAIN, JSON.stringify(options)], {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const ask = asking(child);
  return {
    open: (of) => ask("open", of),
    close: (of) => ask("close", of),
    ping: (of) => ask("ping", of),
    subscribe: (of) => ask("subscribe", of),
    storm: (of) => ask("storm", of),
    publish: (of) => ask("publish", of),
    acks: () => ask("acks"),
    quiet: () => ask("quiet"),
    released: (of) => ask("released", of),
    end: () => stop(child),
  };
}

function asking(child: ChildProcess) {
  const waiting = new Map<number, (answer: Answer) => void>();
  let id = 0;
  child.on("message", (answer: Answer) => {
    waiting.get(answer.id)?.(answer);
    waiting.delete(answer.id);
  });
  child.once("exit", () => {
    for (const [of, settle] of waiting) settle({ id: of, error: "a crowd's process ended" });
  });
  return <Verb extends keyof Orders>(
    verb: Verb,
    ...args: Parameters<Orders[Verb]>
  ): ReturnType<Orders[Verb]> => {
    id += 1;
    const order = { id, verb, args };
    const answered = new Promise((resolve, reject) => {
      waiting.set(order.id, ({ value, error }) => {
        if (error === undefined) resolve(value);
        else reject(new Error(`${verb}: ${error}`));
      });
      child.send(order);
    });
    return answered as ReturnType<Orders[Verb]>;
  };
}
