/**
 * The names of the simulated devices.
 * @module
 */
import { topicOf } from "../../src/wire/index.ts";

/** Client id and uplink topic of device number `device`. */
export function deviceKeyOf(device: number): { readonly client: string; readonly topic: string } {
  const client = `tv-${device}`;
  return { client, topic: topicOf({ tenant: "default", device: client }, "up") };
}
