import { describe, expect, it } from "vitest";
import { type Service, startAll, stopAll } from "../../src/core/index.ts";

function recorder() {
  const events: string[] = [];
  const service = (name: string, fails: readonly string[] = []): Service => {
    const step = (what: string) => async () => {
      events.push(`${what} ${name}`);
      if (fails.includes(what)) throw new Error(`${what} failed`);
    };
    return { name, start: step("start"), drain: step("drain"), stop: step("stop") };
  };
  return { events, service };
}

describe("services", () => {
  it("start in order; drain and stop in reverse order, one service after the other", async () => {
    const { events, service } = recorder();
    const services = [service("store"), service("gateway")];
    await startAll(services);
    await stopAll(services);
    expect(events).toEqual([
      "start store",
      "start gateway",
      "drain gateway",
      "stop gateway",
      "drain store",
      "stop store",
    ]);
  });

  it("a failed step does not keep the others from stopping, and every failure is told", async () => {
    const { events, service } = recorder();
    const services = [service("a", ["stop"]), service("b"), service("c", ["drain", "stop"])];
    await expect(stopAll(services)).rejects.toThrow(
      "stopping failed:\n  drain c: drain failed\n  stop c: stop failed\n  stop a: stop failed",
    );
    expect(events.filter((event) => event.startsWith("stop"))).toEqual([
      "stop c",
      "stop b",
      "stop a",
    ]);
  });

  it("when one does not start, those before it are stopped and its error is the one thrown", async () => {
    const { events, service } = recorder();
    const services = [service("a", ["stop"]), service("b", ["start"]), service("c")];
    await expect(startAll(services)).rejects.toThrow("start failed");
    expect(events).toEqual(["start a", "start b", "drain a", "stop a"]);
  });

  it("a service without a drain is stopped all the same, with itself as `this`", async () => {
    const service = {
      name: "plain",
      stopped: false,
      start: async () => {},
      async stop() {
        this.stopped = true;
      },
    };
    await stopAll([service]);
    expect(service.stopped).toBe(true);
  });
});
