import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { Admission } from "../../gateway/admission.ts";
import { Door, type Entrance } from "../../gateway/door.ts";
import { readConnect } from "../../gateway/greeting.ts";
import { gatewayLimits, type TokenBucketLimit } from "../../gateway/limits.ts";
import { Turns } from "../../gateway/turns.ts";
import { createMetrics } from "../../src/observe/index.ts";
import { manualClock } from "../support/manual-clock.ts";
import { waitFor } from "../support/wait.ts";
import { connectBytes } from "./uplink/raw-client.ts";

const turn = () => new Promise((resolve) => setImmediate(resolve));
const turns = async (count: number) => {
  for (let done = 0; done < count; done += 1) await turn();
};

const LOOPBACK = "127.0.0.1";
const servers: Server[] = [];
const clients: Socket[] = [];

afterEach(() => {
  for (const client of clients.splice(0)) client.destroy();
  for (const server of servers.splice(0)) server.close();
});

/** A door behind a real listener, with a clock set by hand. */
async function setUp(
  connects: TokenBucketLimit,
  other: { unauthenticatedMax?: number; admission?: Pick<Admission, "turn"> } = {},
) {
  const { unauthenticatedMax = 1_000 } = other;
  const clock = manualClock();
  const metrics = createMetrics();
  const limits = gatewayLimits({
    ...{ connects, unauthenticatedMax },
    ...{ loginWaitMs: 1_000, connectDeadlineMs: 2_000 },
  });
  const admission = new Admission({ limits, clock, pressure: () => 0 });
  const door = new Door({ limits, admission: other.admission ?? admission, clock, metrics });
  const admitted: { name: number; entrance: Entrance; said: Buffer }[] = [];
  const away: number[] = [];
  const sockets: Socket[] = [];
  const options = { pauseOnConnect: true, allowHalfOpen: true };
  const server = createServer(options, (socket) => {
    const name = sockets.push(socket) - 1;
    door.enter(socket, {
      greeting: readConnect,
      admit: (entrance, said) => admitted.push({ name, entrance, said }),
      turnAway: () => away.push(name),
    });
  });
  servers.push(server);
  server.listen(0, LOOPBACK);
  await once(server, "listening");
  const port = (server.address() as { port: number }).port;
  /** Comes, says `said` and is heard. */
  const come = async (said: Uint8Array = HELLO): Promise<Socket> => {
    const client = connect({ port, host: LOOPBACK, allowHalfOpen: true });
    clients.push(client);
    client.on("error", () => {}).resume();
    const name = sockets.length;
    await waitFor(() => sockets.length > name);
    const socket = sockets[name];
    if (said.length > 0) client.write(said);
    await waitFor(() => socket?.destroyed || socket?.bytesRead === said.length);
    await turns(4);
    return client;
  };
  const names = () => admitted.map(({ name }) => name);
  const turnedAway = async (reason: string): Promise<number> => {
    const line = `omega_gateway_turned_away_total{reason="${reason}"} `;
    const found = (await metrics.render()).split("\n").find((each) => each.startsWith(line));
    return Number(found?.slice(line.length) ?? 0);
  };
  return { door, clock, admission, turnedAway, come, admitted, names, away, sockets };
}

const HELLO = connectBytes();
const NOTHING = Buffer.alloc(0);
const ONE: TokenBucketLimit = { burst: 1, ratePerS: 0.001 };

