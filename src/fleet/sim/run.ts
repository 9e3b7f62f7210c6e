/**
 * One world, lived to its end and judged.
 * @module
 */
import { messageOf } from "../../core/index.ts";
import type { Zstd } from "../../wire/index.ts";
import type { Dated } from "../oracle/events.ts";
import { judge } from "../oracle/judge.ts";
import { beliefFaults } from "../oracle/state.ts";
import type { Violation } from "../oracle/violation.ts";
import type { WorldPlan } from "./plan.ts";
import { beliefsOf, finalsOf, type Rest, restOf } from "./rest.ts";
import type { SourceOf } from "./server-nodes.ts";
import { endTrouble, planTrouble } from "./trouble.ts";
import { World } from "./world.ts";

export interface Outcome {
  readonly plan: WorldPlan;
  readonly violations: readonly Violation[];
  readonly history: readonly Dated[];
  /** How long the world lived, milliseconds, and in how many moments. */
  readonly virtualMs: number;
  readonly moments: number;
}

export interface SimContext {
  readonly zstd: Zstd;
  readonly sourceOf: SourceOf;
}

/** Lives `plan` to its end. Worlds must be lived one after another: they share the process. */
export async function runWorld(plan: WorldPlan, context: SimContext): Promise<Outcome> {
  const crashes: string[] = [];
  const onCrash = (error: unknown) =>
    crashes.push(error instanceof Error ? (error.stack ?? error.message) : messageOf(error));
  process.on("unhandledRejection", onCrash);
  const world = new World({ plan, ...context });
  const beliefs: Violation[] = [];
  let rest: Rest = { drained: false, converged: false };
  try {
    planTrouble(world);
    askBeliefs(world, beliefs);
    world.boot();
    world.timeline.after(plan.activeMs, () => {});
    await world.timeline.live(() => world.timeline.nowMs >= plan.activeMs);
    endTrouble(world);
    rest = await heal(world);
  } catch (error) {
    onCrash(error);
  } finally {
    process.off("unhandledRejection", onCrash);
  }
  const finals = await finalsOf(world, rest, crashes);
  const history = world.sink.events;
  const { nowMs: virtualMs, moments } = world.timeline;
  return {
    plan,
    violations: [...beliefs, ...judge(history, finals, context.zstd)],
    history,
    virtualMs,
    moments,
  };
}

/** From time to time compares what devices believe with what the store holds at that very moment. */
function askBeliefs(world: World, found: Violation[]): void {
  world.timeline.after(world.pace.askMs, () => {
    for (const { name, client } of world.devices) {
      const version = client?.version ?? 0;
      // Before it has read its memory a device holds nothing yet.
      if (version > 0) world.sink.record({ kind: "holds", device: name, version });
    }
    void beliefsOf(world).then((devices) => found.push(...beliefFaults(devices)));
    askBeliefs(world, found);
  });
}

/** Lives on until all is at rest, or it has taken too long. */
async function heal(world: World): Promise<Rest> {
  const { timeline } = world;
  const { lookMs, restMsMax } = world.pace;
  const endMs = timeline.nowMs + restMsMax;
  for (;;) {
    const nextMs = timeline.nowMs + lookMs;
    // A moment of its own, so that time passes although nobody has anything to do.
    timeline.after(lookMs, () => {});
    await timeline.live(() => timeline.nowMs >= nextMs);
    const rest = await restOf(world);
    if ((rest.drained && rest.converged) || timeline.nowMs >= endMs) return rest;
  }
}
