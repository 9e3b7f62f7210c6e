import * as fc from "fast-check";
import { expect, test } from "vitest";
import { Line, Place } from "../../gateway/line.ts";

class Numbered extends Place {
  readonly number: number;

  constructor(number: number) {
    super();
    this.number = number;
  }
}

test("keeps its order, whoever leaves it from wherever", () => {
  const step = fc.oneof(
    fc.constant("add" as const),
    fc.constant("serve" as const),
    fc.nat({ max: 20 }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const [line, other] = [new Line<Numbered>(), new Line<Numbered>()];
      const all: Numbered[] = [];
      let model: Numbered[] = [];
      for (const act of steps) {
        if (act === "add") {
          const one = new Numbered(all.length);
          all.push(one);
          line.add(one);
          model.push(one);
        } else {
          const leaving = act === "serve" ? line.first : all[act];
          if (leaving) line.remove(leaving);
          if (leaving) other.remove(leaving);
          model = model.filter((one) => one !== leaving);
        }
        expect(line.first).toBe(model[0] ?? null);
        expect(line.size).toBe(model.length);
        expect(all.filter((one) => line.has(one))).toEqual(model);
      }
      const served: Numbered[] = [];
      for (let one = line.first; one !== null; one = line.first) {
        served.push(one);
        line.remove(one);
        other.add(one);
      }
      expect(served).toEqual(model);
      expect([line.size, other.size]).toEqual([0, model.length]);
    }),
  );
});
