/**
 * The history: what devices, gateways and aggregators did, one event after another.
 *
 * An event says what happened and never what it means; that is the oracle's to
 * decide. As a file it is one line of JSON for each event, so that the
 * histories of many processes can be joined and sorted. Hashes are those of
 * whole frames, in hex.
 * @module
 */

/** Where a delta stands: a device's incarnation and its number in it. */
export interface Place {
  readonly device: string;
  readonly epoch: number;
  readonly seq: number;
}

/** What an application said of one pattern; null takes it back. */
export interface SaidItem {
  readonly id: string;
  readonly weight: number | null;
}

export type HistoryEvent =
  /** A device's process starts; `memory` is what its disk has kept. */
  | {
      readonly kind: "boot";
      readonly device: string;
      readonly memory: "kept" | "wiped" | "damaged";
    }
  /** The application hands a delta over; `put` is its own number of it. */
  | {
      readonly kind: "put";
      readonly device: string;
      readonly put: number;
      readonly items: readonly SaidItem[];
    }
  /** That delta is durable. */
  | { readonly kind: "stored"; readonly device: string; readonly put: number }
  /** That delta was refused, and nothing of it was stored. */
  | { readonly kind: "unstored"; readonly device: string; readonly put: number }
  /** The device says that it gave these patterns up. */
  | { readonly kind: "dropped"; readonly device: string; readonly ids: readonly string[] }
  /** A frame leaves the device, the first time or again. */
  | ({ readonly kind: "send"; readonly hash: string } & Place)
  /** The device counts a delta as delivered. */
  | ({ readonly kind: "acked" } & Place)
  /** A down frame told the device up to where the server has consumed it. */
  | ({ readonly kind: "told" } & Place)
  /** The device took a release. */
  | {
      readonly kind: "release";
      readonly device: string;
      readonly version: number;
      readonly hash: string;
    }
  /** That release is on the device's disk: it is what its next process holds. */
  | { readonly kind: "cached"; readonly device: string; readonly version: number }
  /** The device, asked, holds this release. */
  | { readonly kind: "holds"; readonly device: string; readonly version: number }
  /** A gateway's session begins or ends. */
  | {
      readonly kind: "session";
      readonly gateway: string;
      readonly connection: number;
      readonly device: string;
      readonly open: boolean;
    }
  /** A PUBLISH came in; `packet` is its identifier on the connection. */
  | {
      readonly kind: "receive";
      readonly gateway: string;
      readonly connection: number;
      readonly packet: number;
    }
  /** A PUBACK goes out. */
  | {
      readonly kind: "puback";
      readonly gateway: string;
      readonly connection: number;
      readonly packet: number;
    }
  /** A gateway hands a frame to the queue; no place when it could not be read. */
  | {
      readonly kind: "enqueue";
      readonly device: string;
      readonly place: Place | null;
      readonly hash: string;
      readonly receivedAtMs: number;
    }
  /** Somebody took a lease. */
  | { readonly kind: "lease"; readonly name: string; readonly token: number }
  /** The store kept a commit. */
  | {
      readonly kind: "commit";
      readonly shard: number;
      readonly token: number;
      readonly number: number;
      readonly applied: number;
      /** Positions that were not consumed before and are now. */
      readonly consumed: readonly Place[];
    }
  /** The store kept a dead letter. */
  | {
      readonly kind: "dead-letter";
      readonly device: string;
      readonly place: Place | null;
      readonly reason: string;
    }
  /** The store made a release the current one. */
  | {
      readonly kind: "publish";
      readonly tenant: string;
      readonly token: number;
      readonly version: number;
      /** Of rendition 0, and of rendition 1 when there is one. */
      readonly hashes: readonly string[];
    }
  /** The bytes behind a hash, in base64, where nobody has them otherwise. */
  | { readonly kind: "frame"; readonly hash: string; readonly bytes: string }
  /** Something was done to the system, and how. */
  | { readonly kind: "fault"; readonly what: string };

/** An event with its moment, milliseconds on whatever clock the writer has. */
export type Dated = HistoryEvent & { readonly atMs: number };

/** `tenant/device epoch.seq`, a place as a map's key. */
export function placeName({ device, epoch, seq }: Place): string {
  return `${device} ${epoch}.${seq}`;
}
