/**
 * A backend as the run sees it: real servers, and a link of its own for each way to them.
 * @module
 */
import type { QueueBackend } from "../../src/queue/index.ts";
import type { Store } from "../../src/store/index.ts";
import type { Disk } from "./disk-of-its-own.ts";
import type { Part } from "./part.ts";
import type { FailOver } from "./schedule.ts";

/** Parts the devices are divided into. */
export const SHARDS = 4;

/** Seen past every link: the truth, for who judges. */
export interface OpenStage {
  readonly store: Store;
  readonly queue: QueueBackend;
  close(): Promise<void>;
}

export interface Stage {
  readonly servers: readonly Part[];
  /** Servers that belong to it and are left alone. */
  readonly helpers: readonly Part[];
  readonly disks: ReadonlyMap<string, Disk>;
  /** Of the one server, past every link; null where there are more or none. */
  readonly port: number | null;
  /** Links that belong to no process of the product. */
  readonly links: readonly string[];
  /** The flags by which a process of the product is told of it; its way there is the link `name`. */
  flagsFor(name: string): Promise<readonly string[]>;
  open(): Promise<OpenStage>;
  /** Resolves when it is at rest and whole again. */
  whole(): Promise<boolean>;
  /** False when it could not be begun. */
  readonly failOver: ((by: FailOver, forMs: number) => Promise<boolean>) | null;
  /** Puts a job that is none straight into the queue of a shard. */
  readonly poisonJob: ((shard: number) => Promise<void>) | null;
}

export interface StageOptions {
  /** A folder for logs, files of configuration and data. */
  readonly dir: string;
  /** Opens a link to a port of 127.0.0.1, and gives the port to connect to instead. */
  readonly link: (name: string, targetPort: number) => Promise<number>;
}
