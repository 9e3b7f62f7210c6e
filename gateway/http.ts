/**
 * Health and metrics over HTTP, for the balancer, the orchestrator and Prometheus:
 *
 *   GET /healthz   200 while the process should live
 *   GET /readyz    200 when work may be sent here, 503 with the reasons otherwise
 *   GET /metrics   Prometheus text
 *
 * and nothing else. Both health answers come from memory, so asking often
 * costs nothing behind them. Loopback unless told otherwise; no request body
 * is read, nothing can be changed here, no answer is a page (THREATS 24), and every limit is small (P8).
 * @module
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { assert, type Health, messageOf, NetworkError, type Service } from "../src/core/index.ts";
import type { Logger, Metrics } from "../src/observe/index.ts";
import { addressOf, bind } from "./bind.ts";
import type { BoundAddress } from "./ports.ts";

export interface HttpOptions {
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** 0 lets the system choose; see `address`. */
  readonly port: number;
  readonly health: Health;
  readonly metrics: Metrics;
  readonly log: Logger;
}

export interface HttpService extends Service {
  /** Where it listens; only while started. */
  address(): BoundAddress;
}

const HEADER_BYTES_MAX = 4 * 1024;
const REQUEST_MS_MAX = 5_000;
const KEEP_ALIVE_MS = 5_000;
const CONNECTIONS_MAX = 64;
const REQUESTS_PER_CONNECTION_MAX = 1_000;

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const json = (status: number, value: unknown): Answer => ({
  status,
  type: "application/json",
  body: `${JSON.stringify(value)}\n`,
});

/** The health and metrics listener. `start` rejects with `NetworkError("http.listen")`. */
export function createHttpService(options: HttpOptions): HttpService {
  const { log } = options;
  const host = options.host ?? "127.0.0.1";
  let server: Server | null = null;
  return {
    name: "http",
    async start() {
      assert(server === null, "the HTTP listener starts once");
      server = newServer((request, response) => {
        answerTo(request, options)
          .catch((error: unknown) => {
            log.error("http.failed", { error });
            return json(500, { error: "internal" });
          })
          .then((answer) => write(request, response, answer))
          .catch(() => response.destroy());
      });
      await bind(server, { host, port: options.port }, (cause) => {
        const message = `cannot listen on http://${host}:${options.port}: ${messageOf(cause)}`;
        return new NetworkError("http.listen", message, { cause });
      });
      const { port } = addressOf(server);
      log.info("http.listening", { host, port });
    },
    async stop() {
      const stopping = server;
      server = null;
      if (stopping === null) return;
      await new Promise<void>((resolve) => {
        stopping.close(() => resolve());
        stopping.closeAllConnections();
      });
    },
    address() {
      assert(server !== null, "the HTTP listener has an address while it is started");
      return addressOf(server);
    },
  };
}

/** Routes by exact path; a query string is ignored. */
async function answerTo(request: IncomingMessage, options: HttpOptions): Promise<Answer> {
  const path = (request.url ?? "").split("?", 1)[0];
  const route = ROUTES.get(path ?? "");
  if (route === undefined) return json(404, { error: "not found" });
  if (request.method !== "GET" && request.method !== "HEAD") {
    return { ...json(405, { error: "method not allowed" }), headers: { allow: "GET, HEAD" } };
  }
  return route(options);
}

const ROUTES = new Map<string, (options: HttpOptions) => Answer | Promise<Answer>>([
  ["/healthz", ({ health }) => livenessAnswer(health.live())],
  ["/readyz", ({ health }) => readinessAnswer(health)],
  ["/metrics", ({ metrics }) => metricsAnswer(metrics)],
]);

function livenessAnswer(live: boolean): Answer {
  return live ? json(200, { live: true }) : json(503, { live: false });
}

function readinessAnswer(health: Health): Answer {
  const { ready, reasons } = health.ready();
  return ready ? json(200, { ready: true }) : json(503, { ready: false, reasons });
}

async function metricsAnswer(metrics: Metrics): Promise<Answer> {
  return { status: 200, type: metrics.contentType, body: await metrics.render() };
}

function write(request: IncomingMessage, response: ServerResponse, answer: Answer): void {
  response.writeHead(answer.status, {
    "content-type": answer.type,
    "content-length": Buffer.byteLength(answer.body),
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    // A body that was announced is not worth reading to the end.
    ...(hasBody(request) ? { connection: "close" } : {}),
    ...answer.headers,
  });
  response.end(request.method === "HEAD" ? undefined : answer.body);
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers["transfer-encoding"] !== undefined || (headers["content-length"] ?? "0") !== "0";
}

function newServer(
  onRequest: (request: IncomingMessage, response: ServerResponse) => void,
): Server {
  const server = createServer(
    {
      maxHeaderSize: HEADER_BYTES_MAX,
      headersTimeout: REQUEST_MS_MAX,
      requestTimeout: REQUEST_MS_MAX,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: REQUEST_MS_MAX,
    },
    onRequest,
  );
  server.maxConnections = CONNECTIONS_MAX;
  server.maxRequestsPerSocket = REQUESTS_PER_CONNECTION_MAX;
  return server;
}
