import { expect, test } from "vitest";
import { perObject } from "../../src/core/index.ts";

test("perObject: made once for each object, whatever it looks like", () => {
  let made = 0;
  const numbered = perObject((_key: { name: string }) => {
    made += 1;
    return { number: made };
  });
  const [one, twin] = [{ name: "a" }, { name: "a" }];
  const first = numbered(one);
  expect([first.number, numbered(twin).number, numbered(one)]).toEqual([1, 2, first]);
  expect(made).toBe(2);
});
