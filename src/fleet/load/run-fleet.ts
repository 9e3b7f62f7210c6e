/**
 * A whole run: is anybody there, then load, signals and scrapes side by side, then the result.
 * @module
 */
import { connect } from "node:net";
import { type Clock, NetworkError, TransportError } from "../../core/index.ts";
import { runCrew } from "./crew.ts";
import type { LoadPlan, RunPart } from "./plan.ts";
import { type FleetResult, resultOf } from "./result.ts";
import { plannedSignals, rampMs } from "./scenario.ts";
import { sendSignals, watchQueue } from "./servers.ts";
import { addCounts } from "./tally.ts";
import type { Threshold } from "./threshold.ts";
import { type Moment, Timeline } from "./timeline.ts";
import type { Target } from "./wire.ts";

export interface FleetOptions {
  readonly plan: LoadPlan;
  readonly processes: number;
  /** Processes that the scenario signals. */
  readonly pids: readonly number[];
  /** `/metrics` pages to ask for the queue's depth. */
  readonly metricsUrls: readonly string[];
  readonly thresholds: readonly Threshold[];
  readonly clock: Clock;
  /** Each second, while it runs. */
  readonly onMoment: (moment: Moment) => void;
  /** Ends the run early; the result is then that of the time it had. */
  readonly signal: AbortSignal;
}

const PROBE_MS_MAX = 5_000;

/**
 * Runs it. Rejects with `NetworkError("fleet.unreachable")` when nobody listens at the target, and
 * with `TransportError("fleet.no-login")` when not one device was let in.
 */
export async function runFleet(options: FleetOptions): Promise<FleetResult> {
  const { plan, pids, processes, clock, signal } = options;
  await probe(plan.target);
  const queue = watchQueue(options.metricsUrls, clock);
  const timeline = new Timeline({
    processes: Math.min(processes, plan.devices),
    queueDepth: () => queue.depth(),
    onMoment: options.onMoment,
  });
  const startedAtMs = clock.nowMs();
  const ramp = rampMs(plan.scenario, plan.devices, plan.connectRate);
  const signals = sendSignals(plannedSignals(plan.scenario, plan.durationMs, pids), ramp, clock);
  let parts: RunPart[];
  try {
    const onSample = timeline.add.bind(timeline);
    parts = await runCrew({ plan, processes, clock, onSample, signal });
  } finally {
    signals.end();
    queue.end();
  }
  timeline.end();
  requireLogin(parts, signal.aborted);
  return resultOf({
    ...{ plan, parts, startedAtMs, thresholds: options.thresholds },
    ...{ moments: timeline.moments, interrupted: signal.aborted },
  });
}

function probe({ host, port }: Target): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, timeout: PROBE_MS_MAX });
    const fail = (cause: unknown) => {
      socket.destroy();
      const where = { detail: { host, port }, cause };
      reject(new NetworkError("fleet.unreachable", `nobody answers at ${host}:${port}`, where));
    };
    socket.once("connect", () => {
      socket.destroy();
      resolve();
    });
    socket.once("error", fail);
    socket.once("timeout", () => fail(new Error(`no answer in ${PROBE_MS_MAX} ms`)));
  });
}

function requireLogin(parts: readonly RunPart[], interrupted: boolean): void {
  const counts = addCounts(parts.map((part) => part.counts));
  const { connects, loginsRefused, busy, connectFailures } = counts;
  if (connects > 0 || interrupted) return;
  const said = `${loginsRefused} refused, ${busy} told to come later, ${connectFailures} cut`;
  throw new TransportError(
    "fleet.no-login",
    `not one device was let in (${said}): check the URL, --secret-file, --tenant and --ca-file`,
    { detail: { loginsRefused, busy, connectFailures } },
  );
}
