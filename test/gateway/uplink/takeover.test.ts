import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Authenticator, AuthVerdict } from "../../../gateway/auth-verdict.ts";
import { sessionFaults } from "../../../src/fleet/oracle/versions.ts";
import { waitFor } from "../../support/wait.ts";
import { startBroker } from "./broker-fixture.ts";
import { connectBytes, PINGREQ, publishBytes, type RawClient } from "./raw-client.ts";

/** Logins whose every wait, for the authenticator and for the persistence, ends when the test says so. */
function slowLogins() {
  const waiting: (() => void)[] = [];
  const persistenceDelay = () =>
    new Promise<void>((resolve) => {
      waiting.push(resolve);
    });
  const authenticator: Authenticator = {
    mode: "none",
    authenticate: async (): Promise<AuthVerdict> => {
      await persistenceDelay();
      return { ok: true, expiresAtMs: null };
    },
  };
  return { authenticator, persistenceDelay, waiting };
}

describe("THREATS 11: one live session per device", () => {
  test("a second valid login closes the first [MQTT-3.1.4-2]", async () => {
    const fixture = await startBroker();
    const first = fixture.open().client;
    first.send(connectBytes());
    expect(await first.connack()).toBe(0);
    const second = fixture.open().client;
    second.send(connectBytes());
    expect(await second.connack()).toBe(0);
    await first.closed;
    second.send(PINGREQ);
    await second.next("pingresp");
    expect(fixture.broker.sessionCount).toBe(1);
    await waitFor(() => fixture.gone.length === 1);
    expect(fixture.ready.map((client) => client.name)).toEqual(["default/tv1", "default/tv1"]);
    await fixture.stop();
  });

  test("devices of one name in two tenants do not meet", async () => {
    const fixture = await startBroker();
    const clients = ["a/tv1", "b/tv1"].map((username) => {
      const { client } = fixture.open();
      client.send(connectBytes({ username }));
      return client;
    });
    for (const client of clients) expect(await client.connack()).toBe(0);
    for (const client of clients) {
      client.send(PINGREQ);
      await client.next("pingresp");
    }
    expect(fixture.broker.sessionNames().sort()).toEqual(["a/tv1", "b/tv1"]);
    await fixture.stop();
  });

  test("deltas of a session that was taken over are stored, and not acknowledged to it", async () => {
    const fixture = await startBroker();
    fixture.producer.hold();
    const first = fixture.open().client;
    first.send(connectBytes());
    await first.connack();
    first.send(publishBytes(1));
    await fixture.producer.holding(1);
    const second = fixture.open().client;
    second.send(connectBytes());
    await second.connack();
    await first.closed;
    fixture.producer.releaseAll();
    second.send(PINGREQ);
    await second.next("pingresp");
    expect(first.pubacks()).toEqual([]);
    expect(second.pubacks()).toEqual([]);
    expect(fixture.producer.added).toHaveLength(1);
    await fixture.stop();
  });

  test("whatever the interleaving of logins and aborts, at most one session lives and the count is exact", async () => {
    type Step = { readonly act: "login" | "abort" | "answer"; readonly which: number };
    const step: fc.Arbitrary<Step> = fc.record({
      act: fc.constantFrom("login", "abort", "answer"),
      which: fc.nat(7),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 2, maxLength: 20 }), async (steps) => {
        const { authenticator, persistenceDelay, waiting } = slowLogins();
        const fixture = await startBroker({ authenticator, persistenceDelay });
        const clients: RawClient[] = [];
        for (const { act, which } of steps) {
          if (act === "login") {
            const { client } = fixture.open();
            client.send(connectBytes({ clean: which % 2 === 0 }));
            clients.push(client);
          } else if (act === "abort") {
            clients[which % Math.max(1, clients.length)]?.end();
          } else {
            waiting.splice(which % Math.max(1, waiting.length), 1)[0]?.();
          }
          // Between none and a few turns, so that steps meet in every phase of a login.
          for (let turn = 0; turn < which; turn += 1) await new Promise(setImmediate);
        }
        await settled(() => {
          for (const answer of waiting.splice(0)) answer();
        });
        const alive = clients.filter((client) => !client.isClosed);
        const accepted = alive.filter((client) => client.count("connack") === 1);
        expect(accepted).toHaveLength(alive.length);
        expect(alive.length).toBeLessThanOrEqual(1);
        expect(fixture.broker.sessionCount).toBe(alive.length);
        expect(fixture.ready.length - fixture.gone.length).toBe(alive.length);
        expect(sessionFaults(fixture.history)).toEqual([]);
        const opened = fixture.history.filter((event) => event.kind === "session" && event.open);
        expect(opened).toHaveLength(fixture.ready.length);
        expect(fixture.history.length - opened.length).toBe(fixture.gone.length);
        await fixture.stop();
      }),
      { numRuns: 150 },
    );
  }, 30_000);
});

/** Lets everything under way end: in-memory streams need turns of the loop, no time. */
async function settled(each: () => void): Promise<void> {
  for (let turn = 0; turn < 40; turn += 1) {
    each();
    await new Promise(setImmediate);
  }
}
