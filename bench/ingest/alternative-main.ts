/**
 * The alternatives that take a server of ours to write: `node alternative-main.js <kind> <port>
 * <redis port>`. Each is what its documentation shows first, without anything that slows it.
 * @module
 */
import { createServer } from "node:net";
import { Aedes } from "aedes";
import { Queue, Worker } from "bullmq";
import fastify from "fastify";
import { type AlternativeKind, QUEUE_NAME } from "./alternative-kinds.ts";

const WORKER_CONCURRENCY = 64;
const JOB_OPTIONS = { removeOnComplete: true, removeOnFail: true };

const [kind, portText, redisPortText] = process.argv.slice(2);
const port = Number(portText);
const connection = { host: "127.0.0.1", port: Number(redisPortText) };

async function serve(alternative: AlternativeKind): Promise<void> {
  switch (alternative) {
    case "bare":
      return serveMqtt(null);
    case "queue-add":
      return serveMqtt(new Queue(QUEUE_NAME, { connection }));
    case "fastify":
      return serveHttp(new Queue(QUEUE_NAME, { connection }));
    case "worker":
      new Worker(QUEUE_NAME, async () => {}, { connection, concurrency: WORKER_CONCURRENCY });
  }
}

/** With a queue, the PUBACK waits until the job is in it. */
async function serveMqtt(queue: Queue | null): Promise<void> {
  const broker = new Aedes();
  await broker.listen();
  if (queue !== null) {
    broker.authorizePublish = (_client, packet, done) => {
      const frame = Buffer.from(packet.payload).toString("base64");
      const data = { topic: packet.topic, frame };
      queue.add("delta", data, JOB_OPTIONS).then(() => done(null), done);
    };
  }
  createServer({ noDelay: true }, broker.handle).listen(port, "127.0.0.1");
}

async function serveHttp(queue: Queue): Promise<void> {
  // Keep-alive is its default, as is no log; Node's HTTP server sets TCP_NODELAY by itself.
  const app = fastify();
  app.post("/deltas", async (request, reply) => {
    await queue.add("delta", request.body, JOB_OPTIONS);
    return reply.code(202).send();
  });
  await app.listen({ port, host: "127.0.0.1" });
}

await serve(kind as AlternativeKind);
