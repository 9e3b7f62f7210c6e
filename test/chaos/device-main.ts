/**
 * A process of a few real devices with their outboxes on a disk: `node device-main.js <plan as JSON>`.
 *
 * It can be told to die at any file operation of an outbox; otherwise it dies by whoever kills it.
 * @module
 */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Delta, FileStorage, openMqttLink, SyncClient } from "../../device/index.ts";
import { type FileOperations, type OpenFile, REAL_FILES } from "../../device/storage-file.ts";
import {
  deviceName,
  integerBelow,
  limits,
  type Random,
  systemRandom,
} from "../../src/core/index.ts";
import {
  FileSink,
  monotonicMs,
  recordClient,
  recordingLink,
} from "../../src/fleet/oracle/index.ts";
import { hexOf } from "../../src/fleet/oracle/recorders.ts";
import type { DeviceOrder, DevicePlan, DeviceReport, Ready } from "./messages.ts";

const TENANT = "default";
const PATTERNS = Array.from({ length: 8 }, (_, n) => `word-${n}`);
const REMOVALS = 0.15;
const BOOTED = ".booted";
/** The shortest there is: a fault a minute must not make a device wait for minutes. */
const IMPATIENT = {
  ...{
    timeout: 5,
    connectTimeoutMs: 3_000,
    loginTimeoutMs: 10_000,
    keepalive: 10,
    stableMs: 3_000,
  },
  backoff: { delayMsBase: 250, delayMsMax: 4_000 },
};

const plan = JSON.parse(process.argv[2] ?? "") as DevicePlan;
const random: Random = systemRandom;
const sink = new FileSink(plan.history, monotonicMs);
const frames = new FileSink(plan.frames, monotonicMs);
let speaking = true;
/** File operations until death; null: it is not told to die. */
let doom: { left: number; readonly after: boolean } | null = null;

async function doomed<T>(act: () => Promise<T>): Promise<T> {
  if (doom === null) return await act();
  doom.left -= 1;
  const dies = doom.left <= 0;
  if (dies && !doom.after) process.kill(process.pid, "SIGKILL");
  const result = await act();
  if (dies) process.kill(process.pid, "SIGKILL");
  return result;
}

const FILES: FileOperations = {
  ...REAL_FILES,
  open: async (path, flags) => mortal(await doomed(() => REAL_FILES.open(path, flags))),
  rename: (from, to) => doomed(() => REAL_FILES.rename(from, to)),
  rm: (path) => doomed(() => REAL_FILES.rm(path)),
};

function mortal(file: OpenFile): OpenFile {
  return {
    write: (bytes, offset, length, position) =>
      doomed(() => file.write(bytes, offset, length, position)),
    truncate: (length) => doomed(() => file.truncate(length)),
    datasync: () => doomed(() => file.datasync()),
    sync: () => doomed(() => file.sync()),
    close: () => file.close(),
  };
}

const clients = plan.devices.map((device, index) => {
  const key = { tenant: TENANT, device };
  const name = deviceName(key);
  const dataDir = join(plan.dataDir, device);
  const memory = existsSync(join(plan.dataDir, `${device}${BOOTED}`)) ? "kept" : "wiped";
  sink.record({ kind: "boot", device: name, memory });
  const client = new SyncClient({
    ...IMPATIENT,
    deviceId: device,
    endpoints: `mqtt://127.0.0.1:${plan.port}`,
    dim: plan.dim,
    // Both codecs side by side, and so both minors.
    codec: index % 3 === 0 ? 0 : 1,
    storage: new FileStorage(dataDir, FILES),
    openLink: recordingLink(openMqttLink, sink, (hash, frame) =>
      frames.record({ kind: "frame", hash, bytes: Buffer.from(frame).toString("base64") }),
    ),
  });
  recordClient(client, key, sink);
  client.on("error", (error) => {
    if (error.reason !== "outbox.damaged") return;
    sink.record({ kind: "boot", device: name, memory: "damaged" });
  });
  return { device, name, client };
});

/** When no directory can be opened, whoever watches over this process starts it again. */
await Promise.all(clients.map(({ client }) => client.start()));
for (const { device } of clients) writeFileSync(join(plan.dataDir, `${device}${BOOTED}`), "");

function speakLater(of: (typeof clients)[number]): void {
  setTimeout(
    () => {
      if (speaking) speak(of);
      speakLater(of);
    },
    -Math.log(1 - random.next()) * plan.putEveryMs,
  );
}

function speak({ name: device, client }: (typeof clients)[number]): void {
  // Later puts have higher numbers, in later processes too.
  const put = Math.round(monotonicMs() * 1_000);
  const { delta, items } = compose(put);
  sink.record({ kind: "put", device, put, items });
  client.enqueue(delta).then(
    () => sink.record({ kind: "stored", device, put }),
    () => sink.record({ kind: "unstored", device, put }),
  );
}

function compose(put: number) {
  const weight = 1 + (put % limits.WEIGHT_MAX_DEFAULT);
  const chosen = new Set([0, 1].map(() => PATTERNS[integerBelow(random, PATTERNS.length)] ?? ""));
  const removals = [...chosen].filter(() => random.next() < REMOVALS);
  const upserts = [...chosen]
    .filter((id) => !removals.includes(id))
    .map((id) => ({ id, weight, success: 0.5, samples: 1, embedding: vectorOf() }));
  const items = [
    ...upserts.map(({ id }) => ({ id, weight })),
    ...removals.map((id) => ({ id, weight: null })),
  ];
  return { delta: { upserts, removals } satisfies Delta, items };
}

function vectorOf(): number[] {
  return Array.from({ length: plan.dim }, () => (random.next() - 0.5) / 4);
}

function report(): DeviceReport {
  return {
    kind: "report",
    devices: clients.map(({ device, client }) => ({
      ...{ device, pending: client.pending, version: client.version },
      hash: hexOf(client.contentHash ?? new Uint8Array(0)),
      believed: client.believedRegisters(),
    })),
  };
}

process.on("message", (order: DeviceOrder) => {
  if (order.kind === "report") process.send?.(report());
  if (order.kind === "quiet") speaking = false;
  if (order.kind === "die") doom = { left: order.operation, after: order.after };
});
process.once("disconnect", () => process.exit(0));
for (const client of clients) speakLater(client);
process.send?.({ kind: "ready" } satisfies Ready);
