import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { describe, expect, it } from "vitest";
import { Opener, parseTarget } from "../../../src/fleet/load/wire.ts";

describe("a fleet's target", () => {
  it.each([
    ["mqtt://127.0.0.1", { protocol: "mqtt", host: "127.0.0.1", port: 1883, path: "/mqtt" }],
    ["mqtts://localhost:1", { protocol: "mqtts", host: "localhost", port: 1, path: "/mqtt" }],
    ["ws://[::1]:80/x/y", { protocol: "ws", host: "::1", port: 80, path: "/x/y" }],
    ["wss://tv.example", { protocol: "wss", host: "tv.example", port: 443, path: "/mqtt" }],
  ])("%s is read", (url, target) => {
    expect(parseTarget(url, null)).toEqual({ ...target, ca: null });
  });

  it.each(["", "127.0.0.1:1883", "http://127.0.0.1", "mqtt://", "constructor://x"])(
    "'%s' is none",
    (url) => {
      expect(parseTarget(url, null)).toBeNull();
    },
  );
});

describe("a fleet's connections", () => {
  it("come from as many loopback addresses as so many devices need", async () => {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const opener = new Opener({
      ...{ protocol: "mqtt", host: "127.0.0.1", port, path: "/mqtt", ca: null },
    });
    const addressOf = async (device: number) => {
      const accepted = once(server, "connection");
      const wire = opener.open(device, {
        ...{ opened: () => {}, data: () => {}, closed: () => {} },
      });
      const [socket] = await accepted;
      const { remoteAddress } = socket;
      wire.destroy();
      return remoteAddress;
    };
    expect(await addressOf(19_999)).toBe("127.0.0.1");
    expect(await addressOf(20_000)).toBe("127.0.1.1");
    expect(await addressOf(65_000)).toBe("127.0.1.3");
    server.close();
  });

  it("tell of one that never opened", async () => {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, "close");
    for (const protocol of ["mqtt", "mqtts", "ws"] as const) {
      const opener = new Opener({ protocol, host: "127.0.0.1", port, path: "/", ca: null });
      const opened: string[] = [];
      await new Promise<void>((resolve) => {
        opener.open(0, {
          ...{ opened: () => opened.push(protocol), data: () => {}, closed: resolve },
        });
      });
      expect(opened).toEqual([]);
    }
  });
});
