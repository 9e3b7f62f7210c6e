/**
 * What the run and the processes of its devices say to each other over IPC.
 * @module
 */
import type { BelievedRegister } from "../../device/index.ts";

/** What light devices are made to do that no good network makes them do. */
export type Mischief =
  /** Read nothing for `forMs`, with all sockets open. */
  | { readonly kind: "stall"; readonly forMs: number }
  /** Cut their connections; on coming back they say again what was not acknowledged. */
  | { readonly kind: "cut" }
  /** Publish an acknowledged delta once more, the same bytes. */
  | { readonly kind: "replay" }
  /** Publish the next two deltas in the wrong order. */
  | { readonly kind: "reorder" }
  /** Open a second session of the same name and say there what is not acknowledged on the first. */
  | { readonly kind: "twice"; readonly forMs: number }
  /** Publish what no device should. */
  | { readonly kind: "poison" };

export type CrowdOrder =
  | { readonly kind: "mischief"; readonly what: Mischief; readonly devices: number }
  /** No new deltas from here on. */
  | { readonly kind: "quiet" }
  | { readonly kind: "report" };

export interface CrowdReport {
  readonly kind: "report";
  readonly devices: number;
  /** Deltas not acknowledged. */
  readonly pending: number;
  /** By release version: how many devices hold it. */
  readonly versions: readonly (readonly [number, number])[];
  /** What no server should have done. */
  readonly complaints: readonly string[];
  /** Frames published that no device should publish, and acknowledged. */
  readonly poisoned: number;
}

export interface CrowdPlan {
  readonly port: number;
  /** The number of the first device, and how many there are. */
  readonly first: number;
  readonly devices: number;
  /** Of all devices together. */
  readonly deltasPerS: number;
  readonly seed: number;
  readonly dim: number;
  readonly history: string;
  /** Rises with each start of the process, which remembers nothing. */
  readonly epoch: number;
}

export type DeviceOrder =
  | { readonly kind: "quiet" }
  | { readonly kind: "report" }
  /** SIGKILL at the `operation`th file operation from now, before or after it. */
  | { readonly kind: "die"; readonly operation: number; readonly after: boolean };

export interface DeviceReport {
  readonly kind: "report";
  readonly devices: readonly {
    readonly device: string;
    readonly pending: number;
    readonly version: number;
    readonly hash: string;
    readonly believed: ReadonlyMap<string, BelievedRegister>;
  }[];
}

export interface DevicePlan {
  readonly port: number;
  readonly devices: readonly string[];
  /** Mean time between two deltas of a device. */
  readonly putEveryMs: number;
  readonly seed: number;
  readonly dim: number;
  readonly dataDir: string;
  readonly history: string;
  /** Where the frames are kept with their hashes. */
  readonly frames: string;
}

export type Ready = { readonly kind: "ready" };
