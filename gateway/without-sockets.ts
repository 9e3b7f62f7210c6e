/**
 * The gateway's second door: its two halves without the broker and the sockets between them.
 *
 * For the simulator, which brings connections of its own; everybody else wants `index.ts`.
 * @module
 */
export { maySubscribe, topicsOf } from "./acl.ts";
export { CONNACK, judgeConnect } from "./connect.ts";
export { Downlink } from "./downlink.ts";
export { Ingest, type Uplink } from "./ingest.ts";
export type { GatewayClient } from "./ports.ts";
