/**
 * Bugs to plant: in which file, what stands there, and what stands there instead.
 *
 * Each is one that a maintainer could make on a bad day, and one that the
 * simulator must catch; `breaks` names the invariants by which it may. A text
 * that is no longer found is an error, so that the list follows the code.
 * @module
 */

/** @type {readonly import("./bugs.mjs").Bug[]} */
export const BUGS = [
  {
    name: "puback-before-enqueue",
    why: "a delta is acknowledged when it arrives, not when the queue has it",
    breaks: ["I1", "I4"],
    changes: [
      {
        file: "gateway/ingest.ts",
        find: "    this.#batcher.add(uplink.shard, {",
        replace: "    window.settle(slot);\n    this.#batcher.add(uplink.shard, {",
      },
      {
        file: "gateway/ingest.ts",
        find: `        if (error === null) {
          window.settle(slot);
        } else {
          window.abandon(slot);
          uplink.socket.close(error);
        }`,
        replace: "        if (error !== null) uplink.socket.close(error);",
      },
    ],
  },
  {
    name: "no-dedup",
    why: "a delta that comes again is applied again",
    breaks: ["I2"],
    changes: [
      {
        file: "src/aggregate/fold-batch.ts",
        find: 'return entry.retried ? this.#retry(entry, draft) : { kind: "duplicate" };',
        replace: `const nothing = { verdict: "apply" as const, writes: [], live: draft.cursor.patterns };
      if (read.kind === "delta") this.#apply(draft, read, nothing, draft.cursor.epochs);
      return { kind: "applied" };`,
      },
    ],
  },
  {
    name: "dedup-in-another-commit",
    why: "the sums are committed first, and the cursors that say so in a second commit",
    breaks: ["I1", "I2", "I7"],
    changes: [
      {
        file: "src/aggregate/shard-writer.ts",
        find: "    await this.#persist(() => store.commit(this.shard, this.#lease.token, number, commit));",
        replace: `    const sums = { ...commit, devices: [], deadLetters: [], stats: { applied: 0, duplicates: 0, deadLettered: 0 } };
    await this.#persist(() => store.commit(this.shard, this.#lease.token, number, sums));
    await this.#persist(() => store.commit(this.shard, this.#lease.token, number + 1, { ...commit, sums: [] }));`,
      },
      {
        file: "src/aggregate/shard-state.ts",
        find: `  keep(changes: FoldChanges, gathered: ReadonlyMap<string, CachedDevice>): void {
    this.#commitNumber += 1;`,
        replace: `  keep(changes: FoldChanges, gathered: ReadonlyMap<string, CachedDevice>): void {
    this.#commitNumber += 2;`,
      },
    ],
  },
  {
    name: "failed-jobs-dropped",
    why: "a job that the queue put among the failed ones is never put back",
    breaks: ["I1", "I4", "I8"],
    changes: [
      {
        file: "src/queue/consumer.ts",
        find: 'await queue.retryJobs({ state: "failed", count: SWEEP_JOBS_MAX });',
        replace: "// left alone",
      },
    ],
  },
  {
    name: "cursor-ahead-of-state",
    why: "the cursors are committed first, and what the deltas say in a second commit",
    breaks: ["I1", "I3", "I7", "I10"],
    changes: [
      {
        file: "src/aggregate/shard-writer.ts",
        find: "    await this.#persist(() => store.commit(this.shard, this.#lease.token, number, commit));",
        replace: `    const bare = commit.devices.map((device) => ({ ...device, registers: new Map() }));
    await this.#persist(() => store.commit(this.shard, this.#lease.token, number, { ...commit, sums: [], devices: bare }));
    const none = { applied: 0, duplicates: 0, deadLettered: 0 };
    await this.#persist(() => store.commit(this.shard, this.#lease.token, number + 1, { ...commit, deadLetters: [], stats: none }));`,
      },
      {
        file: "src/aggregate/shard-state.ts",
        find: `  keep(changes: FoldChanges, gathered: ReadonlyMap<string, CachedDevice>): void {
    this.#commitNumber += 1;`,
        replace: `  keep(changes: FoldChanges, gathered: ReadonlyMap<string, CachedDevice>): void {
    this.#commitNumber += 2;`,
      },
    ],
  },
  {
    name: "lease-not-checked",
    why: "the store takes a commit from any writer, whatever its token and its number",
    breaks: ["I7"],
    changes: [
      {
        file: "src/store/memory.ts",
        find: `    requireOk(this.#holds(shardLease(shard), token) ? "ok" : "lease.lost", detail);
    requireOk(number === state.number + 1 ? "ok" : "commit.order", detail);
    this.#apply(state, structuredClone(commit));`,
        replace: "    this.#apply(state, structuredClone(commit));",
      },
    ],
  },
  {
    name: "ladder-delta-of-wrong-base",
    why: "a device gets the difference to another release than the one it holds",
    breaks: ["I6"],
    changes: [
      {
        file: "gateway/ladders.ts",
        find: "const delta = ladder.deltas.get(base);",
        replace: "const [delta] = ladder.deltas.values();",
      },
    ],
  },
  {
    name: "outbox-released-on-send",
    why: "a frame leaves the outbox when it is published, not when it is acknowledged",
    breaks: ["I1", "I3", "I4"],
    changes: [
      {
        file: "device/sync-client.ts",
        find: `        void connector?.link?.publish(payload).then(() => {
          if (position !== null) void engine?.post({ kind: "acked", position });
        });`,
        replace: `        void connector?.link?.publish(payload);
        if (position !== null) void engine?.post({ kind: "acked", position });`,
      },
    ],
  },
  {
    name: "puback-order",
    why: "a delta that is durable is acknowledged before an older one that is not",
    breaks: ["I1"],
    changes: [
      {
        file: "gateway/ack-window.ts",
        find: "if (this.#closed || this.#inFlight[0] !== slot || this.#flushing) return;",
        replace: "if (this.#closed || this.#flushing) return;",
      },
      {
        file: "gateway/ack-window.ts",
        find: '    const pending = this.#inFlight.findIndex((slot) => slot.outcome !== "durable");',
        replace: `    const isPending = (slot: AckSlot) => Number(slot.outcome !== "durable");
    this.#inFlight.sort((a, b) => isPending(a) - isPending(b));
    const pending = this.#inFlight.findIndex((slot) => slot.outcome !== "durable");`,
      },
    ],
  },
  {
    name: "retained-of-another-device",
    why: "devices that are served together get the answer of the first one",
    breaks: ["I1", "I3", "I4", "I10"],
    changes: [
      {
        file: "gateway/delivery.ts",
        find: "      const view = views[index];",
        replace: "      const view = views[index === 0 ? 0 : index - 1];",
      },
    ],
  },
  {
    name: "lost-tombstone",
    why: "a removal is consumed and removes nothing",
    breaks: ["I3", "I7"],
    changes: [
      {
        file: "src/aggregate/fold-device.ts",
        find: `    if (before?.kind === "live") after -= 1;
    writes.push({ pattern: id, register: tombstoneOf(position, context.bucket) });`,
        replace: "",
      },
    ],
  },
  {
    name: "epoch-not-compared",
    why: "of two writes to a register the one with the higher seq wins, whatever its epoch",
    breaks: ["I3", "I7"],
    changes: [
      {
        file: "src/aggregate/dedup.ts",
        find: "return a.epoch === b.epoch ? a.seq > b.seq : a.epoch > b.epoch;",
        replace: "return a.seq > b.seq;",
      },
    ],
  },
  {
    name: "publish-before-durable",
    why: "a frame leaves before the outbox has it, so that its seq may be used twice",
    breaks: ["I2", "I3", "I4", "I10"],
    changes: [
      {
        file: "device/engine.ts",
        find: "if (failure === null) await flush().catch((error: unknown) => (failure = { error }));",
        replace: "",
      },
    ],
  },
  {
    name: "watermark-of-another-epoch",
    why: "a device takes a watermark of an earlier incarnation for its own",
    breaks: ["I1", "I3", "I10"],
    changes: [
      {
        file: "device/session-downlink.ts",
        find: "if (applied === null || applied.epoch < epoch || applied.seq <= state.appliedSeq) return;",
        replace: "if (applied === null || applied.seq <= state.appliedSeq) return;",
      },
      {
        file: "device/session-downlink.ts",
        find: 'this.#context.commit({ kind: "applied", position: applied }, false)',
        replace:
          'this.#context.commit({ kind: "applied", position: { ...applied, epoch } }, false)',
      },
    ],
  },
  {
    name: "commit-resent-as-new",
    why: "a commit whose outcome is unknown is sent again under the next number",
    breaks: ["I0", "I2", "I7", "I8"],
    changes: [
      {
        file: "src/aggregate/shard-writer.ts",
        find: "    await this.#persist(() => store.commit(this.shard, this.#lease.token, number, commit));",
        replace:
          "    let tries = 0;\n    await this.#persist(() => store.commit(this.shard, this.#lease.token, number + tries++, commit));",
      },
    ],
  },
  {
    name: "no-resend-after-reconnect",
    why: "what was in flight on a lost connection is not sent again on the next",
    breaks: ["I1", "I4", "I8"],
    changes: [
      {
        file: "device/session-uplink.ts",
        find: `  reset(): void {
    this.#inflight.clear();`,
        replace: "  reset(): void {",
      },
    ],
  },
  {
    name: "consumer-acks-at-once",
    why: "a job is done when it was fetched, not when it was committed",
    breaks: ["I1", "I4"],
    changes: [
      {
        file: "src/queue/consumer.ts",
        find: "if (entries !== null) await this.#options.handle(entries, jobId);",
        replace: "if (entries !== null) this.#options.handle(entries, jobId).catch(() => {});",
      },
    ],
  },
  {
    name: "device-goes-back",
    why: "a device takes an older release than the one it holds",
    breaks: ["I5", "I6"],
    changes: [
      {
        file: "device/session-inbox.ts",
        find: "if (version < Math.max(floor, this.version)) return",
        replace: "if (version < 0) return",
      },
    ],
  },
];
