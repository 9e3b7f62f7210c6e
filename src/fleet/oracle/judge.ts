/**
 * The oracle: a history and what there is at rest in, every breach of an invariant out. Pure.
 * @module
 */
import type { Zstd } from "../../wire/index.ts";
import { followDeltas, gapFaults, pubackFaults } from "./delivery.ts";
import type { Dated } from "./events.ts";
import type { Finals } from "./finals.ts";
import { beliefFaults, stateFaults, watermarkFaults } from "./state.ts";
import { convergenceFaults, sessionFaults, versionFaults } from "./versions.ts";
import type { Violation } from "./violation.ts";
import { wordFaults } from "./words.ts";

/** Judges a whole history, oldest event first. `zstd` opens the frames. */
export function judge(history: readonly Dated[], finals: Finals, zstd: Zstd): Violation[] {
  const delivered = followDeltas(history);
  return [
    ...finals.crashes.map((what): Violation => ({ invariant: "I0", what })),
    ...delivered.violations,
    ...pubackFaults(history),
    ...wordFaults(history, finals),
    ...gapFaults(history, finals),
    ...versionFaults(history),
    ...convergenceFaults(finals),
    ...stateFaults(history, delivered, finals, zstd),
    ...drainFaults(finals),
    ...sessionFaults(history),
    ...watermarkFaults(history),
    ...beliefFaults(finals.devices),
  ];
}

function drainFaults({ rested, queued, devices }: Finals): Violation[] {
  if (rested.drained) return [];
  const pending = devices.reduce((sum, device) => sum + device.pending, 0);
  const what = `${queued} jobs are still queued and ${pending} changes in outboxes`;
  return [{ invariant: "I8", what }];
}
