import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { pattern, World } from "./world.ts";

/** One step of an unkind day. Numbers are taken modulo whatever there is to choose from. */
const common = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant("put" as const), id: fc.nat(4), variant: fc.nat(40) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("remove" as const), id: fc.nat(4) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("connect" as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("cut" as const), kept: fc.nat(4) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("up" as const) }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant("ack" as const) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("down" as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("late" as const), which: fc.nat(9) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("push" as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("release" as const),
      fill: fc.integer({ min: 1, max: 9000 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("timers" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("crash" as const), survivors: fc.nat(6) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("compact" as const) }) },
);
/** The server learns a codec model; the device loses those on its disk with the next crash. */
const learn = fc.record({ do: fc.constantFrom("learn" as const, "lose models" as const) });
const wipe = fc.record({ do: fc.constant("wipe" as const) });
const forget = fc.record({ do: fc.constant("forget" as const), id: fc.nat(4) });
type Step =
  | (typeof learn extends fc.Arbitrary<infer Value> ? Value : never)
  | (typeof common extends fc.Arbitrary<infer Value> ? Value : never)
  | (typeof wipe extends fc.Arbitrary<infer Value> ? Value : never)
  | (typeof forget extends fc.Arbitrary<infer Value> ? Value : never);

/** What the application said last of each pattern; null: removed. */
type Said = Map<string, number | null>;

function act(world: World, said: Said, action: Step): void {
  switch (action.do) {
    case "put": {
      const weight = 1 + action.variant;
      world.put({ upserts: [pattern(`p${action.id}`, action.variant / 10, weight)] });
      said.set(`p${action.id}`, weight);
      break;
    }
    case "remove":
      world.put({ upserts: [], removals: [`p${action.id}`] });
      said.set(`p${action.id}`, null);
      break;
    case "connect":
      world.connect();
      break;
    case "cut":
      world.disconnect(action.kept);
      break;
    case "up":
      world.deliverUp();
      break;
    case "ack":
      world.deliverAck();
      break;
    case "down":
      world.deliverDown();
      break;
    case "late":
      world.deliverDelayed(action.which);
      break;
    case "push":
      world.push();
      break;
    case "release":
      world.server.release(action.fill);
      world.push();
      break;
    case "timers":
      world.fireTimers();
      break;
    case "crash":
      world.crash(action.survivors);
      break;
    case "compact":
      world.compact();
      break;
    case "wipe":
      world.wipe();
      said.clear();
      break;
    case "learn":
      world.server.learn(world.server.models.size + 1);
      break;
    case "lose models":
      world.loseModels();
      break;
    case "forget":
      world.server.registers.delete(`p${action.id}`);
      break;
  }
}

/** P6: whatever is confirmed is, at any moment, exactly what the server holds. */
function expectBeliefs(world: World): void {
  for (const [id, believed] of world.session.believedRegisters()) {
    const register = world.server.registers.get(id);
    expect({ id, ...register }).toMatchObject({ id, ...believed });
  }
}

/** P3: in the end the server holds what the application said last, of every pattern. */
function expectArrived(world: World, said: Said): void {
  expect(world.session.pending).toBe(0);
  for (const [id, weight] of said) {
    const register = world.server.registers.get(id);
    if (weight === null) expect(register?.vector ?? null).toBeNull();
    else expect({ id, weight: register?.weight }).toEqual({ id, weight });
  }
}

/** P5: versions never fell, and in the end device and server hold the same. */
function expectReleases(world: World): void {
  const versions = world.notices.flatMap((notice) =>
    notice.kind === "release" ? [notice.held.release.version] : [],
  );
  expect(versions).toEqual([...versions].sort((left, right) => left - right));
  expect(world.session.phase).toBe("live");
  expect(world.session.held?.release.version).toBe(world.server.version);
  expect(world.session.held?.hash).toEqual(world.server.contentHash);
}

describe.each([0, 1] as const)(
  "session, codec %i: any interleaving of puts, cuts, crashes, losses and late frames",
  (codec) => {
    const step =
      codec === 0
        ? common
        : fc.oneof({ weight: 30, arbitrary: common }, { weight: 1, arbitrary: learn });

    it("P3, P5, P6: nothing unacknowledged is lost, resends are identical, beliefs are true", () => {
      fc.assert(
        fc.property(
          fc.integer(),
          fc.array(step, { minLength: 10, maxLength: 120 }),
          (seed, steps) => {
            const world = new World({ seed, codec, budgetBytes: 264 });
            const said: Said = new Map();
            for (const action of steps) {
              act(world, said, action);
              expectBeliefs(world);
            }
            world.heal();
            expectArrived(world, said);
            expectBeliefs(world);
            expectReleases(world);
            expect(world.server.altered).toBe(0);
            expect(world.server.problems).toEqual([]);
            const sent = [...world.server.seen.keys()].filter((name) =>
              name.startsWith(`${world.session.epoch}.`),
            );
            expect(world.server.applied?.seq ?? 0).toBe(sent.length); // no gap
          },
        ),
        { numRuns: 300 },
      );
    });

    it("P3, P5, P6: the same when the device loses its memory in between", () => {
      const steps = fc.array(
        fc.oneof({ weight: 12, arbitrary: step }, { weight: 1, arbitrary: wipe }),
        {
          minLength: 10,
          maxLength: 100,
        },
      );
      fc.assert(
        fc.property(fc.integer(), steps, (seed, actions) => {
          const world = new World({ seed, codec, budgetBytes: 264 });
          const said: Said = new Map();
          let floor = 0;
          for (const action of actions) {
            if (action.do === "wipe") floor = world.notices.length;
            act(world, said, action);
          }
          world.heal();
          expectArrived(world, said);
          expectBeliefs(world);
          world.notices.splice(0, floor);
          expectReleases(world);
          expect(world.server.altered).toBe(0);
        }),
        { numRuns: 200 },
      );
    });

    it("P3: in an outbox too small for it all, what does not arrive was reported as lost", () => {
      fc.assert(
        fc.property(
          fc.integer(),
          fc.array(step, { minLength: 20, maxLength: 120 }),
          (seed, steps) => {
            const world = new World({ seed, codec, budgetBytes: 264, outboxBytesMax: 400 });
            const said: Said = new Map();
            const saidAt = new Map<string, number>();
            for (const action of steps) {
              if (action.do === "put" || action.do === "remove") {
                saidAt.set(`p${action.id}`, world.notices.length);
              }
              act(world, said, action);
              expectBeliefs(world);
            }
            world.heal();
            for (const [id, at] of saidAt) {
              const lost = world.notices.slice(at).some((notice) => {
                return notice.kind === "lost" && notice.items.some((item) => item.id === id);
              });
              if (lost) said.delete(id);
            }
            expectArrived(world, said);
            expect(world.server.altered).toBe(0);
            expect(world.server.problems).toEqual([]);
          },
        ),
        { numRuns: 200 },
      );
    });

    it("P6: the same when the server loses registers: refusals heal it", () => {
      const steps = fc.array(
        fc.oneof({ weight: 12, arbitrary: step }, { weight: 1, arbitrary: forget }),
        {
          minLength: 10,
          maxLength: 100,
        },
      );
      fc.assert(
        fc.property(fc.integer(), steps, (seed, actions) => {
          const world = new World({ seed, codec, budgetBytes: 264 });
          const said: Said = new Map();
          for (const action of actions) act(world, said, action);
          world.heal();
          // Only what is spoken of again can be noticed as missing.
          for (let id = 0; id < 5; id += 1) act(world, said, { do: "put", id, variant: 10 + id });
          world.heal();
          expectArrived(world, said);
          expectBeliefs(world);
          expect(world.session.believedRegisters().size).toBe(5);
        }),
        { numRuns: 200 },
      );
    });
  },
);
