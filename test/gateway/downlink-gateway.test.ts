/**
 * The downlink inside the real gateway: the same promises with the guard, the
 * ACL, the takeover and the ack seam of the uplink around it.
 */
import { afterEach, expect, test } from "vitest";
import { Gateway } from "../../gateway/index.ts";
import { createMetrics } from "../../src/observe/index.ts";
import { waitFor } from "../support/wait.ts";
import {
  type ConnectOptions,
  headerOf,
  ladderOf,
  problemAt,
  RawDevice,
  releaseIn,
  releaseOf,
  SourceDouble,
  TENANT,
} from "./downlink-world.ts";

let gateway: Gateway;
let devices: RawDevice[] = [];
afterEach(async () => {
  for (const device of devices) device.drop();
  devices = [];
  await gateway.stop();
});

async function start(limits: { ackMsMax?: number } = {}) {
  const source = new SourceDouble();
  const metrics = createMetrics();
  gateway = new Gateway({
    listeners: { tcp: { host: "127.0.0.1", port: 0 } },
    auth: { mode: "none" },
    shards: 1,
    producer: { add: () => Promise.resolve() },
    source,
    metrics,
    downlinkLimits: { jitterMsMax: 0, ...limits },
  });
  await gateway.start();
  const device = async (id: string, options: ConnectOptions = {}) => {
    const { port } = gateway.addresses.tcp ?? { port: 0 };
    const connected = await RawDevice.connect(port, id, options);
    devices.push(connected);
    return connected;
  };
  return { source, metrics, device };
}

test("a device gets its retained release, its refusals first, and the next release", async () => {
  const { source, device } = await start();
  source.release(ladderOf(3));
  source.setView("tv", { problems: [problemAt(1)], applied: { epoch: 1, seq: 1 } });
  const tv = await device("tv");
  expect(await tv.subscribe(tv.topic("err"), tv.topic("down"), "#")).toEqual([1, 1, 128]);
  expect((await tv.nextPublish()).topic).toBe(tv.topic("err"));
  const first = await tv.nextDown();
  expect(first).toMatchObject({ retain: true, qos: 1 });
  expect(releaseIn(first)).toEqual(releaseOf(3));
  source.release(ladderOf(4));
  const second = await tv.nextDown();
  expect(headerOf(second)).toMatchObject({ kind: "release-delta", base: 3, version: 4 });
});

test("a pull is answered with a snapshot", async () => {
  const { source, device } = await start();
  source.release(ladderOf(3));
  source.setView("tv", { base: 3 });
  const tv = await device("tv");
  await tv.subscribe(tv.topic("down"));
  expect(headerOf(await tv.nextDown()).kind).toBe("release-delta");
  await tv.pull(0);
  expect(releaseIn(await tv.nextDown())).toEqual(releaseOf(3));
});

test("clean=0: what was not acknowledged comes again, also after a takeover", async () => {
  const { source, device } = await start();
  source.release(ladderOf(3));
  const first = await device("tv", { clean: false, acks: false });
  await first.subscribe(first.topic("down"), "omega/v1/acme/d/other/down");
  const sent = await first.nextDown();
  const second = await device("tv", { clean: false });
  await first.untilClosed();
  expect(second.session).toBe(true);
  const again = await second.nextDown();
  expect(again).toMatchObject({ dup: true, messageId: sent.messageId });
  expect(again.payload).toEqual(sent.payload);
  expect(source.viewCalls.flat().every((name) => name === `${TENANT}/tv`)).toBe(true);
});

test("THREATS 17: a device that neither reads nor acknowledges is cut, the others are not", async () => {
  const { source, metrics, device } = await start({ ackMsMax: 300 });
  const tv = await device("tv");
  const frozen = await device("frozen", { acks: false });
  for (const each of [tv, frozen]) await each.subscribe(each.topic("down"));
  await tv.nextDown();
  frozen.freeze();
  await waitFor(async () =>
    (await metrics.render()).includes('omega_gateway_slow_readers_total{reason="deadline"} 1'),
  );
  await waitFor(() => gateway.sessionCount === 1);
  source.release(ladderOf(1));
  expect(headerOf(await tv.nextDown())).toMatchObject({ version: 1 });
});
