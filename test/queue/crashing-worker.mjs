/**
 * The database thread, except that the statement "crash" makes it die.
 * @module
 */
import { parentPort } from "node:worker_threads";
import "../../dist/src/store/embedded/database-worker.js";

parentPort.on("message", (message) => {
  if (message.text === "crash") throw new Error("the thread was told to crash");
});
