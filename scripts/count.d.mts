export interface Count {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly failures: readonly string[];
}
export function countReport(report: unknown): Count;
export function countLine(count: Omit<Count, "failures">): string;
export function isGood(count: Pick<Count, "passed" | "failed">): boolean;
