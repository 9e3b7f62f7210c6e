/**
 * The true count at the end of `npm run verify`, taken from vitest's JSON report.
 *
 * The report is trusted for single tests only: a file that failed to load has
 * no tests in it and still is a failure, and a run without tests proves nothing.
 * @module
 */

/**
 * Counts a report of `vitest run --reporter=json`.
 * @param {unknown} report the parsed JSON
 * @returns {{ passed: number, failed: number, skipped: number, failures: string[], skips: string[] }}
 */
export function countReport(report) {
  const count = { passed: 0, failed: 0, skipped: 0, failures: [], skips: [] };
  for (const file of report?.testResults ?? []) {
    const tests = file.assertionResults ?? [];
    for (const test of tests) {
      if (test.status === "passed") count.passed += 1;
      else if (test.status === "failed") {
        count.failed += 1;
        count.failures.push(`${file.name}: ${test.fullName}`);
      }
    }
    const skipped = tests.filter(({ status }) => status !== "passed" && status !== "failed");
    if (skipped.length > 0) {
      count.skipped += skipped.length;
      count.skips.push(`${file.name}: ${skipped.length}, first "${skipped[0].fullName}"`);
    }
    const loaded = tests.length > 0 || file.status === "passed";
    const brokenOutside = file.status === "failed" && tests.every((t) => t.status !== "failed");
    if (!loaded || brokenOutside) {
      count.failed += 1;
      count.failures.push(`${file.name}: ${file.message?.split("\n")[0] || "the file failed"}`);
    }
  }
  return count;
}

/** `N passed, N failed`, and `, N skipped` when there are any. */
export function countLine({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
}

/** True when tests ran and all that ran passed. */
export function isGood({ passed, failed }) {
  return failed === 0 && passed > 0;
}
