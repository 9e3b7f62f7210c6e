import { Socket } from "node:net";
import { describe, expect, test } from "vitest";
import { Admission } from "../../gateway/admission.ts";
import { Door, type Entrance } from "../../gateway/door.ts";
import { gatewayLimits, type TokenBucketLimit } from "../../gateway/limits.ts";
import { Turns } from "../../gateway/turns.ts";
import { createMetrics } from "../../src/observe/index.ts";
import { manualClock } from "../support/manual-clock.ts";

const turn = () => new Promise((resolve) => setImmediate(resolve));
const turns = async (count: number) => {
  for (let done = 0; done < count; done += 1) await turn();
};

function setUp(connects: TokenBucketLimit, unauthenticatedMax = 100) {
  const clock = manualClock();
  const metrics = createMetrics();
  const limits = gatewayLimits({
    ...{ connects, unauthenticatedMax },
    ...{ loginWaitMs: 1_000, connectDeadlineMs: 2_000 },
  });
  const admission = new Admission({ limits, clock, pressure: () => 0 });
  const door = new Door({ limits, admission, clock, metrics });
  const admitted: { name: number; entrance: Entrance }[] = [];
  const away: number[] = [];
  const sockets: Socket[] = [];
  const come = (name: number): Socket => {
    const socket = new Socket();
    sockets.push(socket);
    door.enter(socket, {
      admit: (entrance) => admitted.push({ name, entrance }),
      turnAway: () => away.push(name),
    });
    return socket;
  };
  const names = () => admitted.map(({ name }) => name);
  return { door, clock, admission, metrics, come, admitted, names, away, sockets };
}

describe("the door", () => {
  test("lets in at the pace of the token bucket, the newest first", async () => {
    const { come, names, clock, away } = setUp({ burst: 2, ratePerS: 10 });
    for (let name = 0; name < 6; name += 1) come(name);
    expect(names()).toEqual([0, 1]);
    for (let passedMs = 0; passedMs < 450; passedMs += 10) {
      await clock.advance(10);
      await turn();
    }
    expect(names()).toEqual([0, 1, 5, 4, 3, 2]);
    expect(away).toEqual([]);
  });

  test("a few per turn of the event loop, however many tokens there are", async () => {
    const { come, names } = setUp({ burst: 90, ratePerS: 1 });
    for (let name = 0; name < 20; name += 1) come(name);
    expect(names().length).toBe(8);
    await turns(1);
    expect(names().length).toBe(16);
    await turns(2);
    expect(names().length).toBe(20);
  });

  test("the token of one who had hung up goes to somebody else", async () => {
    const { come, names, admitted, clock, metrics } = setUp({ burst: 1, ratePerS: 0.001 });
    for (const name of [0, 1, 2]) come(name);
    admitted[0]?.entrance.hungUp();
    await clock.advance(10);
    expect(names()).toEqual([0, 2]);
    expect(await metrics.render()).toContain('omega_gateway_turned_away_total{reason="gone"} 1');
  });

  test("who waited in vain is turned away and costs no token", async () => {
    const { come, names, clock, away, metrics } = setUp({ burst: 1, ratePerS: 0.001 });
    for (const name of [0, 1, 2]) come(name);
    await clock.advance(990);
    expect(away).toEqual([]);
    await clock.advance(10);
    await turn();
    expect([names(), away]).toEqual([[0], [1, 2]]);
    expect(await metrics.render()).toContain('omega_gateway_turned_away_total{reason="busy"} 2');
  });

  test("a crowd that nobody can serve leaves the line at once, and who comes then is let in", async () => {
    const { come, names, clock, away } = setUp({ burst: 1, ratePerS: 2 }, 1_000);
    for (let name = 0; name < 300; name += 1) come(name);
    await clock.advance(1_001);
    come(300);
    await clock.advance(500);
    await turns(12);
    expect(names().at(-1)).toBe(300);
    expect(away.length).toBe(301 - names().length);
    expect(names().length).toBeLessThan(5);
  });

  test("nobody waits once every CONNECT is refused: a refusal is an answer", async () => {
    const { come, names, admitted, admission } = setUp({ burst: 1, ratePerS: 0.001 });
    admission.close();
    for (const name of [0, 1]) come(name);
    expect(names()).toEqual([0, 1]);
    expect(admitted.map(({ entrance }) => entrance.due)).toEqual([false, false]);
  });

  test("THREATS 13: a socket in login is put out at its deadline, and one too many at once", async () => {
    const { come, clock, sockets } = setUp({ burst: 1, ratePerS: 0.001 }, 2);
    for (const name of [0, 1, 2]) come(name);
    expect(sockets.map(({ destroyed }) => destroyed)).toEqual([false, false, true]);
    await clock.advance(2_000);
    expect(sockets[0]?.destroyed).toBe(true);
  });

  test("closes those in line when it stops, and leaves no timer for them", async () => {
    const { door, come, sockets, clock, admitted } = setUp({ burst: 1, ratePerS: 0.001 });
    for (const name of [0, 1]) come(name);
    admitted[0]?.entrance.accepted();
    door.stop();
    expect(sockets.map(({ destroyed }) => destroyed)).toEqual([false, true]);
    expect(clock.pending).toBe(0);
  });
});

test("turns: work is done in order, so much per turn, and others get theirs between", async () => {
  const queue = new Turns(2);
  const done: string[] = [];
  for (const name of ["a", "b", "c", "d", "e"]) queue.add(() => done.push(name));
  expect(done).toEqual([]);
  const seen: string[] = [];
  for (let count = 0; count < 3; count += 1) {
    await turn();
    seen.push(done.join(""));
  }
  expect(seen).toEqual(["ab", "abcd", "abcde"]);
});
