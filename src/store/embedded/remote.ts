/**
 * What client process and owner say to each other.
 *
 * Client number 0 is the pool itself (single statements); others are born
 * with `connect` and die with `release`, or all at once when the channel closes.
 * @module
 */
import type { SqlResult } from "../../core/index.ts";
import type { ErrorData } from "./session.ts";

export const POOL = 0;

export type ToOwner =
  | { readonly kind: "connect"; readonly client: number }
  | {
      readonly kind: "query";
      readonly id: number;
      readonly client: number;
      readonly text: string;
      readonly params: unknown[] | null;
    }
  | { readonly kind: "release"; readonly client: number };

export type ToClient =
  | { readonly kind: "result"; readonly id: number; readonly result: SqlResult }
  | { readonly kind: "error"; readonly id: number; readonly error: ErrorData }
  | {
      readonly kind: "notification";
      readonly client: number;
      readonly channel: string;
      readonly payload: string | undefined;
    }
  /** This client died at the owner. */
  | { readonly kind: "dead"; readonly client: number; readonly error: ErrorData };
