import { expect, test } from "vitest";
import { endOfTurn } from "../../gateway/turn.ts";

test("what is put off runs in order, after the turn and before the next", async () => {
  const later = endOfTurn();
  const seen: number[] = [];
  later(() => {
    seen.push(1);
    later(() => seen.push(3));
  });
  later(() => seen.push(2));
  expect(seen).toEqual([]);
  await new Promise(setImmediate);
  expect(seen).toEqual([1, 2, 3]);
});
