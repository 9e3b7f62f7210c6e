/**
 * The load generator: a process of its own that is told one {@link LoadPlan} over IPC, connects,
 * says so, loads when told to go, and reports. Everything it sends is encoded before it says ready.
 * @module
 */
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { loadZstd } from "../../src/wire/index.ts";
import { quantile } from "../support/numbers.ts";
import { type FrameTemplate, frameOf, frameTemplate } from "./frames.ts";
import { PROTOCOLS, type ProtocolName } from "./protocols.ts";

export interface LoadPlan {
  readonly protocol: ProtocolName;
  readonly port: number;
  readonly connections: number;
  /** Requests on their way per connection, or null for the open loop. */
  readonly inFlight: number | null;
  /** Of the open loop, all connections together. */
  readonly ratePerS: number;
  /** Positions of one epoch are used once, so every plan for one system has its own, ascending. */
  readonly epoch: number;
  readonly warmupMs: number;
  readonly measureMs: number;
}

export interface LoadResult {
  /** Of the measured time. */
  readonly ratePerS: number;
  readonly ackMsP50: number;
  readonly ackMsP99: number;
  /** Of the whole run, warm-up and the last answers included. */
  readonly acked: number;
  readonly generator: GeneratorHealth;
}

/** What the generator was at, of the measured time. */
export interface GeneratorHealth {
  /** CPU, cores. */
  readonly cores: number;
  /** Share of the time in which the event loop did not wait, 0–1. */
  readonly busy: number;
  /** 99 % of an open loop's requests left at most so long after they were due, milliseconds. */
  readonly lateMsP99: number;
}

export type LoadMessage =
  | { readonly kind: "ready" }
  | { readonly kind: "result"; readonly result: LoadResult };

const VARIANTS = 4;
const TICK_MS = 1;
const CONNECT_PAUSE_MS = 5;
const CONNECTS_PER_PAUSE = 10;
/** How long all connections together may take, milliseconds. */
const CONNECT_MS_MAX = 30_000;
/** How long the last answers may take before they count as lost, milliseconds. */
const LAST_ANSWERS_MS_MAX = 20_000;

interface Connection {
  readonly device: number;
  readonly socket: Socket;
  readonly templates: readonly FrameTemplate[];
  /** When each unanswered request left, or should have left; answers come in order. */
  readonly sentAtMs: number[];
  count: number;
  greeted: boolean;
  rest: Buffer;
}

async function load(plan: LoadPlan, go: Promise<void>): Promise<LoadResult> {
  const protocol = PROTOCOLS[plan.protocol];
  const latenciesMs: number[] = [];
  const lateMs: number[] = [];
  let phase: "warm-up" | "measure" | "over" = "warm-up";
  let acked = 0;
  let measured = 0;

  const send = (connection: Connection, atMs: number) => {
    if (phase === "measure" && plan.inFlight === null) lateMs.push(performance.now() - atMs);
    connection.count++;
    const template = connection.templates[connection.count % VARIANTS] as FrameTemplate;
    const frame = frameOf(template, connection.count);
    connection.sentAtMs.push(atMs);
    connection.socket.write(protocol.request(connection.device, connection.count, frame));
  };
  const receive = (connection: Connection, chunk: Buffer) => {
    const bytes = connection.rest.length === 0 ? chunk : Buffer.concat([connection.rest, chunk]);
    const { count, end } = protocol.answers(bytes);
    connection.rest = bytes.subarray(end);
    const nowMs = performance.now();
    for (let n = 0; n < count; n++) {
      if (!connection.greeted) {
        connection.greeted = true;
        continue;
      }
      const sentAtMs = connection.sentAtMs.shift();
      if (sentAtMs === undefined) throw new Error("an answer without a request");
      const latencyMs = nowMs - sentAtMs;
      acked++;
      if (phase === "measure") {
        measured++;
        latenciesMs.push(latencyMs);
      }
      if (phase !== "over" && plan.inFlight !== null) send(connection, nowMs);
    }
  };

  const connections = await connectAll(plan, receive);
  process.send?.({ kind: "ready" } satisfies LoadMessage);
  await go;
  const startedAtMs = performance.now();
  for (const connection of connections) {
    for (let n = 0; n < (plan.inFlight ?? 0); n++) send(connection, performance.now());
  }
  const openLoop =
    plan.inFlight === null ? startOpenLoop(plan, startedAtMs, connections, send) : null;
  await sleep(plan.warmupMs);
  phase = "measure";
  const health = watchSelf();
  await sleep(plan.measureMs);
  phase = "over";
  const { elapsedS, cores, busy } = health();
  clearInterval(openLoop ?? undefined);
  await lastAnswers(connections);
  for (const { socket } of connections) socket.removeAllListeners("close").destroy();
  latenciesMs.sort((a, b) => a - b);
  lateMs.sort((a, b) => a - b);
  return {
    ratePerS: measured / elapsedS,
    ackMsP50: quantile(latenciesMs, 0.5),
    ackMsP99: quantile(latenciesMs, 0.99),
    acked,
    generator: { cores, busy, lateMsP99: quantile(lateMs, 0.99) },
  };
}