describe("the door", () => {
  test("lets in at the pace of the token bucket, in the order they came", async () => {
    const { come, names, clock, away, admitted } = await setUp({ burst: 2, ratePerS: 10 });
    for (let name = 0; name < 6; name += 1) await come();
    expect(names()).toEqual([0, 1]);
    for (const expected of [2, 3, 4, 5]) {
      await clock.advance(50);
      await turns(2);
      expect(names().length).toBe(expected);
      await clock.advance(50);
    }
    await clock.advance(20);
    await turns(2);
    expect(names()).toEqual([0, 1, 2, 3, 4, 5]);
    expect(admitted.every(({ said }) => HELLO.equals(said))).toBe(true);
    expect(away).toEqual([]);
  });

  test("one per turn of the event loop, however many tokens there are", async () => {
    let turn: "wait" | "due" = "wait";
    const { come, names, clock } = await setUp(ONE, { admission: { turn: () => turn } });
    for (let name = 0; name < 14; name += 1) await come();
    expect(names()).toEqual([]);
    turn = "due";
    const perTurn: number[] = [];
    const advanced = clock.advance(10);
    while (names().length < 14) {
      const before = names().length;
      await turns(1);
      perTurn.push(names().length - before);
    }
    await advanced;
    expect(Math.max(...perTurn)).toBe(1);
  });

  test("the token of one who hung up in line goes to somebody else", async () => {
    const { come, names, clock, turnedAway } = await setUp({ burst: 1, ratePerS: 2 });
    await come();
    const gone = await come();
    await come();
    gone.end();
    await waitFor(async () => (await turnedAway("gone")) === 1);
    await clock.advance(510);
    await turns(2);
    expect(names()).toEqual([0, 2]);
  });

  test("one that left before it could be let in costs no token, however many there are", async () => {
    const { come, names, turnedAway } = await setUp({ burst: 90, ratePerS: 1 });
    (await come(NOTHING)).end(HELLO);
    await waitFor(async () => (await turnedAway("gone")) === 1);
    expect(names()).toEqual([]);
  });

  test("whoever said more than the greeting is heard out after its end", async () => {
    const { come, names, clock, admitted, sockets } = await setUp({ burst: 1, ratePerS: 2 });
    await come();
    const said = Buffer.concat([HELLO, Buffer.of(0xc0, 0)]);
    (await come(said)).end();
    await waitFor(() => sockets[1]?.readableEnded);
    await clock.advance(510);
    await turns(2);
    expect(names()).toEqual([0, 1]);
    expect(admitted[1]?.said.equals(said)).toBe(true);
  });

  test("who waited in vain is turned away and costs no token", async () => {
    const { come, names, clock, away, turnedAway } = await setUp(ONE);
    for (const _ of [0, 1, 2]) await come();
    await clock.advance(990);
    expect(away).toEqual([]);
    await clock.advance(20);
    await turns(2);
    expect([names(), away]).toEqual([[0], [1, 2]]);
    expect(await turnedAway("busy")).toBe(2);
  });

  test("THREATS 13: silence and half a greeting cost no token, and leave at the deadline", async () => {
    const { come, names, clock, sockets, turnedAway } = await setUp({ burst: 3, ratePerS: 1 });
    for (const said of [NOTHING, HELLO.subarray(0, 1), HELLO.subarray(0, 9)]) await come(said);
    await come();
    expect(names()).toEqual([3]);
    await clock.advance(1_990);
    expect(sockets.map(({ destroyed }) => destroyed)).toEqual([false, false, false, false]);
    await clock.advance(20);
    expect(sockets.map(({ destroyed }) => destroyed)).toEqual([true, true, true, true]);
    expect(await turnedAway("deadline")).toBe(4);
  });

  test("what is no greeting is passed on at once, to be refused, and costs no token", async () => {
    const { come, admitted } = await setUp(ONE);
    await come();
    await come();
    await come(Buffer.from("GET / HTTP/1.1"));
    expect(admitted.map(({ name, entrance }) => [name, entrance.due])).toEqual([
      [0, true],
      [2, false],
    ]);
  });

  test("P8: who says more than some kilobytes in line is put out", async () => {
    const { come, names, sockets, turnedAway } = await setUp(ONE);
    await come();
    await come(Buffer.concat([HELLO, Buffer.alloc(8_000)]));
    await come(Buffer.concat([HELLO, Buffer.alloc(9_000)]));
    expect(sockets.map(({ destroyed }) => destroyed)).toEqual([false, false, true]);
    expect(names()).toEqual([0]);
    expect(await turnedAway("early")).toBe(1);
  });

  test("nobody waits once every CONNECT is refused: a refusal is an answer", async () => {
    const { come, names, admitted, admission } = await setUp(ONE);
    admission.close();
    for (const _ of [0, 1]) await come();
    expect(names()).toEqual([0, 1]);
    expect(admitted.map(({ entrance }) => entrance.due)).toEqual([false, false]);
  });

  test("THREATS 13: a socket in login is put out at its deadline, and one too many at once", async () => {
    const { come, clock, sockets, turnedAway } = await setUp(ONE, { unauthenticatedMax: 2 });
    for (const said of [HELLO, NOTHING]) await come(said);
    await come();
    expect(sockets.map(({ destroyed }) => destroyed)).toEqual([false, false, true]);
    expect(await turnedAway("crowded")).toBe(1);
    await clock.advance(2_010);
    expect(sockets.map(({ destroyed }) => destroyed)).toEqual([true, true, true]);
  });

  test("closes those in line when it stops, and leaves no timer for them", async () => {
    const { door, come, sockets, clock, admitted } = await setUp(ONE);
    for (const said of [HELLO, HELLO, NOTHING]) await come(said);
    admitted[0]?.entrance.accepted();
    door.stop();
    expect(sockets.map(({ destroyed }) => destroyed)).toEqual([false, true, true]);
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
