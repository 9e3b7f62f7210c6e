/**
 * What the bench asks of a crowd, the process that holds the device ends of its connections.
 * @module
 */

/** How a device reaches the gateway; `tls` without a ticket to resume from. */
export type Way = "tcp" | "tls" | "tls-resumed";

/** Devices from … to − 1. */
export interface Range {
  readonly from: number;
  readonly to: number;
}

export interface Opening {
  readonly way: Way;
  /** Whether each listens too, and waits for the retained message. */
  readonly subscribes: boolean;
  readonly atOnceMax: number;
  /** Devices begun per second; as fast as it goes when absent. */
  readonly perS?: number;
}

export interface Orders {
  /** Connects. */
  open(of: Range & Opening): Promise<Opened>;
  /** Says goodbye. */
  close(of: Range): Promise<void>;
  /** One PINGREQ of each, spread over `overMs`; resolves when all are answered. */
  ping(of: Range & { overMs: number }): Promise<void>;
  /** One SUBSCRIBE of each, `atOnceMax` at a time; resolves when all have the retained message. */
  subscribe(of: Range & { atOnceMax: number }): Promise<void>;
  /** Breaks every connection at one moment; each device comes back by the backoff of the SDK. */
  storm(of: Range & { withinMsMax: number }): Promise<Storm>;
  /** Begins to publish `ratePerS` deltas in all, by the clock and whatever the answers. */
  publish(of: Range & { ratePerS: number }): Promise<void>;
  /** Latencies since the last time, from when a delta was due. */
  acks(): Promise<Acks>;
  /** Publishes no more. */
  quiet(): Promise<void>;
  /** Resolves when each device holds `version`. */
  released(of: Range & { version: number; withinMsMax: number }): Promise<Released>;
}

export interface Opened {
  readonly elapsedMs: number;
  /** TLS handshakes that were resumptions. */
  readonly resumed: number;
}

export interface Storm {
  readonly elapsedMs: number;
  /** When half of the devices, and 99 of 100, were back; infinite when they never were. */
  readonly medianMs: number;
  readonly p99Ms: number;
  /** Devices that are not back after `withinMsMax`. */
  readonly missing: number;
  /** CONNACKs by return code. */
  readonly connacks: Readonly<Record<string, number>>;
  /** Attempts that ended without a CONNACK. */
  readonly unanswered: number;
  /** Bytes that no server should have sent. */
  readonly wrong: number;
}

export interface Acks {
  readonly count: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export interface Released {
  /** From the order to the last device. */
  readonly elapsedMs: number;
  readonly missing: number;
  readonly frames: number;
  readonly bytes: number;
  /** Distinct bodies among all frames. */
  readonly bodies: number;
}

export interface Order {
  readonly id: number;
  readonly verb: keyof Orders;
  readonly args: readonly unknown[];
}

export interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

/** What a crowd is started with. */
export interface CrowdOptions {
  readonly tcpPort: number;
  readonly tlsPort: number;
  /** PEM. */
  readonly ca: string;
  /** What the devices read: 1 gets releases in parts. */
  readonly minor: 0 | 1;
}
