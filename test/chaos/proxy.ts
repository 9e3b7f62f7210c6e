/**
 * A TCP proxy that does to a link what networks do.
 *
 *   client ──up──▶ proxy ──up──▶ server
 *   client ◀─down─ proxy ◀─down─ server
 *
 * TCP loses and reorders nothing: what a bad network looks like through it is bytes that come late,
 * slowly or not at all, and connections that end in the middle of a packet. A held direction keeps
 * its bytes, and its FIN, as a network does that is cut for a while: they arrive when it is let go.
 * @module
 */
import { createServer, connect as dial, type Server, type Socket } from "node:net";
import type { Random } from "../../src/core/index.ts";
import { resetSocket } from "./reset-socket.ts";

export type Direction = "up" | "down";
export const DIRECTIONS: readonly Direction[] = ["up", "down"];

/** What a link is like; none of it: bytes pass at once. */
interface Conditions {
  /** Added to every byte's way, milliseconds. */
  latencyMs: number;
  /** At most this much more, uniformly; bytes keep their order. */
  jitterMs: number;
  /** Null: as fast as can be. */
  bytesPerS: number | null;
  readonly held: Set<Direction>;
}

export interface ProxyOptions {
  /** On 127.0.0.1. */
  readonly targetPort: number;
  /** Where to listen, on 127.0.0.1. */
  readonly port: number;
  readonly random: Random;
}

/** Beyond this one side is not read until the other has taken some. */
const QUEUED_BYTES_MAX = 256 * 1024;

