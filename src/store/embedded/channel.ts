/**
 * A way to the other process: messages in order, and the news of its end.
 * @module
 */
import type { ChildProcess } from "node:child_process";

export interface Channel {
  /** Sends a message that the structured clone algorithm can copy. Lost without an error once the channel closed. */
  post(message: unknown): void;
  onMessage(listener: (message: unknown) => void): void;
  /** Called once, also when the other process was killed; at once when it already was. */
  onClose(listener: () => void): void;
}

/** Marks our messages among others on the same IPC pipe. */
const TAG = "omega.sql";

interface Tagged {
  readonly tag: typeof TAG;
  readonly body: unknown;
}

/** What `ChildProcess` and `process` have in common. */
interface IpcEnd {
  readonly connected?: boolean;
  send?(message: unknown, callback?: (error: Error | null) => void): boolean;
  on(event: "message", listener: (message: unknown) => void): unknown;
  once(event: "disconnect", listener: () => void): unknown;
}

/** The owner's end. The child must be forked with `serialization: "advanced"`: JSON would mangle bytes. */
export function childChannel(child: ChildProcess): Channel {
  return ipcChannel(child as IpcEnd);
}

/** The child's end, to the process that forked it. */
export function parentChannel(): Channel {
  return ipcChannel(process as IpcEnd);
}

function ipcChannel(end: IpcEnd): Channel {
  return {
    post(body) {
      if (end.connected !== true) return;
      // The callback takes the error of a pipe that breaks meanwhile; onClose tells.
      end.send?.({ tag: TAG, body } satisfies Tagged, () => {});
    },
    onMessage(listener) {
      end.on("message", (message) => {
        if (isTagged(message)) listener(message.body);
      });
    },
    onClose(listener) {
      if (end.connected === true) end.once("disconnect", listener);
      else listener();
    },
  };
}

function isTagged(message: unknown): message is Tagged {
  return typeof message === "object" && message !== null && "tag" in message && message.tag === TAG;
}
