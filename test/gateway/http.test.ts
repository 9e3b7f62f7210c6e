import { once } from "node:events";
import { request } from "node:http";
import { connect } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { createHttpService, type HttpService } from "../../gateway/http.ts";
import type { Readiness } from "../../src/core/index.ts";
import { createMetrics, type Metrics, silentLogger } from "../../src/observe/index.ts";

let http: HttpService;
afterEach(() => http.stop());

interface State {
  live: boolean;
  readiness: Readiness;
}

async function start(metrics: Metrics = createMetrics()): Promise<State> {
  const state: State = { live: true, readiness: { ready: true, reasons: [] } };
  http = createHttpService({
    port: 0,
    health: { live: () => state.live, ready: () => state.readiness },
    metrics,
    log: silentLogger,
  });
  await http.start();
  return state;
}

interface Answer {
  readonly status: number | undefined;
  readonly headers: Record<string, unknown>;
  readonly body: string;
}

async function ask(method: string, path: string, body?: string): Promise<Answer> {
  const { host, port } = http.address();
  const headers = body === undefined ? {} : { "content-length": body.length };
  const sent = request({ host, port, method, path, headers, agent: false });
  sent.on("error", () => {}); // The server may hang up on a body it will not read.
  sent.end(body);
  const [response] = await once(sent, "response");
  let text = "";
  for await (const chunk of response) text += String(chunk);
  return { status: response.statusCode, headers: response.headers, body: text };
}

describe("http", () => {
  test.each([
    ["GET", "/healthz", 200, '{"live":true}\n'],
    ["HEAD", "/healthz", 200, ""],
    ["GET", "/readyz", 200, '{"ready":true}\n'],
    ["GET", "/readyz?verbose", 200, '{"ready":true}\n'],
    ["HEAD", "/readyz", 200, ""],
    ["HEAD", "/metrics", 200, ""],
    ["POST", "/healthz", 405, '{"error":"method not allowed"}\n'],
    ["DELETE", "/metrics", 405, '{"error":"method not allowed"}\n'],
    ["OPTIONS", "/readyz", 405, '{"error":"method not allowed"}\n'],
    ["GET", "/", 404, '{"error":"not found"}\n'],
    ["GET", "/healthz/", 404, '{"error":"not found"}\n'],
    ["GET", "/HEALTHZ", 404, '{"error":"not found"}\n'],
    ["GET", "/../healthz", 404, '{"error":"not found"}\n'],
    ["GET", "/%68ealthz", 404, '{"error":"not found"}\n'],
    ["GET", "//healthz", 404, '{"error":"not found"}\n'],
    ["POST", "/admin", 404, '{"error":"not found"}\n'],
    ["GET", "/constructor", 404, '{"error":"not found"}\n'],
  ])("THREATS 24: %s %s is %i", async (method, path, status, body) => {
    await start();
    const answer = await ask(method, path);
    expect(answer).toMatchObject({ status, body });
    expect(answer.headers).toMatchObject({
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    });
    if (status === 405) expect(answer.headers.allow).toBe("GET, HEAD");
  });

  test("/readyz says 503 and why", async () => {
    const state = await start();
    state.readiness = { ready: false, reasons: ["gateway.draining", "queue.unreachable"] };
    expect(await ask("GET", "/readyz")).toMatchObject({
      status: 503,
      body: '{"ready":false,"reasons":["gateway.draining","queue.unreachable"]}\n',
    });
    expect(await ask("HEAD", "/readyz")).toMatchObject({ status: 503, body: "" });
    expect(await ask("GET", "/healthz")).toMatchObject({ status: 200 });
  });

  test("/healthz says 503 when the process should be restarted", async () => {
    const state = await start();
    state.live = false;
    expect(await ask("GET", "/healthz")).toMatchObject({ status: 503, body: '{"live":false}\n' });
  });

  test("/metrics is Prometheus text", async () => {
    const metrics = createMetrics();
    metrics.counter("omega_gateway_refused_total", "Refused.", ["reason"]).add(3, { reason: "a" });
    await start(metrics);
    const answer = await ask("GET", "/metrics");
    expect(answer.headers["content-type"]).toBe("text/plain; version=0.0.4; charset=utf-8");
    expect(answer.body).toContain('omega_gateway_refused_total{reason="a"} 3');
    const head = await ask("HEAD", "/metrics");
    expect(Number(head.headers["content-length"])).toBe(Buffer.byteLength(answer.body));
  });

  test("a failure inside is a 500 without its words", async () => {
    await start({ ...createMetrics(), render: () => Promise.reject(new Error("secret path")) });
    expect(await ask("GET", "/metrics")).toMatchObject({
      status: 500,
      body: '{"error":"internal"}\n',
    });
  });

  test("a request body is not read; the connection ends", async () => {
    await start();
    const answer = await ask("GET", "/healthz", "x".repeat(1_000));
    expect(answer.status).toBe(200);
    expect(answer.headers.connection).toBe("close");
  });

  test("headers beyond 4 KB are refused", async () => {
    await start();
    const socket = connect(http.address().port, "127.0.0.1");
    socket.write(`GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: ${"a".repeat(5_000)}\r\n\r\n`);
    const [chunk] = await once(socket, "data");
    expect(String(chunk)).toContain("431");
    socket.destroy();
  });

  test("listens on loopback unless told otherwise, and a port in use is a NetworkError", async () => {
    await start();
    expect(http.address().host).toBe("127.0.0.1");
    const second = createHttpService({
      port: http.address().port,
      health: { live: () => true, ready: () => ({ ready: true, reasons: [] }) },
      metrics: createMetrics(),
      log: silentLogger,
    });
    await expect(second.start()).rejects.toMatchObject({ code: "Network", reason: "http.listen" });
    await second.stop();
  });

  test("stops at once with a kept-alive connection open, and twice is harmless", async () => {
    await start();
    const socket = connect(http.address().port, "127.0.0.1");
    socket.write("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    await once(socket, "data");
    const closed = once(socket, "close");
    await http.stop();
    await closed;
    await http.stop();
  });
});
