/**
 * The stage between a socket and the broker: a duplex stream that hands over
 * checked, whole packets a few at a time, and closes on the first bad one.
 *
 * Backpressure runs through it in both directions: while the broker does not
 * read, the socket is paused; while the socket does not drain, writes wait
 * here and count in `stream.writableLength`. Closing is gentle (a CONNACK that
 * refuses must still arrive) but bounded.
 * @module
 */
import { Duplex } from "node:stream";
import { type Clock, messageOf, ProtocolError } from "../src/core/index.ts";
import { CONNACK, connackBytes } from "./connect.ts";
import { PacketFramer } from "./framer.ts";
import { Turns } from "./turns.ts";
import type { UpLane } from "./up-lane.ts";

/** How long a closing socket may take to flush its last bytes. */
const CLOSE_FLUSH_MS = 1_000;
const JOIN_BYTES_MAX = 4 * 1024;
/** Up to here shared bodies are copied behind their heads: parts of a release are, a whole one is not. */
const BYTES_COPIED_MAX = 16 * 1024;
const DEPARTURES_PER_TURN_MAX = 1;
const PUBACK_BYTES = 4;
const PUBACK = 0x40;

export interface GuardOptions {
  readonly clock: Clock;
  /** Called once, just before the connection is closed for what the peer sent. */
  readonly onViolation: (error: ProtocolError) => void;
}

/** The way to a socket past the broker. */
export interface DirectStream {
  readonly destroyed: boolean;
  /** Bytes unsent. */
  readonly writableLength: number;
  write(packets: Uint8Array): void;
}

export interface Guard {
  /** What the broker gets instead of the socket. Closes when the socket does, and closes it. */
  readonly stream: Duplex;
  /**
   * Whole packets that go to the socket at once, past what the broker still has to write. Its
   * `writableLength` is what either way holds unsent, whichever is more.
   */
  readonly direct: DirectStream;
  /** Reads from now on, after `said`, which was read of the socket already. Called once. */
  begin(said?: Buffer): void;
  /** After CONNACK 0: packets behind the CONNECT may pass, deltas by the lane. */
  open(lane: UpLane): void;
  /** No packet passes and the socket is not read until `resume`; what the broker writes still leaves. */
  pause(): void;
  resume(): void;
  /** Like `pause`, for good. */
  hold(): void;
}

/** Who hears of a device's PUBACKs, past the broker, which has nothing in flight. */
export interface PubackListener {
  /** `messageId`: 1 … 65535, of a packet in flight or not. */
  acknowledged(messageId: number): void;
}

const SOCKET = Symbol("socket");
const PUBACKS = Symbol("pubacks");

/** A stream that {@link guard} made. */
interface GuardedStream extends Duplex {
  [SOCKET]?: Duplex;
  [PUBACKS]?: PubackListener;
}

/** From now on `listener` hears of the PUBACKs that come in on `stream`, if a guard made it. */
export function listenToPubacks(stream: Duplex, listener: PubackListener): void {
  if (SOCKET in stream) (stream as GuardedStream)[PUBACKS] = listener;
}

/**
 * Writes whole packets, in pieces of which some may be shared with other devices. They go straight
 * to the socket unless something waits before them. `taken` is called when the socket has taken all.
 */
export function writePackets(
  stream: Duplex,
  pieces: readonly Uint8Array[],
  taken?: () => void,
): void {
  const socket = (stream as GuardedStream)[SOCKET];
  const waits = stream.writableLength > 0 || (socket?.writableLength ?? 0) > 0;
  const to = socket === undefined || waits || socket.destroyed ? stream : socket;
  if (to === socket && writeCopy(socket, pieces, taken)) return;
  to.cork();
  for (const [index, piece] of pieces.entries()) {
    to.write(piece, index === pieces.length - 1 ? taken : undefined);
  }
  to.uncork();
}

/** Ends of connections, which come by the thousand. */
const departures = new Turns(DEPARTURES_PER_TURN_MAX);

/** Where the next small packets are put together; a new one once a socket has kept it. */
let desk = Buffer.alloc(0);

/**
 * One buffer is a cheaper write than several, and nearly always the kernel takes it before `write`
 * returns. False when the pieces are too large for that: then nothing was written.
 */
function writeCopy(socket: Duplex, pieces: readonly Uint8Array[], taken?: () => void): boolean {
  let bytes = 0;
  for (const piece of pieces) bytes += piece.length;
  if (bytes > BYTES_COPIED_MAX) return false;
  if (desk.length === 0) desk = Buffer.allocUnsafeSlow(BYTES_COPIED_MAX);
  let at = 0;
  for (const piece of pieces) {
    desk.set(piece, at);
    at += piece.length;
  }
  socket.write(desk.subarray(0, bytes), taken);
  if (socket.writableLength > 0) desk = Buffer.alloc(0);
  return true;
}

/** Bytes written to `stream` that its socket has not taken. */
export function unsentBytesOf(stream: Duplex): number {
  return Math.max(stream.writableLength, (stream as GuardedStream)[SOCKET]?.writableLength ?? 0);
}

