/**
 * What one writes first, for comparison: `node bare-main.js gateway|aggregator <plan as JSON>`.
 *
 * The gateway is aedes with `queue.add` in its `published` hook, as its documentation suggests it,
 * and the aggregator a BullMQ worker. What the worker is handed counts as applied at once.
 * @module
 */
import { createServer as createHttpServer } from "node:http";
import { createServer } from "node:net";
import { Aedes } from "aedes";
import { type Job, Queue, Worker } from "bullmq";
import { Redis } from "ioredis";
import { deviceName } from "../../src/core/index.ts";
import { FileSink, monotonicMs } from "../../src/fleet/oracle/index.ts";
import { placeOf } from "../../src/fleet/oracle/recorders.ts";
import { parseTopic } from "../../src/wire/index.ts";
import { BARE_QUEUE, type BarePlan } from "./bare.ts";

interface Data {
  readonly topic: string;
  readonly frame: string;
}

const CONCURRENCY = 32;
const JOB_OPTIONS = { removeOnComplete: true, attempts: 100, backoff: 200 };

const [role, planText = ""] = process.argv.slice(2);
const plan = JSON.parse(planText) as BarePlan;
const connection = new Redis(plan.redisUrl, { maxRetriesPerRequest: null });
connection.on("error", () => {});

/** Health for the balancer, as the product has it. */
createHttpServer((_request, response) => {
  response.end("ok");
}).listen(plan.httpPort, "127.0.0.1");

if (role === "gateway") await serve();
else work();

async function serve(): Promise<void> {
  const queue = new Queue<Data>(BARE_QUEUE, { connection });
  queue.on("error", () => {});
  const broker = new Aedes();
  await broker.listen();
  broker.published = (packet, client, done) => {
    if (client === null) {
      done();
      return;
    }
    const data = { topic: packet.topic, frame: Buffer.from(packet.payload).toString("base64") };
    queue.add("delta", data, JOB_OPTIONS).then(() => done(), done);
  };
  createServer({ noDelay: true }, broker.handle).listen(plan.port, "127.0.0.1");
}

function work(): void {
  const sink = new FileSink(plan.history, monotonicMs);
  const handle = async ({ data }: Job<Data>) => {
    const topic = parseTopic(data.topic);
    const frame = Buffer.from(data.frame, "base64");
    const place = topic === null ? null : placeOf(deviceName(topic.key), frame);
    const consumed = place === null ? [] : [place];
    sink.record({ kind: "commit", shard: 0, token: 1, number: 1, applied: 1, consumed });
  };
  const worker = new Worker<Data>(BARE_QUEUE, handle, { connection, concurrency: CONCURRENCY });
  worker.on("error", () => {});
}
