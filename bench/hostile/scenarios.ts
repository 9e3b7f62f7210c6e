/**
 * What a scenario is: an attack on a gateway of its own, and what came of it.
 * @module
 */
import type { Floor, Row } from "../support/report.ts";

export interface Findings {
  readonly rows: readonly Row[];
  readonly floors: readonly Floor[];
}

export type Scenario = (say: (line: string) => void) => Promise<Findings>;
