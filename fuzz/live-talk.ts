/**
 * One connection of a live target: bytes out in pieces, answers counted, and an end in any case.
 * @module
 */
import { connect, type Socket } from "node:net";
import { integerBelow, type Random } from "../src/core/index.ts";

export interface Talk {
  /** Bytes to say, in order. */
  readonly bytes: Buffer;
  /** Messages in `bytes`. */
  readonly messages: number;
}

/** `closed`: by the server, "quiet": it waits for more, "refused": no connection. */
export type TalkEnd = "closed" | "quiet" | "refused";

const QUIET_MS = 150;
const LAST_MS = 5_000;
const PIECE_BYTES_MAX = 6_000;

/** Says it all to the server at `port` of this machine. Never rejects. */
export async function talk(port: number, { bytes }: Talk, random: Random): Promise<TalkEnd> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  return await new Promise<TalkEnd>((resolve) => {
    let end: TalkEnd = "refused";
    let quiet: NodeJS.Timeout | undefined;
    const finish = (how: TalkEnd) => {
      clearTimeout(quiet);
      clearTimeout(last);
      socket.destroy();
      resolve(how);
    };
    const last = setTimeout(() => finish("quiet"), LAST_MS);
    const listen = () => {
      clearTimeout(quiet);
      quiet = setTimeout(() => finish("quiet"), QUIET_MS);
    };
    socket.on("data", listen);
    socket.on("error", () => {});
    socket.once("close", () => finish(end));
    socket.once("connect", () => {
      end = "closed";
      void say(socket, bytes, random).then(listen);
    });
  });
}

async function say(socket: Socket, bytes: Buffer, random: Random): Promise<void> {
  for (let at = 0; at < bytes.length && socket.writable; ) {
    const size = random.next() < 0.1 ? 1 : 1 + integerBelow(random, PIECE_BYTES_MAX);
    const drained = socket.write(bytes.subarray(at, at + size));
    at += size;
    if (drained && random.next() < 0.7) continue;
    await new Promise((resolve) => setImmediate(resolve));
  }
}
