import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type AckSlot, AckWindow, ByteBudget } from "../../gateway/ack-window.ts";

function setUp(budget: ByteBudget, inFlightCountMax: number, waitingCountMax = 1_000) {
  const writes: number[][] = [];
  const begun: AckSlot[] = [];
  const durable = new Set<number>();
  let paused = false;
  const window = new AckWindow({
    inFlightCountMax,
    waitingCountMax,
    budget,
    later: queueMicrotask,
    send: (bytes) => {
      const ids: number[] = [];
      for (let at = 0; at < bytes.length; at += 4) {
        expect(bytes.readUInt16BE(at)).toBe(0x4002);
        const id = bytes.readUInt16BE(at + 2);
        // P1, at the moment of writing: an acknowledged delta is a durable one.
        expect(durable.has(id)).toBe(true);
        ids.push(id);
      }
      writes.push(ids);
    },
    pause: () => {
      paused = true;
    },
    resume: () => {
      paused = false;
    },
  });
  const admit = (id: number, bytes = 10) => window.admit(id, bytes, (slot) => begun.push(slot));
  const settle = (slot: AckSlot) => {
    durable.add(slot.packetId);
    window.settle(slot);
  };
  return { window, writes, begun, admit, settle, isPaused: () => paused };
}

const microtasks = () => new Promise<void>((resolve) => queueMicrotask(resolve));

describe("the acknowledgement window", () => {
  test("P1: settling in any order acknowledges in arrival order, within window and budget", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ window: fc.nat(2), bytes: fc.integer({ min: 1, max: 40 }) }), {
          maxLength: 60,
        }),
        fc.infiniteStream(fc.nat(1_000)),
        async (deltas, choices) => {
          const budget = new ByteBudget(100);
          const windows = [setUp(budget, 4), setUp(budget, 4), setUp(budget, 4)];
          const sent: number[][] = [[], [], []];
          for (const [index, delta] of deltas.entries()) {
            const id = index + 1;
            windows[delta.window]?.admit(id, delta.bytes);
            sent[delta.window]?.push(id);
          }
          for (;;) {
            expect(budget.used).toBeLessThanOrEqual(100);
            for (const { window, isPaused } of windows) {
              expect(window.inFlightCount).toBeLessThanOrEqual(4);
              expect(isPaused()).toBe(window.waitingCount > 0);
            }
            const open = windows.flatMap(({ settle, begun }) =>
              begun.filter((slot) => slot.outcome === "pending").map((slot) => ({ settle, slot })),
            );
            const chosen = open[(choices.next().value ?? 0) % Math.max(1, open.length)];
            if (chosen === undefined) break;
            chosen.settle(chosen.slot);
            await microtasks();
          }
          expect(windows.map(({ writes }) => writes.flat())).toEqual(sent);
          expect(budget.used).toBe(0);
        },
      ),
    );
  });

  test("writes the PUBACKs that become due together in one piece", async () => {
    const { settle, writes, begun, admit } = setUp(new ByteBudget(10_000), 256);
    for (let id = 1; id <= 64; id += 1) admit(id);
    for (const slot of begun) settle(slot);
    await microtasks();
    expect(writes).toHaveLength(1);
    expect(writes[0]).toHaveLength(64);
  });

  test("P1: an abandoned delta holds back every PUBACK behind it", async () => {
    const { window, settle, writes, begun, admit } = setUp(new ByteBudget(10_000), 256);
    for (const id of [1, 2, 3]) admit(id);
    const [one, two, three] = begun as [AckSlot, AckSlot, AckSlot];
    window.abandon(two);
    settle(three);
    settle(one);
    await microtasks();
    expect(writes).toEqual([[1]]);
  });

  test("refuses one more than may wait", () => {
    const { admit } = setUp(new ByteBudget(10_000), 1, 2);
    expect([admit(1), admit(2), admit(3), admit(4)]).toEqual([true, true, true, false]);
  });

  test("a window that closes gives its turn for memory to the next, and its bytes when they are free", async () => {
    const budget = new ByteBudget(10);
    const [first, second, third] = [setUp(budget, 9), setUp(budget, 9), setUp(budget, 9)];
    first.admit(1);
    second.admit(2);
    third.admit(3);
    second.window.close();
    first.window.close();
    expect(third.begun).toEqual([]);
    first.settle(first.begun[0] as AckSlot);
    await microtasks();
    expect(third.begun).toHaveLength(1);
    expect(first.writes).toEqual([]);
    expect(second.begun).toEqual([]);
  });

  test("ten thousand waiting windows are woken without a deep stack", async () => {
    const budget = new ByteBudget(10);
    const holder = setUp(budget, 1);
    holder.admit(1);
    const others = Array.from({ length: 10_000 }, () => setUp(budget, 1));
    for (const other of others) other.admit(1, 0);
    holder.settle(holder.begun[0] as AckSlot);
    await microtasks();
    expect(others.every(({ begun }) => begun.length === 1)).toBe(true);
  });

  test("idle resolves when all is acknowledged, and when the window closes", async () => {
    const { window, settle, begun, admit } = setUp(new ByteBudget(100), 1);
    await window.idle();
    admit(1);
    admit(2);
    const idle = window.idle();
    settle(begun[0] as AckSlot);
    await microtasks();
    settle(begun[1] as AckSlot);
    await idle;
    admit(3);
    const closed = window.idle();
    window.close();
    await closed;
  });
});
