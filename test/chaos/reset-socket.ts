/**
 * Ending a connection with a RST.
 * @module
 */
import type { Socket } from "node:net";

/**
 * Ends `socket`, with a RST where it can be. While a FIN or bytes before it are under way, Node
 * (20 and 22) would neither send the RST nor ever say "close": such a socket is closed as usual.
 */
export function resetSocket(socket: Socket): void {
  if (socket.writableEnded || socket.writableLength > 0) socket.destroy();
  else socket.resetAndDestroy();
}
