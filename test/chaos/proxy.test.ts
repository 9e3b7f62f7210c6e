import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { seededRandom } from "../../src/core/index.ts";
import { freePort } from "../support/disk.ts";
import { waitFor } from "../support/wait.ts";
import { FaultProxy } from "./proxy.ts";
import { resetSocket } from "./reset-socket.ts";

let server: Server;
let proxy: FaultProxy;
let accepted: Socket[];
/** What the server has read. */
let heard: string;

beforeEach(async () => {
  accepted = [];
  heard = "";
  server = createServer((socket) => {
    accepted.push(socket);
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      heard += chunk;
      socket.write(`<${chunk}>`);
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const port = await freePort();
  proxy = await FaultProxy.start({ port, targetPort: address.port, random: seededRandom(7) });
});

afterEach(async () => {
  await proxy.stop();
  server.close();
  for (const socket of accepted) socket.destroy();
});

/** A client with what it has read, and the code of the error that ended it. */
async function client() {
  const socket = connect(proxy.port, "127.0.0.1");
  const seen = { socket, text: "", code: "", closed: false };
  socket.on("data", (chunk) => {
    seen.text += chunk;
  });
  socket.on("error", (error: NodeJS.ErrnoException) => {
    seen.code = error.code ?? "";
  });
  socket.on("close", () => {
    seen.closed = true;
  });
  await once(socket, "connect");
  return seen;
}

describe("chaos: the fault proxy", () => {
  it("chaos: bytes pass both ways, and so does the end", async () => {
    const one = await client();
    one.socket.write("hello");
    await waitFor(() => one.text === "<hello>");
    accepted[0]?.end();
    await waitFor(() => one.closed);
    expect(one.code).toBe("");
    await waitFor(() => proxy.connections === 0);
  });

  it("chaos: a held direction keeps its bytes, the other flows, and all arrive in order", async () => {
    const one = await client();
    one.socket.write("a");
    await waitFor(() => one.text === "<a>");
    proxy.hold(["down"]);
    one.socket.write("b");
    await waitFor(() => heard === "ab");
    one.socket.write("c");
    await waitFor(() => heard === "abc");
    expect(one.text).toBe("<a>");
    proxy.hold(["up"]);
    one.socket.write("d");
    proxy.letGo(["down"]);
    await waitFor(() => one.text === "<a><b><c>");
    expect(heard).toBe("abc");
    proxy.letGo(["up"]);
    await waitFor(() => one.text === "<a><b><c><d>");
  });

  it("chaos: a close is not heard through a held direction", async () => {
    const one = await client();
    one.socket.write("x");
    await waitFor(() => one.text === "<x>");
    proxy.hold(["up"]);
    one.socket.destroy();
    await waitFor(() => one.closed);
    let ended = false;
    accepted[0]?.once("close", () => {
      ended = true;
    });
    accepted[0]?.write("still there");
    expect(ended).toBe(false);
    proxy.letGo(["up"]);
    await waitFor(() => ended);
  });

  it("chaos: jitter and a rate delay, and keep the order", async () => {
    proxy.slow(5, 20);
    proxy.limit(10_000);
    const one = await client();
    for (let n = 0; n < 20; n += 1) one.socket.write(`${n},`);
    await waitFor(() => heard.endsWith("19,"));
    expect(heard).toBe(Array.from({ length: 20 }, (_, n) => `${n},`).join(""));
  });

  it("chaos: a cut lets a part of a packet through and resets both sides", async () => {
    const one = await client();
    one.socket.write("first");
    await waitFor(() => one.text === "<first>");
    expect(proxy.cut(1, "up")).toBe(1);
    one.socket.write("0123456789");
    await waitFor(() => one.closed);
    await waitFor(() => proxy.connections === 0);
    expect("first0123456789".startsWith(heard) && heard.length < 15).toBe(true);
    expect(one.code).toBe("ECONNRESET");
  });

  it("chaos: a socket whose FIN is under way still says that it is closed after a reset", async () => {
    const one = await client();
    one.socket.end();
    resetSocket(one.socket);
    await waitFor(() => one.closed);
  });

  it("chaos: a reset ends the chosen share, a refusal only those to come, and healing undoes all", async () => {
    const one = await client();
    expect([proxy.reset(0), proxy.connections]).toEqual([0, 1]);
    proxy.refuse();
    await expect(client()).rejects.toThrow(/ECONNREFUSED/);
    one.socket.write("on");
    await waitFor(() => one.text === "<on>");
    expect(proxy.reset(1)).toBe(1);
    await waitFor(() => one.closed);
    await proxy.heal();
    const two = await client();
    two.socket.write("new");
    await waitFor(() => two.text === "<new>");
  });
});