/** Guards `socket` (TCP, TLS or WebSocket stream), paused or not yet flowing, until it closes. */
export function guard(socket: Duplex, options: GuardOptions): Guard {
  const framer = new PacketFramer();
  let wanted = false;
  let paused = false;
  let held = false;
  let ended = false;

  function advance(): void {
    while (wanted && !held && !paused && !stream.destroyed) {
      const packets = framer.take();
      if (packets === null) break;
      if (!tellPubacks(stream, packets)) wanted = stream.push(packets);
    }
    if (stream.destroyed) return;
    // Whoever ended behind a CONNECT is heard out once that is accepted.
    if (ended && wanted && !framer.waiting) {
      ended = false;
      stream.push(null);
    } else if (wanted && !held && !paused && !framer.waiting) {
      socket.resume();
    } else {
      socket.pause();
    }
  }

  function checked(act: () => void): void {
    if (stream.destroyed || held) return;
    try {
      act();
    } catch (error) {
      refuse(error instanceof ProtocolError ? error : undefined, error);
      return;
    }
    advance();
  }

  function refuse(violation: ProtocolError | undefined, thrown: unknown): void {
    if (violation === undefined) throw thrown;
    options.onViolation(violation);
    held = true;
    socket.pause();
    // [MQTT-3.1.2-2] An unacceptable level is answered with CONNACK 1, then closed.
    if (violation.reason === "connect.protocol") socket.write(connackBytes(CONNACK.protocol));
    stream.destroy();
  }

  const stream: GuardedStream = new Duplex({
    readableHighWaterMark: 1, // One turn of packets at a time.
    read() {
      wanted = true;
      advance();
    },
    write(chunk: Buffer, _encoding, done) {
      forward(socket, [chunk], done);
    },
    // mqtt-packet writes a packet in pieces; they leave as one segment, one TLS record.
    writev(pieces: { chunk: Buffer }[], done) {
      forward(
        socket,
        pieces.map((piece) => piece.chunk),
        done,
      );
    },
    final(done) {
      socket.end();
      done();
    },
    destroy(error, done) {
      socket.removeListener("data", onData);
      socket.resume(); // Unread bytes would turn the close into a reset that eats the last answer.
      closeSoon(socket, options.clock);
      done(error);
    },
  });

  stream[SOCKET] = socket;
  const onData = (chunk: Buffer) => checked(() => framer.push(chunk));
  const onEnd = () =>
    departures.add(() => {
      ended = true;
      advance();
    });
  socket.on("error", (error) => stream.destroy(new Error(messageOf(error))));
  socket.once("close", () => stream.destroy());

  const isFree = () =>
    wanted && !paused && !held && stream.readableLength === 0 && !stream.destroyed;

  return {
    stream,
    direct: new DirectWay(socket, stream),
    begin(said) {
      socket.on("data", onData);
      if (socket.readableEnded) onEnd();
      else socket.once("end", onEnd);
      if (said !== undefined) onData(said);
      else advance();
    },
    open: (lane) => checked(() => framer.open({ ...lane, isFree })),
    pause() {
      paused = true;
      socket.pause();
    },
    resume() {
      paused = false;
      if (!stream.destroyed) advance();
    },
    hold() {
      held = true;
      socket.pause();
    },
  };
}

/**
 * Everything written to `stream` reaches `socket` in whole packets, corked together, so a packet put
 * between two of its writes is never inside another one.
 */
class DirectWay implements DirectStream {
  readonly #socket: Duplex;
  readonly #stream: Duplex;

  constructor(socket: Duplex, stream: Duplex) {
    this.#socket = socket;
    this.#stream = stream;
  }

  get destroyed(): boolean {
    return this.#stream.destroyed || !this.#socket.writable;
  }

  get writableLength(): number {
    return Math.max(this.#stream.writableLength, this.#socket.writableLength);
  }

  write(packets: Uint8Array): void {
    this.#socket.write(packets);
  }
}

/** Whether `packets`, whole and checked, are PUBACKs alone and somebody has heard of them. */
function tellPubacks(stream: GuardedStream, packets: Buffer): boolean {
  const listener = stream[PUBACKS];
  if (listener === undefined || packets.length % PUBACK_BYTES !== 0) return false;
  for (let at = 0; at < packets.length; at += PUBACK_BYTES) {
    if (packets[at] !== PUBACK) return false;
  }
  for (let at = 0; at < packets.length; at += PUBACK_BYTES) {
    listener.acknowledged(packets.readUInt16BE(at + 2));
  }
  return true;
}

/** Small pieces are joined; large ones, which many devices share, are never copied. */
function forward(socket: Duplex, chunks: readonly Buffer[], done: () => void): void {
  const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  const joined = bytes <= JOIN_BYTES_MAX ? [Buffer.concat(chunks)] : chunks;
  let flowing = true;
  socket.cork();
  for (const chunk of joined) flowing = !socket.destroyed && socket.write(chunk);
  socket.uncork();
  if (flowing || socket.destroyed) done();
  else onceDrained(socket, done);
}

function onceDrained(socket: Duplex, done: () => void): void {
  const settle = () => {
    socket.removeListener("drain", settle);
    socket.removeListener("close", settle);
    done();
  };
  socket.once("drain", settle);
  socket.once("close", settle);
}

function closeSoon(socket: Duplex, clock: Clock): void {
  if (socket.destroyed) return;
  const timer = clock.after(CLOSE_FLUSH_MS, () => socket.destroy(), { background: true });
  socket.once("close", () => timer.cancel());
  socket.end(() => socket.destroy());
}
