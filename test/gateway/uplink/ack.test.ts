import { afterEach, describe, expect, test } from "vitest";
import { startGateway, stopGateways } from "./fixture.ts";
import { openSession, PINGREQ, publishBytes } from "./raw-client.ts";

afterEach(stopGateways);

describe("the acknowledgement seam", () => {
  test("P1: no PUBACK leaves before the add of its delta has resolved", async () => {
    const { port, producer } = await startGateway();
    producer.hold();
    const client = await openSession(port);
    client.send(publishBytes(1));
    await producer.holding(1);
    // A whole round trip through the same socket: a PUBACK that did not wait would precede it.
    client.send(PINGREQ);
    await client.next("pingresp");
    expect(client.pubacks()).toEqual([]);
    producer.releaseAll();
    await client.next("puback");
    expect(client.pubacks()).toEqual([1]);
    expect(producer.added.map((entry) => entry.key)).toEqual([{ tenant: "default", device: "tv1" }]);
  });
});
