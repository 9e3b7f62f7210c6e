/**
 * What the process of a crowd is told, and what it answers: one order at a time.
 * @module
 */
import type { CodecId } from "./frame-pool.ts";
import type { Shape } from "./points.ts";

export interface CrowdOptions {
  readonly shape: Shape;
  readonly gatewayPort: number;
  readonly redisUrl: string;
}

export type Order =
  /** The frames from now on. */
  | { readonly kind: "frames"; readonly codec: CodecId; readonly file: string }
  /** Every pattern of every device once, put into the queue without a gateway. */
  | { readonly kind: "fill" }
  /** The next devices come online, in the place of those before. */
  | { readonly kind: "take-turns" }
  /** So many deltas of the devices online, in turn, one every 1/ratePerS seconds. */
  | { readonly kind: "publish"; readonly deltas: number; readonly ratePerS: number };

export interface Done {
  /** Deltas that are durable now and were not before. */
  readonly acked: number;
  /** Until the last was acknowledged, seconds. */
  readonly elapsedS: number;
}

export type Answer =
  | { readonly kind: "done"; readonly done: Done }
  | { readonly kind: "failed"; readonly why: string };
