import { afterEach, describe, expect, test } from "vitest";
import { Buckets } from "../../../gateway/buckets.ts";
import { Pace } from "../../../gateway/pace.ts";
import { manualClock } from "../../support/manual-clock.ts";
import { startBroker } from "./broker-fixture.ts";
import { metricOf, startGateway, stopGateways } from "./fixture.ts";
import {
  connectBytes,
  openRaw,
  openSession,
  PINGREQ,
  publishBytes,
  upTopic,
} from "./raw-client.ts";

afterEach(stopGateways);

const DELTAS = { ratePerS: 10, burst: 20 };

function paced() {
  const clock = manualClock();
  const said: string[] = [];
  const pace = new Pace({
    limit: DELTAS,
    clock,
    reader: { pause: () => said.push("pause"), resume: () => said.push("resume") },
    onRest: () => said.push("rest"),
  });
  const take = (count: number) => {
    for (let index = 0; index < count; index += 1) pace.took();
  };
  return { clock, said, pace, take };
}

describe("the rate of one device (THREATS 16)", () => {
  test("within its burst and its rate it is never held", async () => {
    const { clock, said, take } = paced();
    take(20);
    for (let second = 0; second < 10; second += 1) {
      await clock.advance(1_000);
      take(10);
    }
    expect(said).toEqual([]);
  });

  test("beyond them it is not read until what it took on credit is paid back", async () => {
    const { clock, said, take } = paced();
    take(50);
    expect(said).toEqual(["pause", "rest"]);
    await clock.advance(2_900);
    expect(said).toEqual(["pause", "rest"]);
    await clock.advance(200);
    expect(said).toEqual(["pause", "rest", "resume"]);
  });

  test("a full window keeps it held though it has rested, and the other way round", async () => {
    const { clock, said, pace, take } = paced();
    take(21);
    pace.pause();
    await clock.advance(5_000);
    expect(said).toEqual(["pause", "rest", "pause"]);
    pace.resume();
    expect(said.at(-1)).toBe("resume");
    pace.pause();
    take(60);
    pace.resume();
    expect(said.at(-1)).toBe("rest");
    await clock.advance(10_000);
    expect(said.at(-1)).toBe("resume");
  });

  test("no timer is left when the connection is gone", () => {
    const { clock, pace, take } = paced();
    take(21);
    expect(clock.pending).toBe(1);
    pace.close();
    expect(clock.pending).toBe(0);
  });

  test("a flood is slowed, acknowledged whole and in order, and others are served meanwhile", async () => {
    const clock = manualClock();
    const fixture = await startBroker({ clock, limits: { deltasPerDevice: DELTAS } });
    const login = async (clientId: string) => {
      const { client } = fixture.open();
      client.send(connectBytes({ clientId }));
      await client.connack();
      return client;
    };
    const flooder = await login("tv1");
    const other = await login("tv2");
    const ids = Array.from({ length: 1_000 }, (_, index) => index + 1);
    flooder.send(Buffer.concat(ids.map((id) => publishBytes(id))));
    other.send(publishBytes(7, { topic: upTopic("tv2") }));
    for (let turn = 0; turn < 50; turn += 1) await new Promise(setImmediate);
    await clock.advance(50); // Batches leave by time.
    await other.next("puback");
    other.send(PINGREQ);
    await other.next("pingresp");
    // The burst, and at most two turns of packets on credit.
    expect(flooder.count("puback")).toBeGreaterThanOrEqual(DELTAS.burst);
    expect(flooder.count("puback")).toBeLessThanOrEqual(DELTAS.burst + 128);
    expect(flooder.isClosed).toBe(false);
    while (flooder.count("puback") < 1_000) await clock.advance(5_000);
    expect(flooder.pubacks()).toEqual(ids);
    expect(await metricOf(fixture.metrics, "omega_gateway_paced_total")).toBeGreaterThan(5);
    await fixture.stop();
  });
});

describe("connecting again and again", () => {
  const connectsPerDevice = { ratePerS: 0.001, burst: 3 };

  async function answer(port: number, clientId: string, username?: string): Promise<number> {
    const client = await openRaw(port);
    client.send(connectBytes({ clientId, ...(username === undefined ? {} : { username }) }));
    const code = await client.connack();
    client.end();
    await client.closed;
    return code;
  }

  test("a device that flaps is answered 3 early, and no other device is", async () => {
    const { port, metrics } = await startGateway({ limits: { connectsPerDevice } });
    const answers: number[] = [];
    for (let round = 0; round < 5; round += 1) answers.push(await answer(port, "tv1"));
    expect(answers).toEqual([0, 0, 0, 3, 3]);
    expect(await answer(port, "tv2")).toBe(0);
    expect(await answer(port, "tv1", "acme/tv1")).toBe(0);
    const flapping = 'omega_gateway_connects_total{reason="connect.flapping"}';
    expect(await metricOf(metrics, flapping)).toBe(2);
  });

  test("two that take one id from each other come to rest, with one of them connected", async () => {
    const { port, gateway } = await startGateway({ limits: { connectsPerDevice } });
    let live = await openSession(port);
    for (let round = 0; round < 2; round += 1) {
      const next = await openSession(port);
      await live.closed;
      live = next;
    }
    expect(await answer(port, "tv1")).toBe(3);
    live.send(PINGREQ);
    await live.next("pingresp");
    expect(gateway.sessionCount).toBe(1);
    live.end();
  });

  test("who cannot log in as a device cannot use up its logins", async () => {
    const auth = { mode: "password", secret: "a secret of thirty-two bytes and more" } as const;
    const { port } = await startGateway({ auth, limits: { connectsPerDevice } });
    for (let round = 0; round < 6; round += 1) {
      expect(await answer(port, "tv1", "default/tv1")).toBe(4);
    }
  });

  test("an address that connects faster than it may is closed unheard", async () => {
    const connectionsPerAddress = { ratePerS: 0.001, burst: 2 };
    const { port, metrics } = await startGateway({ limits: { connectionsPerAddress } });
    expect(await answer(port, "tv1")).toBe(0);
    expect(await answer(port, "tv2")).toBe(0);
    const third = await openRaw(port);
    await third.closed;
    expect(third.heard).toEqual([]);
    const turnedAway = 'omega_gateway_turned_away_total{reason="address"}';
    expect(await metricOf(metrics, turnedAway)).toBe(1);
  });

  test("P8: names are remembered in bounded number, those of longest ago forgotten first", () => {
    const clock = manualClock();
    const buckets = new Buckets({ ratePerS: 0.001, burst: 1 }, clock, 100);
    expect(buckets.take("first")).toBe(true);
    expect(buckets.has("first")).toBe(false);
    for (let index = 0; index < 99; index += 1) buckets.take(`tv${index}`);
    expect(buckets.has("first")).toBe(false);
    buckets.take("one too many");
    expect(buckets.has("first")).toBe(true);
    expect(buckets.has("tv0")).toBe(false);
  });
});
