/**
 * Talking to Redis with an end to every wait.
 *
 * The offline queue is off and a cut connection fails what was under way at once,
 * because a command that waits in this process and runs minutes later is worse
 * than one that failed: the caller has moved on. Every command has a time limit;
 * a socket that stays silent past twice that is replaced, so that a black hole is
 * noticed before TCP would.
 * @module
 */
import { Cluster, Command, type Redis } from "ioredis";
import {
  type BackoffPolicy,
  backoffDelayMs,
  messageOf,
  OmegaError,
  type Random,
} from "../core/index.ts";
import type { Logger } from "../observe/index.ts";
import {
  connectMasters,
  NotReplicatedError,
  openClient,
  type Replicas,
  replicasOf,
} from "../redis/index.ts";
import type { HashWrite } from "./hash-write.ts";
import { timedOut, unavailable, unreplicated } from "./refusals.ts";
import type { Script } from "./script.ts";

export type RedisArgument = string | number | Uint8Array;
export type RedisCommand = readonly [command: string, ...args: RedisArgument[]];
export type GuardedCommand = RedisCommand | HashWrite;

/** Commands that are done if a script says "go", with all keys in one slot. */
export interface GuardedCommands {
  /** Answers "go", or why not; then it must have touched one of `keys`. */
  readonly guard: Script;
  /** Of the guard; none of them may change between it and the commands. */
  readonly keys: readonly string[];
  readonly args: readonly RedisArgument[];
  readonly commands: readonly GuardedCommand[];
}

export interface RedisConnectionOptions {
  readonly url: string;
  readonly timeoutMs: number;
  readonly random: Random;
  readonly log: Logger;
  /** Comes back by itself after a cut; true by default. */
  readonly reconnect?: boolean;
  /** Where {@link RedisConnection.held} waits for replicas; nowhere by default. */
  readonly replicated?: ReplicatedOptions | undefined;
}

interface ReplicatedOptions {
  /** How many replicas, ≥ 1. */
  readonly count: number;
  /** A key to write to, of no meaning: a connection must have written to see the replicas follow. */
  readonly mark: string;
}

/** A lease is renewed every few seconds: twice in a row is a wonder. */
const GUARDED_ATTEMPTS_MAX = 8;
/** Of the guard's answer among those of a pipeline: behind WATCH. */
const GUARD_AT = 1;
const RECONNECT: BackoffPolicy = { delayMsBase: 100, delayMsMax: 3_000 };
const RECONNECT_DELAY_MS_MIN = 20;
/** What ioredis calls a command whose time is over. */
const TIMED_OUT = "Command timed out";

/** What ioredis has in pipelines and not in their type. */
type GuardedPipeline = ReturnType<Redis["pipeline"]> & {
  multi(): void;
  sendCommand(command: Command): void;
};

/** A command that was written before; whoever sends it has a timer for all of them. */
class WrittenCommand extends Command {
  readonly #bytes: Buffer;

  constructor({ key, bytes }: HashWrite) {
    // A cluster looks for the node of its key.
    super("hset", [key]);
    this.#bytes = bytes;
  }

  override toWritable(): Buffer {
    return this.#bytes;
  }

  override setTimeout(): void {}
}

export class RedisConnection {
  readonly #redis: Redis | Cluster;
  readonly #timeoutMs: number;
  readonly #replicas: Replicas | null;
  readonly #mark: string;
  #connected = false;

