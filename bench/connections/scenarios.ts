/**
 * The scenarios, each with a gateway of its own, so that none finds another's memory.
 * @module
 */
import type { Floor, Row } from "../support/report.ts";

/** What a scenario has found out. */
export interface Findings {
  readonly rows: readonly Row[];
  readonly floors: readonly Floor[];
}

export interface Scale {
  /** Shares of the full numbers of devices; 1 unless a first look will do. */
  readonly share: number;
  say(line: string): void;
}

export type Scenario = (scale: Scale) => Promise<Findings>;

/** Lets everybody in at once: the door is not what is measured. */
export const OPEN_DOOR = [
  "gateway.limits.connectsPerS=100000",
  "gateway.limits.connectsBurst=100000",
  "gateway.limits.unauthenticatedMax=20000",
  "gateway.limits.connectDeadlineMs=60000",
] as const;
