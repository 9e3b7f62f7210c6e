/**
 * Its own filter and others' in one SUBSCRIBE of a session that is kept, then a reconnect: does
 * anything arrive that is not its own?
 * @module
 */
import { setTimeout as sleep } from "node:timers/promises";
import {
  PACKET,
  PacketReader,
  publishPacket,
  readPublish,
  subscribePacket,
} from "../../src/fleet/load/packets.ts";
import { topicOf } from "../../src/wire/index.ts";
import { TENANT } from "../connections/bench-device.ts";
import { Releases } from "../connections/release.ts";
import { atLeast, atMost } from "../support/report.ts";
import { Peer } from "./peer.ts";
import type { Findings, Scenario } from "./scenarios.ts";
import { onStand } from "./stand.ts";

const ROUNDS = 10;
const REST_MS = 1_000;
const ATTACKER = "attacker";
const VICTIM = "victim";
const of = (device: string) => `omega/v1/${TENANT}/d/${device}`;
const OWN = topicOf({ tenant: TENANT, device: ATTACKER }, "down");

export const mixed: Scenario = (say) =>
  onStand(async ({ port, store }): Promise<Findings> => {
    const releases = new Releases(store);
    await (await releases.prepare()).publish();
    const victim = await Peer.login(port, VICTIM);
    victim.say(subscribePacket(1, [`${of(VICTIM)}/down`, `${of(VICTIM)}/err`]));
    const heard = { own: 0, foreign: 0 };
    const wanted = [OWN, `${of(VICTIM)}/#`, `${of(VICTIM)}/down`, `${of(VICTIM)}/up`, "#"];
    for (let round = 0; round < ROUNDS; round += 1) {
      const attacker = await Peer.login(port, ATTACKER, false);
      if (round % 2 === 0) attacker.say(subscribePacket(1, wanted));
      // What comes to the victim while the attacker is there, and while it is away.
      victim.say(publishPacket(2 + round, `${of(VICTIM)}/up`, Buffer.from("not a frame")));
      await (await releases.prepare()).publish();
      await sleep(REST_MS);
      attacker.leave();
      for (const topic of topicsOf(attacker)) heard[topic === OWN ? "own" : "foreign"] += 1;
    }
    say(`mixed: ${JSON.stringify(heard)}`);
    victim.leave();
    const scenario = "mixed";
    const rows = [{ scenario, name: "connections of the attacker", value: ROUNDS, unit: "" }];
    return {
      rows,
      floors: [
        atMost("mixed: messages of others' topics", heard.foreign, 0, ""),
        // Nobody who hears nothing at all has shown anything.
        atLeast("mixed: messages of its own topic", heard.own, ROUNDS, ""),
      ],
    };
  });

/** The topics of all messages that came. */
function topicsOf(peer: Peer): string[] {
  const topics: string[] = [];
  new PacketReader().push(peer.heard, (packet) => {
    if (packet.type === PACKET.publish) topics.push(readPublish(packet)?.topic ?? "");
  });
  return topics;
}
