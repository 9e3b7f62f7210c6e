import { describe, expect, it } from "vitest";
import { Engine } from "../../device/engine.ts";
import { Session } from "../../device/session.ts";
import { restoreOutbox } from "../../device/session-apply.ts";
import type { SessionOptions } from "../../device/session-events.ts";
import { intake } from "../../device/session-intake.ts";
import { encodeRecord, snapshotRecords } from "../../device/session-log.ts";
import { HeldModels } from "../../device/session-models.ts";
import { createOutbox } from "../../device/session-state.ts";
import { MemoryStorage } from "../../device/storage.ts";
import { seededRandom } from "../../src/core/index.ts";
import { downFrame, emptyLadder } from "../../src/wire/index.ts";
import { manualClock } from "../support/manual-clock.ts";
import { DIM, pattern, zstd } from "./world.ts";

const DEVICE = "default/tv";

describe("engine", () => {
  it("P3, P6: puts that are stored together replay as they were lived", async () => {
    const storage = new MemoryStorage();
    const options = {
      ...{ budgetBytes: 15 * 1024, dailyBytesMax: null, outboxBytesMax: 1024 * 1024 },
      ...{ ackTimeoutMs: 30_000, downWaitMs: 4_000, zstd },
      codec: 0 as const,
      mode: "tracking" as const,
      pullBackoff: { delayMsBase: 1_000, delayMsMax: 60_000 },
      random: seededRandom(1),
    } satisfies SessionOptions;
    const models = new HeldModels(DIM, []);
    const session = new Session(options, createOutbox(DEVICE, DIM), null, models);
    const nothing = () => {};
    const engine = new Engine({
      ...{ session, storage, zstd, clock: manualClock() },
      ...{ publish: nothing, fetchModel: nothing, disconnect: nothing, notify: nothing },
    });
    await engine.rewrite();
    await engine.post({ kind: "connecting" });
    await engine.post({ kind: "online" });
    const bytes = downFrame(emptyLadder("default", DIM, zstd), { base: 0, applied: null });
    await engine.post({ kind: "down", bytes });

    const put = (weight: number, ...ids: string[]) =>
      engine.put(
        intake({ upserts: ids.map((id) => pattern(id, weight, weight)) }, DIM, 1_700_000_000),
        nothing,
      );
    await Promise.all([put(3, "p6", "p1"), put(4, "p6"), put(5, "p2")]);
    await engine.post({ kind: "offline" });

    const { state } = restoreOutbox(DEVICE, DIM, await storage.open());
    expect(snapshotRecords(state).map(encodeRecord)).toEqual(session.snapshot().map(encodeRecord));
    await engine.close();
  });
});
