/**
 * Devices behind a Mosquitto, our processes as members of its shared subscription (docs/broker.md).
 *
 * Under `npm run soak` the kills last a minute, with one every five seconds.
 */
import { connect, createServer, type Socket } from "node:net";
import mqttPacket from "mqtt-packet";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { ensureBuilt } from "../../scripts/prepare.mjs";
import { sleep, systemClock } from "../../src/core/index.ts";
import { startMosquitto } from "../support/mosquitto-server.ts";
import { soak } from "../support/soak.ts";
import { waitFor } from "../support/wait.ts";
import { totalsOf, versionFaults } from "./at-rest.ts";
import { openBench } from "./bench.ts";
import {
  ask,
  brokerFaultsAtRest,
  fleetBehind,
  type Member,
  memberOf,
  openBrokerScene,
} from "./broker-scene.ts";
import { newSeed, Opened } from "./scene.ts";

const KILL_S = soak(60, 9);
const KILL_EVERY_MS = soak(5_000, 1_500);
const MEMBERS = 3;

beforeAll(() => ensureBuilt(), 300_000);
const opened = new Opened();
afterEach(() => opened.close(), 120_000);

describe("behind another broker", () => {
  it(
    `P1 P2 P4 P5 P6: of ${MEMBERS} ingest processes one is killed again and again, and nothing acknowledged is lost or applied twice`,
    async () => {
      const seed = newSeed();
      const scene = await openBrokerScene(opened);
      const members: Member[] = [];
      for (let number = 1; number <= MEMBERS; number += 1) {
        // Deltas wait so long in a batch that every kill finds some that are taken and not durable.
        members.push(await memberOf(scene, opened, number, ["gateway.batch.lingerMs=150"]));
      }
      await Promise.all(members.map(({ process }) => process.start()));
      // Slow enough for a device to stay within the dedup window while a member is away.
      const fleet = fleetBehind(scene, 48, 400, seed);
      opened.add(() => fleet.stop());
      await fleet.start();

      const kills = Math.floor((KILL_S * 1_000) / KILL_EVERY_MS);
      const restarts = new Map<Member, Promise<void>>();
      for (let kill = 0; kill < kills; kill += 1) {
        await sleep(systemClock, KILL_EVERY_MS);
        const victim = members[kill % MEMBERS];
        if (victim === undefined) continue;
        await restarts.get(victim);
        await victim.process.kill9();
        restarts.set(victim, victim.process.start());
      }
      await Promise.all(restarts.values());
      const faults = await brokerFaultsAtRest(scene, fleet);

      const { applied, duplicates } = await totalsOf(scene.store);
      console.log(
        `${kills} kills of ${MEMBERS} members: seed ${seed}, ${fleet.acked()} acked, ${applied} applied once, ${duplicates} duplicates dropped`,
      );
      expect(faults, `seed ${seed}`).toEqual([]);
      expect(fleet.acked(), "deltas were acknowledged").toBeGreaterThan(100);
    },
    (KILL_S + 120) * 1_000,
  );

  it("P1: while Redis is frozen the broker gets no PUBACK, and afterwards nothing is missing", async () => {
    const scene = await openBrokerScene(opened);
    const tap = await openTap(scene.mosquitto.port);
    opened.add(() => tap.close());
    const more = ["gateway.limits.addTimeoutMs=500"];
    const member = await memberOf(scene, opened, 1, more, `mqtt://127.0.0.1:${tap.port}`);
    await member.process.start();
    const fleet = fleetBehind(scene, 4, 40, newSeed());
    opened.add(() => fleet.stop());
    await fleet.start();
    await waitFor(() => tap.pubacks() > 20, { what: "PUBACKs while Redis is well" });

    process.kill(scene.redis.pid(), "SIGSTOP");
    try {
      // What Redis had answered before is still acknowledged; from then on nothing is durable.
      for (let before = -1; before !== tap.pubacks(); ) {
        before = tap.pubacks();
        await sleep(systemClock, 300);
      }
      const [pubacks, connections] = [tap.pubacks(), tap.connections()];
      await fleet.next("acked", 30);
      await waitFor(() => tap.connections() > connections, {
        what: "the connection cut after an add with an unknown outcome, and opened again",
      });
      expect(tap.pubacks()).toBe(pubacks);
      expect((await ask(member, "/readyz")).text).toContain("queue.unreachable");
    } finally {
      process.kill(scene.redis.pid(), "SIGCONT");
    }
    expect(await brokerFaultsAtRest(scene, fleet)).toEqual([]);
  }, 120_000);

  it("P5: devices hold the newest release through the broker, while one member is restarted and one leaves for good", async () => {
    const scene = await openBrokerScene(opened);
    const first = await memberOf(scene, opened, 1);
    const second = await memberOf(
      scene,
      opened,
      2,
      ["gateway.broker.leave=true", `gateway.broker.caFile=${scene.mosquitto.caFile}`],
      scene.mosquitto.tlsUrl,
    );
    await Promise.all([first.process.start(), second.process.start()]);
    expect(await ask(first, "/readyz")).toMatchObject({ status: 200 });
    const fleet = fleetBehind(scene, 6, 60, newSeed());
    opened.add(() => fleet.stop());
    await fleet.start();
    await fleet.next("acked", 60);
    // Every one of them comes to hold a release while others are made.
    await waitFor(() => fleet.devices.every(({ client }) => client.version > 1), {
      what: "a second release on every device",
    });
    const { text } = await ask(second, "/metrics");
    expect(text).toContain("omega_gateway_broker_connected 1");

    expect(await first.process.stop(), "SIGTERM drains").toBe(0);
    await first.process.start();
    await fleet.next("acked", 30);
    expect(await second.process.stop(), "SIGTERM with leave").toBe(0);
    await fleet.next("acked", 30);
    expect(await brokerFaultsAtRest(scene, fleet)).toEqual([]);

    // A device without memory comes late: what the broker retained makes it pull.
    const late = fleetBehind(scene, 7, 60, newSeed()).devices.at(-1);
    expect(late).toBeDefined();
    if (late === undefined) return;
    opened.add(() => late.client.stop());
    await late.client.start();
    const hash = fleet.devices[0]?.client.contentHash;
    await waitFor(() => Buffer.from(late.client.contentHash ?? []).equals(hash ?? Buffer.of(1)), {
      what: "the late device to hold the newest release",
    });
    expect(await versionFaults(scene.store, fleet)).toEqual([]);
  }, 120_000);

  it("config: a broker that is not there, refuses the credentials or is no MQTT URL ends the process with words and an exit code", async () => {
    const bench = await openBench({ redis: true });
    opened.add(() => bench.close());
    const server = await startMosquitto({ user: { name: "omega", password: "right-and-long" } });
    opened.add(() => server.stop());
    const start = (url: string) =>
      bench.omega([
        ...["gateway", "--redis", bench.redis.url, "--broker", url, "--http-port", "0"],
        ...["--set", "gateway.broker.clientId=ingest-1", "--set", "log.level=info"],
      ]);
    const gone = await start("mqtt://127.0.0.1:9");
    expect([gone.code, gone.stderr]).toEqual([69, expect.stringContaining("broker.unreachable")]);

    const wrong = await start(`mqtt://omega:wrong-secret@127.0.0.1:${server.port}`);
    expect(wrong.code).toBe(69);
    expect(wrong.stderr).toContain("check gateway.broker.username and passwordFile");
    expect(wrong.stdout + wrong.stderr).not.toContain("wrong-secret");

    const scheme = await start("http://omega:wrong-secret@127.0.0.1");
    expect(scheme.code).toBe(78);
    expect(scheme.stderr).toContain("gateway.broker.url: must start with mqtt:// or mqtts://");
    expect(scheme.stdout + scheme.stderr).not.toContain("wrong-secret");
  }, 60_000);
});

/** A TCP relay to the broker that counts what a member acknowledges. */
async function openTap(brokerPort: number) {
  let pubacks = 0;
  let connections = 0;
  const sockets = new Set<Socket>();
  const server = createServer((inner) => {
    connections += 1;
    const outer = connect(brokerPort, "127.0.0.1");
    const parser = mqttPacket.parser({ protocolVersion: 5 });
    parser.on("packet", ({ cmd }) => {
      if (cmd === "puback") pubacks += 1;
    });
    inner.on("data", (chunk: Buffer) => parser.parse(chunk));
    for (const [socket, other] of [
      [inner, outer],
      [outer, inner],
    ] as const) {
      sockets.add(socket);
      socket.pipe(other);
      socket.on("error", () => other.destroy());
      socket.on("close", () => other.destroy());
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    pubacks: () => pubacks,
    connections: () => connections,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