export class FaultProxy {
  readonly port: number;
  readonly #options: ProxyOptions;
  readonly #conditions: Conditions = {
    ...{ latencyMs: 0, jitterMs: 0, bytesPerS: null },
    held: new Set(),
  };
  readonly #links = new Set<Link>();
  #server: Server | null = null;
  #refusing: Promise<void> | null = null;

  private constructor(options: ProxyOptions) {
    this.#options = options;
    this.port = options.port;
  }

  /** Listens. Rejects as `listen` does. */
  static async start(options: ProxyOptions): Promise<FaultProxy> {
    const proxy = new FaultProxy(options);
    await proxy.#listen();
    return proxy;
  }

  /** Connections that pass at this moment. */
  get connections(): number {
    return this.#links.size;
  }

  slow(latencyMs: number, jitterMs: number): void {
    Object.assign(this.#conditions, { latencyMs, jitterMs });
  }

  limit(bytesPerS: number | null): void {
    this.#conditions.bytesPerS = bytesPerS;
    this.#pump();
  }

  /** From now on nothing passes in these directions, and nobody is told. */
  hold(directions: readonly Direction[]): void {
    for (const direction of directions) this.#conditions.held.add(direction);
  }

  letGo(directions: readonly Direction[]): void {
    for (const direction of directions) this.#conditions.held.delete(direction);
    this.#pump();
  }

  /** Ends a share of the connections, 0–1, with a RST to both sides. Gives how many. */
  reset(share: number): number {
    return this.#some(share, (link) => link.reset());
  }

  /** Ends a share of the connections after a part of the next bytes that pass in `direction`. */
  cut(share: number, direction: Direction): number {
    return this.#some(share, (link) => link.cutSoon(direction, this.#options.random.next()));
  }

  /** New connections are refused until {@link accept}; those that are there stay. */
  refuse(): void {
    const server = this.#server;
    this.#server = null;
    if (server === null) return;
    // `close` would wait for the connections: the port is free at once.
    this.#refusing = new Promise((resolve) => setImmediate(resolve));
    server.close();
  }

  async accept(): Promise<void> {
    if (this.#server !== null) return;
    await this.#refusing;
    await this.#listen();
  }

  /** As if nothing had been: all conditions gone, new connections welcome. */
  async heal(): Promise<void> {
    this.slow(0, 0);
    this.#conditions.bytesPerS = null;
    this.letGo(DIRECTIONS);
    await this.accept();
  }

  async stop(): Promise<void> {
    this.#server?.close();
    this.#server = null;
    for (const link of this.#links) link.reset();
  }

  #listen(): Promise<void> {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) =>
      this.#carry(client),
    );
    this.#server = server;
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen(this.port, "127.0.0.1", () => resolve());
    });
  }

  #carry(client: Socket): void {
    const { targetPort: port, random } = this.#options;
    const server = dial({ port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
    const link = new Link(client, server, this.#conditions, random);
    this.#links.add(link);
    link.ended = () => this.#links.delete(link);
  }

  #some(share: number, act: (link: Link) => void): number {
    const chosen = [...this.#links].filter(() => this.#options.random.next() < share);
    for (const link of chosen) act(link);
    return chosen.length;
  }

  #pump(): void {
    for (const link of this.#links) link.pump();
  }
}

class Link {
  ended: () => void = () => {};
  readonly #pipes: Readonly<Record<Direction, Pipe>>;
  readonly #sockets: readonly Socket[];

  constructor(client: Socket, server: Socket, conditions: Conditions, random: Random) {
    this.#sockets = [client, server];
    const over = () => this.reset();
    this.#pipes = {
      up: new Pipe(client, server, { direction: "up", conditions, random, over }),
      down: new Pipe(server, client, { direction: "down", conditions, random, over }),
    };
    for (const socket of this.#sockets) {
      socket.once("close", () => {
        if (this.#sockets.every(({ destroyed }) => destroyed)) this.ended();
      });
    }
  }

  pump(): void {
    for (const direction of DIRECTIONS) this.#pipes[direction].pump();
  }

  cutSoon(direction: Direction, part: number): void {
    this.#pipes[direction].cutPart = part;
  }

  reset(): void {
    for (const socket of this.#sockets) resetSocket(socket);
  }
}

/** What is under way: bytes, or how the sender ended. */
type Item = { readonly dueMs: number; readonly what: Buffer | "end" | "reset" };

interface PipeOptions {
  readonly direction: Direction;
  readonly conditions: Conditions;
  readonly random: Random;
  /** Ends the whole connection, both ways. */
  readonly over: () => void;
}

/** One direction of one connection. */
class Pipe {
  /** When set: this part of the next bytes passes, 0–1, and then the connection ends. */
  cutPart: number | null = null;
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #options: PipeOptions;
  readonly #queue: Item[] = [];
  #queuedBytes = 0;
  #lastDueMs = 0;
  #timer: NodeJS.Timeout | null = null;
  #full = false;

  constructor(from: Socket, to: Socket, options: PipeOptions) {
    this.#from = from;
    this.#to = to;
    this.#options = options;
    from.on("data", (chunk: Buffer) => this.#take(chunk, chunk.length));
    from.once("end", () => this.#take("end", 0));
    // "close" follows every error, and says what the other side has to be told.
    from.on("error", () => {});
    from.once("close", (hadError) => {
      if (hadError || !to.writableEnded) this.#take("reset", 0);
    });
    to.on("drain", () => {
      this.#full = false;
      this.pump();
    });
  }

  #take(what: Item["what"], bytes: number): void {
    const { latencyMs, jitterMs, bytesPerS } = this.#options.conditions;
    const delayMs = latencyMs + (jitterMs > 0 ? jitterMs * this.#options.random.next() : 0);
    const slowMs = bytesPerS === null ? 0 : (bytes * 1_000) / bytesPerS;
    // In order, and one after the other where the rate is bounded.
    const dueMs = Math.max(performance.now() + delayMs, this.#lastDueMs) + slowMs;
    this.#lastDueMs = dueMs;
    this.#queue.push({ dueMs, what });
    this.#queuedBytes += bytes;
    this.pump();
    if (this.#queuedBytes > QUEUED_BYTES_MAX) this.#from.pause();
  }

  /** Passes on what is due. */
  pump(): void {
    const { held } = this.#options.conditions;
    while (!held.has(this.#options.direction) && !this.#full) {
      const [next] = this.#queue;
      if (next === undefined) break;
      const waitMs = next.dueMs - performance.now();
      if (waitMs > 0) {
        this.#later(waitMs);
        break;
      }
      this.#queue.shift();
      if (!this.#pass(next.what)) return;
    }
    if (this.#queuedBytes <= QUEUED_BYTES_MAX && this.#from.isPaused()) this.#from.resume();
  }

  /** False when the connection is over. */
  #pass(what: Item["what"]): boolean {
    if (what === "reset") {
      this.#options.over();
      return false;
    }
    if (what === "end") {
      this.#to.end();
      return true;
    }
    this.#queuedBytes -= what.length;
    if (this.cutPart !== null) {
      const part = what.subarray(0, Math.floor(what.length * this.cutPart));
      this.#to.write(part, () => this.#options.over());
      return false;
    }
    if (!this.#to.destroyed) this.#full = !this.#to.write(what);
    return true;
  }

  #later(waitMs: number): void {
    if (this.#timer !== null) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.pump();
    }, waitMs);
  }
}
