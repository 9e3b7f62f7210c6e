/**
 * Scenarios: what happens to a fleet, or to its servers, while it pushes. Pure.
 * @module
 */

interface ScenarioFacts {
  readonly help: string;
  /** What the processes named by `--pid` are; null when no server is touched. */
  readonly touches: "gateways" | "servers" | "Redis" | null;
}

export const SCENARIOS = {
  steady: { help: "every device pushes at its interval", touches: null },
  "reconnect-storm": {
    help: "halfway every connection is cut at once, and all come back with backoff",
    touches: null,
  },
  "evening-peak": { help: "the rate rises to three times as much and falls again", touches: null },
  "cold-start": {
    help: "all devices connect within one second and push at once",
    touches: null,
  },
  "rolling-restart": { help: "SIGTERM to one --pid after the other", touches: "servers" },
  "gateway-loss": { help: "SIGKILL to one --pid after the other", touches: "gateways" },
  "slow-redis": {
    help: "--pid stands still for a quarter of every second of the middle third",
    touches: "Redis",
  },
} as const satisfies Readonly<Record<string, ScenarioFacts>>;

export type ScenarioName = keyof typeof SCENARIOS;

export interface PlannedSignal {
  /** From the end of the ramp. */
  readonly atMs: number;
  readonly pid: number;
  readonly signal: "SIGTERM" | "SIGKILL" | "SIGSTOP" | "SIGCONT";
}

const PEAK_FACTOR = 3;
const COLD_START_MS = 1_000;
const PULSE_EVERY_MS = 1_000;
const PULSE_MS = 250;

/** By how much the rate is raised when `share` (0–1) of the time is over. */
export function rateFactor(scenario: ScenarioName, share: number): number {
  if (scenario !== "evening-peak") return 1;
  return 1 + (PEAK_FACTOR - 1) * Math.sin(Math.PI * Math.min(1, Math.max(0, share))) ** 2;
}

/** Over which time `devices` connect, milliseconds. */
export function rampMs(scenario: ScenarioName, devices: number, connectRate: number): number {
  return scenario === "cold-start" ? COLD_START_MS : (devices / connectRate) * 1_000;
}

/** When all connections are cut, from the end of the ramp; null for never. */
export function cutAtMs(scenario: ScenarioName, durationMs: number): number | null {
  return scenario === "reconnect-storm" ? durationMs / 2 : null;
}

/** Which process gets which signal when, in order of time. */
export function plannedSignals(
  scenario: ScenarioName,
  durationMs: number,
  pids: readonly number[],
): PlannedSignal[] {
  const inTurn = (signal: "SIGTERM" | "SIGKILL") =>
    pids.map((pid, turn) => ({
      ...{ atMs: (durationMs * (turn + 1)) / (pids.length + 1), pid, signal },
    }));
  switch (scenario) {
    case "rolling-restart":
      return inTurn("SIGTERM");
    case "gateway-loss":
      return inTurn("SIGKILL");
    case "slow-redis":
      return pulses(durationMs, pids);
    case "steady":
    case "reconnect-storm":
    case "evening-peak":
    case "cold-start":
      return [];
  }
}

function pulses(durationMs: number, pids: readonly number[]): PlannedSignal[] {
  const signals: PlannedSignal[] = [];
  const endMs = (durationMs * 2) / 3;
  for (let atMs = durationMs / 3; atMs < endMs; atMs += PULSE_EVERY_MS) {
    for (const pid of pids) signals.push({ atMs, pid, signal: "SIGSTOP" });
    for (const pid of pids) signals.push({ atMs: atMs + PULSE_MS, pid, signal: "SIGCONT" });
  }
  return signals;
}
