/**
 * Reading a `/metrics` page.
 * @module
 */

/** The page of a server on 127.0.0.1. */
export async function metricsPage(httpPort: number): Promise<string> {
  return (await fetch(`http://127.0.0.1:${httpPort}/metrics`)).text();
}

/** The sum of a series over its labels; 0 when the page has none of it. */
export function sumOf(page: string, name: string): number {
  const lines = page.split("\n").filter((line) => /^\w+/.exec(line)?.[0] === name);
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
}

/** How late the event loop's turns came since the page was last asked for, milliseconds. */
export function loopDelayMs(page: string): { readonly max: number; readonly p99: number } {
  const ms = (name: string) => {
    const seconds = sumOf(page, `nodejs_eventloop_lag_${name}_seconds`);
    return Math.max(0, seconds * 1_000 - TIMER_MS);
  };
  return { max: ms("max"), p99: ms("p99") };
}

/** A loop that is never late is told as this: the delay is that of a timer of 10 ms (Node's `monitorEventLoopDelay`). */
const TIMER_MS = 10;