/** What this process is at between the call and the call of what it gives back. */
function watchSelf(): () => { elapsedS: number; cores: number; busy: number } {
  const fromMs = performance.now();
  const cpu = process.cpuUsage();
  const loop = performance.eventLoopUtilization();
  return () => {
    const elapsedS = (performance.now() - fromMs) / 1_000;
    const { user, system } = process.cpuUsage(cpu);
    const busy = performance.eventLoopUtilization(loop).utilization;
    return { elapsedS, cores: (user + system) / 1e6 / elapsedS, busy };
  };
}

/** A request is late from when it was due, however late the timer was. */
function startOpenLoop(
  plan: LoadPlan,
  startedAtMs: number,
  connections: readonly Connection[],
  send: (connection: Connection, atMs: number) => void,
): NodeJS.Timeout {
  const everyMs = 1_000 / plan.ratePerS;
  let sent = 0;
  return setInterval(() => {
    const due = Math.floor((performance.now() - startedAtMs) / everyMs);
    for (; sent < due; sent++) {
      send(connections[sent % connections.length] as Connection, startedAtMs + sent * everyMs);
    }
  }, TICK_MS);
}

async function connectAll(
  plan: LoadPlan,
  receive: (connection: Connection, chunk: Buffer) => void,
): Promise<readonly Connection[]> {
  const zstd = await loadZstd();
  const connections: Connection[] = [];
  const untilMs = performance.now() + CONNECT_MS_MAX;
  for (let device = 0; device < plan.connections; device++) {
    const templates = Array.from({ length: VARIANTS }, (_, variant) =>
      frameTemplate({ device, epoch: plan.epoch, variant }, Math.random, zstd),
    );
    const socket = connect({ port: plan.port, host: "127.0.0.1", noDelay: true });
    const greeting = PROTOCOLS[plan.protocol].greeting(device);
    const connection: Connection = {
      ...{ device, socket, templates, sentAtMs: [], count: 0, rest: Buffer.alloc(0) },
      greeted: greeting === null,
    };
    socket.on("data", (chunk) => receive(connection, chunk));
    socket.once("close", () => {
      throw new Error(`the server closed connection ${device} on port ${plan.port}`);
    });
    if (greeting !== null) socket.write(greeting);
    connections.push(connection);
    if (device % CONNECTS_PER_PAUSE === 0) await sleep(CONNECT_PAUSE_MS);
  }
  const isUp = ({ greeted, socket }: Connection) => greeted && !socket.connecting;
  while (!connections.every(isUp)) {
    if (performance.now() > untilMs) {
      const up = connections.filter(isUp).length;
      throw new Error(`only ${up} of ${plan.connections} connections came up on ${plan.port}`);
    }
    await sleep(CONNECT_PAUSE_MS);
  }
  return connections;
}

async function lastAnswers(connections: readonly Connection[]): Promise<void> {
  const untilMs = performance.now() + LAST_ANSWERS_MS_MAX;
  while (connections.some(({ sentAtMs }) => sentAtMs.length > 0)) {
    if (performance.now() > untilMs) throw new Error("some requests were never answered");
    await sleep(CONNECT_PAUSE_MS);
  }
}

function main(): void {
  // Nobody waits for what it measures any more.
  process.once("disconnect", () => process.exit(1));
  let goNow = () => {};
  const go = new Promise<void>((resolve) => {
    goNow = resolve;
  });
  process.on("message", (message: LoadPlan | "go") => {
    if (message === "go") goNow();
    else {
      void load(message, go).then((result) => {
        process.send?.({ kind: "result", result } satisfies LoadMessage, () => process.exit(0));
      });
    }
  });
}

main();
