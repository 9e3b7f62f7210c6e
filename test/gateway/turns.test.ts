import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "vitest";
import { Turns } from "../../gateway/turns.ts";

/** What a turn of the event loop did, for each until nothing is left of `count`. */
async function turnsOf(turns: Turns, count: number): Promise<number[][]> {
  const done: number[] = [];
  const seen: number[][] = [];
  for (let number = 0; number < count; number += 1) turns.add(() => done.push(number));
  while (seen.flat().length < count) {
    await turn();
    seen.push(done.splice(0));
  }
  return seen;
}

test("what waits is done in its order, so much a turn", async () => {
  const seen = await turnsOf(new Turns(3), 11);
  const some = seen.filter((turn) => turn.length > 0);
  expect(some).toEqual([
    [0, 1, 2],
    [3, 4, 5],
    [6, 7, 8],
    [9, 10],
  ]);
});

test("what is added while others wait comes after them, however long that goes on", async () => {
  const turns = new Turns(2);
  const order: number[] = [];
  let next = 0;
  const add = () => {
    const number = next;
    next += 1;
    turns.add(() => {
      order.push(number);
      if (next < 100) add();
    });
  };
  for (let at = 0; at < 5; at += 1) add();
  while (order.length < 100) await turn();
  expect(order).toEqual(Array.from({ length: 100 }, (_, at) => at));
});
