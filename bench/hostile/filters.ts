/**
 * SUBSCRIBEs of thousands of filters: more than a packet may hold, and as many as fit into one.
 * @module
 */
import { subscribePacket } from "../../src/fleet/load/packets.ts";
import { atMost } from "../support/report.ts";
import { Peer } from "./peer.ts";
import type { Findings, Scenario } from "./scenarios.ts";
import { onStand, type Stand } from "./stand.ts";

const MANY = 10_000;
/** Of one letter each they fill 16 KiB, the largest packet that is read. */
const FITTING = 4_000;
const ROUNDS = 50;
const REFUSED_MS_MAX = 10;
const CONNACK_BYTES = 4;

export const filters: Scenario = (say) =>
  onStand(async (stand): Promise<Findings> => {
    const many = subscribePacket(
      1,
      Array.from({ length: MANY }, (_, at) => `f${at}`),
    );
    const fitting = subscribePacket(1, new Array<string>(FITTING).fill("f"));
    const rows = [];
    const floors = [];
    const scenario = "filters";
    for (const [count, packet] of [[MANY, many] as const, [FITTING, fitting] as const]) {
      const { tookMs, answered } = await attack(stand, packet);
      const at = (share: number) => tookMs[Math.ceil(ROUNDS * share) - 1] ?? Number.NaN;
      say(`filters: ${count} are refused after ${at(0.5).toFixed(1)} … ${at(1).toFixed(1)} ms`);
      const name = `SUBSCRIBE of ${count} filters`;
      rows.push(
        { scenario, name, value: packet.length / 1_024, unit: "KiB" },
        { scenario, name: `${name}, closed after, median`, value: at(0.5), unit: "ms" },
        { scenario, name: `${name}, closed after, longest`, value: at(1), unit: "ms" },
      );
      floors.push(
        atMost(`filters: ${name}, closed after, p90`, at(0.9), REFUSED_MS_MAX, "ms"),
        atMost(`filters: ${name}, answered`, answered, 0, ""),
      );
    }
    return { rows, floors };
  });

/** From the last byte said to the end, of each round, ascending; and how many heard an answer. */
async function attack({ port }: Stand, packet: Buffer) {
  const tookMs: number[] = [];
  let answered = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    const peer = await Peer.login(port, `greedy-${packet.length}-${round}`, false);
    const saidAtMs = performance.now();
    peer.say(packet);
    await peer.ended;
    tookMs.push(performance.now() - saidAtMs);
    if (peer.heard.length > CONNACK_BYTES) answered += 1;
  }
  return { tookMs: tookMs.sort((a, b) => a - b), answered };
}
