export interface Count {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly failures: readonly string[];
  /** One line per file that skipped something. */
  readonly skips: readonly string[];
}
export function countReport(report: unknown): Count;
export function countLine(count: Omit<Count, "failures" | "skips">): string;
export function isGood(count: Pick<Count, "passed" | "failed">): boolean;
