/**
 * Binding a server to an address: it listens, or it fails once.
 * @module
 */
import type { Server } from "node:net";
import { assert } from "../src/core/index.ts";
import type { BoundAddress } from "./ports.ts";

/**
 * Connections that the kernel completes while the process is busy; Linux takes at most
 * `net.core.somaxconn`, 4096 by default. What overflows is not refused but ignored, and its sender
 * tries again after 1, 3 and 7 s, which in a storm is later than devices wait.
 */
const BACKLOG = 4_096;

/** Resolves when `server` listens; rejects with what `refusal` makes of the cause. Port 0: any free one. */
export function bind(
  server: Server,
  { host, port }: BoundAddress,
  refusal: (cause: Error) => Error,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (cause: Error) => reject(refusal(cause));
    server.once("error", onError);
    server.listen({ port, host, backlog: BACKLOG }, () => {
      server.off("error", onError);
      resolve();
    });
  });
}

/** Where a server that listens on TCP really listens. */
export function addressOf(server: Server): BoundAddress {
  const address = server.address();
  assert(address !== null && typeof address === "object", "a TCP listener has an address");
  return { host: address.address, port: address.port };
}
