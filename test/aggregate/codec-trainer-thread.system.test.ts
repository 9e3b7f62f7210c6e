import { pathToFileURL } from "node:url";
import { describe, expect, it } from "vitest";
import { trainInThread } from "../../src/aggregate/codec-trainer-thread.ts";
import { trainCodec } from "../../src/aggregate/codec-training.ts";
import { TransportError } from "../../src/core/index.ts";
import { builtFile } from "../queue/embedded-worker-url.ts";
import { heldModel } from "../wire/codec1/models.ts";
import { drawn, population } from "./embeddings.ts";

const DIM = 48;
const workerUrl = pathToFileURL(builtFile("src/aggregate/codec-trainer-worker.js"));
const samples = drawn(population(DIM), 300, 31);
const unaborted = () => new AbortController().signal;

function script(text: string): URL {
  return new URL(`data:text/javascript,${encodeURIComponent(text)}`);
}

describe("the thread that learns a codec model", () => {
  it("gives what learning in this thread gives, and leaves the samples as they were", async () => {
    const before = samples.map((sample) => sample.slice());
    const current = heldModel(DIM);
    const trained = await trainInThread(samples, 4, DIM, unaborted(), { current, workerUrl });
    expect(trained).toEqual(trainCodec(samples, 4, DIM, current));
    expect(samples).toEqual(before);
  });

  it("takes samples that are views of one large buffer", async () => {
    const block = new Int16Array(samples.length * DIM);
    const views = samples.map((sample, index) => {
      block.set(sample, index * DIM);
      return block.subarray(index * DIM, (index + 1) * DIM);
    });
    const trained = await trainInThread(views, 4, DIM, unaborted(), { workerUrl });
    expect(trained).toEqual(trainCodec(samples, 4, DIM, null));
  });

  it("is not started for what cannot be learnt from", async () => {
    const nowhere = new URL("file:///nowhere.js");
    const few = trainInThread(samples.slice(0, 18), 4, DIM, unaborted(), { workerUrl: nowhere });
    await expect(few).rejects.toMatchObject({ reason: "model.samples" });
    const huge = trainInThread([], 4, 2048, unaborted(), { workerUrl: nowhere });
    await expect(huge).rejects.toMatchObject({ reason: "model.dim" });
  });

  it("ends with the signal's reason, before and while it works", async () => {
    const reason = new Error("drained");
    const late = AbortSignal.abort(reason);
    await expect(trainInThread(samples, 4, DIM, late, { workerUrl })).rejects.toBe(reason);
    const forEver = script("setInterval(() => {}, 1000)");
    const stop = new AbortController();
    const training = trainInThread(samples, 4, DIM, stop.signal, { workerUrl: forEver });
    stop.abort(reason);
    await expect(training).rejects.toBe(reason);
  });

  it.each([
    ["throws", script("throw new Error('out of luck')"), "out of luck"],
    ["ends without a word", script("process.exit(3)"), "code 3"],
    ["does not exist", new URL("file:///nowhere.js"), "nowhere"],
  ])("that %s is a transport error with the cause", async (_, broken, message) => {
    const training = trainInThread(samples, 4, DIM, unaborted(), { workerUrl: broken });
    await expect(training).rejects.toBeInstanceOf(TransportError);
    await expect(training).rejects.toMatchObject({
      reason: "model.thread",
      message: expect.stringContaining(message),
    });
  });
});
