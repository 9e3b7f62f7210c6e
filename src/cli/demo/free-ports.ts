/**
 * Ports that nobody listens on, for services that must know theirs before they start.
 * @module
 */
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";

/** `count` different free ports on 127.0.0.1. Another process could take one in between: the start then fails. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports: number[] = [];
  for (const server of servers) {
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    ports.push((server.address() as AddressInfo).port);
  }
  for (const server of servers) {
    server.close();
    await once(server, "close");
  }
  return ports;
}