  /** Does not connect yet: {@link connect} does. Throws `InvalidConfigError` on a URL that is not Redis'. */
  constructor(options: RedisConnectionOptions) {
    this.#timeoutMs = options.timeoutMs;
    this.#redis = openClient(
      options.url,
      redisSettings(options, () => this.#connected),
    );
    this.#replicas = replicasOf(this.#redis, options.replicated?.count ?? 0);
    this.#mark = options.replicated?.mark ?? "";
    this.#redis.on("error", (error) =>
      options.log.warn("store.redis.error", { message: messageOf(error) }),
    );
  }

  /** Resolves when Redis answered; a failure leaves nothing behind. */
  async connect(): Promise<void> {
    try {
      await this.#redis.connect();
      if (this.#redis instanceof Cluster) await connectMasters(this.#redis);
      this.#connected = true;
    } catch (error) {
      this.close();
      throw this.#refusal(error);
    }
  }

  onClose(act: () => void): void {
    this.#redis.on("close", act);
  }

  onMessage(act: (payload: string) => void): void {
    this.#redis.on("message", (_channel, payload) => act(payload));
  }

  async subscribe(channel: string): Promise<void> {
    await this.#settle(this.#redis.subscribe(channel));
  }

  /** One command; bulk strings come back as Buffers. */
  call(command: string, args: readonly RedisArgument[] = []): Promise<unknown> {
    return this.#settle(this.#redis.callBuffer(command, args.map(toArgument)));
  }

  /**
   * Many commands at once, in one round trip where one server has all keys; throws what the
   * first failed one failed with.
   */
  async callAll(commands: readonly RedisCommand[]): Promise<unknown[]> {
    if (commands.length === 0) return [];
    // A pipeline may not span the nodes of a cluster; one by one, each finds its own.
    if (this.#redis instanceof Cluster) {
      return Promise.all(commands.map(([command, ...args]) => this.call(command, args)));
    }
    const pipeline = this.#redis.pipeline();
    for (const [command, ...args] of commands) pipeline.callBuffer(command, args.map(toArgument));
    const results = (await this.#settle(pipeline.exec())) ?? [];
    return results.map(([error, result]) => {
      if (error) throw this.#refusal(error);
      return result;
    });
  }

  /** Runs a script by its SHA-1; sends the text when Redis does not have it (any more). */
  async run(
    script: Script,
    keys: readonly string[],
    args: readonly RedisArgument[],
  ): Promise<unknown> {
    const rest = [keys.length, ...keys, ...args.map(toArgument)];
    try {
      return await this.#redis.callBuffer("EVALSHA", [script.sha, ...rest]);
    } catch (error) {
      if (!messageOf(error).startsWith("NOSCRIPT")) throw this.#refusal(error);
    }
    return await this.#settle(this.#redis.callBuffer("EVAL", [script.text, ...rest]));
  }

  /**
   * All of `commands` in one step, or nothing of them. Resolves with "ok" when they are done, else
   * with what the guard said.
   *
   * They leave in one write and on one connection: WATCH, the guard, then the transaction. A guard
   * that says no touches a watched key, and so does whoever takes the lease meanwhile; a watched key
   * that expires counts as touched. Then EXEC does nothing
   * (https://redis.io/docs/latest/develop/using-commands/transactions/). No answer of Redis is
   * waited for in between, so no other commands of this process can come there, nor can a new
   * connection, which would watch nothing.
   */
  async guarded(wanted: GuardedCommands): Promise<string> {
    for (let attempt = 0; attempt < GUARDED_ATTEMPTS_MAX; attempt += 1) {
      const outcome = await this.#guardedOnce(wanted);
      if (outcome !== null) return outcome;
    }
    throw unavailable(new Error(`what guards a write changed ${GUARDED_ATTEMPTS_MAX} times`));
  }

  /** Null when a watched key was touched after the guard had said "go". */
  async #guardedOnce(wanted: GuardedCommands): Promise<string | null> {
    const { guard, keys, args, commands } = wanted;
    const pipeline = this.#redis.pipeline() as GuardedPipeline;
    pipeline.watch(...keys);
    // By its text: a server that lost the script would answer with an error, and the rest would be done.
    pipeline.callBuffer("EVAL", [guard.text, keys.length, ...keys, ...args.map(toArgument)]);
    // Its first `exec` is then the transaction's.
    pipeline.multi();
    const writes: WrittenCommand[] = [];
    for (const command of commands) {
      if ("bytes" in command) {
        const write = new WrittenCommand(command);
        writes.push(write);
        pipeline.sendCommand(write);
        continue;
      }
      const [name, ...rest] = command;
      pipeline.callBuffer(name, rest.map(toArgument));
    }
    void pipeline.exec();
    const timer = setTimeout(() => {
      for (const write of writes) write.reject(new Error(TIMED_OUT));
    }, this.#timeoutMs);
    const results = (await this.#settle(pipeline.exec()).finally(() => clearTimeout(timer))) ?? [];
    for (const [error] of results) if (error) throw this.#refusal(error);
    const outcome = String(results[GUARD_AT]?.[1]);
    const done = results.at(-1)?.[1];
    if (outcome !== "go") return outcome;
    if (!Array.isArray(done)) return null;
    for (const result of done) if (result instanceof Error) throw this.#refusal(result);
    return "ok";
  }

  /**
   * Resolves as `work` once the replicas have what this server had been told before `work` ended,
   * by anyone. A null is passed on at once: nothing was written. Where no replicas are asked for
   * it is `work` alone. Rejects with `TimeoutError("store.unreplicated")` when they have it not in
   * time; it may be there or not, then and when the connection ended meanwhile.
   */
  async held<T>(work: () => Promise<T>): Promise<T> {
    if (this.#replicas === null) return await work();
    try {
      return await this.#replicas.holding(async () => {
        const result = await work();
        if (result !== null) await this.#redis.set(this.#mark, 1);
        return result;
      });
    } catch (error) {
      if (error instanceof OmegaError) throw error;
      if (error instanceof NotReplicatedError) throw unreplicated(error.message);
      throw this.#refusal(error);
    }
  }

  close(): void {
    this.#redis.disconnect();
  }

  async #settle<T>(reply: Promise<T>): Promise<T> {
    try {
      return await reply;
    } catch (error) {
      throw this.#refusal(error);
    }
  }

  // The cause is only the message: ioredis hangs the command's arguments, our users' data, on its errors.
  #refusal(error: unknown): Error {
    const cause = new Error(messageOf(error));
    if (cause.message === TIMED_OUT) return timedOut(this.#timeoutMs, cause);
    return unavailable(cause);
  }
}

/** `connected` tells whether it ever was: until then no Sentinel that is away is asked again. */
function redisSettings(options: RedisConnectionOptions, connected: () => boolean) {
  const retryStrategy = (attempt: number) => {
    if (options.reconnect === false) return null;
    return RECONNECT_DELAY_MS_MIN + backoffDelayMs(RECONNECT, attempt - 1, options.random);
  };
  return {
    lazyConnect: true,
    // RESP2: maps come back as flat arrays, whatever field names they hold.
    protocol: 2 as const,
    connectTimeout: options.timeoutMs,
    commandTimeout: options.timeoutMs,
    socketTimeout: options.timeoutMs * 2,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    retryStrategy,
    sentinelRetryStrategy: (attempt: number) => (connected() ? retryStrategy(attempt) : null),
  };
}

/** ioredis writes only Buffers as bytes; other views would become "1,2,3". */
function toArgument(value: RedisArgument): string | number | Buffer {
  if (typeof value === "string" || typeof value === "number") return value;
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}
