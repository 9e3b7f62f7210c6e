import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Agenda } from "../../../src/fleet/load/agenda.ts";

describe("load agenda", () => {
  it("runs what is due in order of time, whatever the order it was told, and nothing early", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 50 })), fc.nat(60), (times, nowMs) => {
        const agenda = new Agenda();
        const ran: number[] = [];
        for (const time of times) agenda.at(time, (atMs) => ran.push(atMs));
        agenda.run(nowMs, Number.POSITIVE_INFINITY);
        expect(ran).toEqual(times.filter((time) => time <= nowMs).sort((a, b) => a - b));
        const left = times.length - ran.length;
        expect(agenda.run(100, Number.POSITIVE_INFINITY)).toBe(left);
      }),
    );
  });

  it("stops after so many, and an act may plan the next", () => {
    const agenda = new Agenda();
    const ran: number[] = [];
    const again = (atMs: number) => {
      ran.push(atMs);
      agenda.at(atMs + 10, again);
    };
    agenda.at(0, again);
    expect(agenda.run(1_000, 3)).toBe(3);
    expect(ran).toEqual([0, 10, 20]);
    expect(agenda.run(35, 3)).toBe(1);
  });
});
