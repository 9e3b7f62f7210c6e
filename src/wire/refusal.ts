/**
 * Refusals: why the server did not take something, as concise problem details
 * (RFC 9290), so that a device's log says what its author must fix.
 *
 *   [ { -1: title, -2: detail, "omega": { 0: epoch, 1: seq, 2: reason } }, … ]
 *
 * "omega" is a custom problem detail entry (RFC 9290 §3.2); epoch and seq are
 * absent when the refused bytes did not tell them.
 * @module
 */
import { assert, ProtocolError } from "../core/index.ts";
import { type CborKey, type CborValue, decodeCbor, encodeCbor } from "./cbor.ts";
import { encodeFrame, type Frame, requireKind, unpackBody } from "./frame.ts";
import { COUNTER_MAX, type Position } from "./header.ts";
import type { Zstd } from "./zstd.ts";

export interface Problem {
  /** Dotted and stable, like `frame.truncated`; at most 64 characters. */
  readonly reason: string;
  /** One line for people; at most 120 characters travel. */
  readonly title: string;
  /** At most 500 characters travel. */
  readonly detail?: string;
  /** Which delta was refused, when its header could be read. */
  readonly position: Position | null;
}

export const PROBLEMS_MAX = 8;

const REASON = /^[a-z0-9][a-z0-9.-]{0,63}$/;
const TITLE_LENGTH_MAX = 120;
const DETAIL_LENGTH_MAX = 500;
const TITLE = -1;
const DETAIL = -2;
const OMEGA = "omega";
const KEY = { epoch: 0, seq: 1, reason: 2 } as const;

/** A refusal frame with 1–8 problems, stored uncompressed; longer texts are cut. */
export function encodeRefusal(problems: readonly Problem[]): Uint8Array {
  assert(problems.length >= 1 && problems.length <= PROBLEMS_MAX, "a refusal has 1 to 8 problems");
  const bytes = encodeCbor(problems.map(problemToCbor));
  return encodeFrame({ kind: "refusal" }, { compressed: false, bytes });
}

function problemToCbor(problem: Problem): CborValue {
  assert(REASON.test(problem.reason), `a reason is dotted lower case: ${problem.reason}`);
  const omega = new Map<CborKey, CborValue>([[KEY.reason, problem.reason]]);
  if (problem.position !== null) {
    omega.set(KEY.epoch, problem.position.epoch);
    omega.set(KEY.seq, problem.position.seq);
  }
  const map = new Map<CborKey, CborValue>([
    [TITLE, clip(problem.title, TITLE_LENGTH_MAX)],
    [OMEGA, omega],
  ]);
  if (problem.detail !== undefined) map.set(DETAIL, clip(problem.detail, DETAIL_LENGTH_MAX));
  return map;
}

/** The first `lengthMax` UTF-16 units, without half of a surrogate pair at the end. */
function clip(text: string, lengthMax: number): string {
  if (text.length <= lengthMax) return text;
  const last = text.charCodeAt(lengthMax - 1);
  return text.slice(0, last >= 0xd800 && last < 0xdc00 ? lengthMax - 1 : lengthMax);
}

/**
 * The problems in a refusal frame. Entries of RFC 9290 that we do not use are ignored.
 *
 * Throws `ProtocolError("frame.kind" | "refusal.…")`, `SerializationError` or `CompressionError`.
 */
export function decodeRefusal(frame: Frame, zstd: Zstd): Problem[] {
  requireKind(frame, "refusal");
  const value = decodeCbor(unpackBody(frame.body, zstd));
  if (!Array.isArray(value) || value.length === 0 || value.length > PROBLEMS_MAX) {
    throw new ProtocolError("refusal.shape", `expected an array of 1 to ${PROBLEMS_MAX} problems`);
  }
  return value.map(problemFromCbor);
}

function problemFromCbor(value: CborValue): Problem {
  const omega = value instanceof Map ? value.get(OMEGA) : undefined;
  if (!(value instanceof Map) || !(omega instanceof Map)) {
    throw new ProtocolError("refusal.shape", "a problem is a map with an omega entry");
  }
  const reason = omega.get(KEY.reason);
  if (typeof reason !== "string" || !REASON.test(reason)) {
    throw new ProtocolError("refusal.reason", "a reason is dotted lower case");
  }
  const title = textOf(value.get(TITLE), "title", TITLE_LENGTH_MAX);
  const detail = value.get(DETAIL);
  const position = positionOf(omega.get(KEY.epoch), omega.get(KEY.seq));
  if (detail === undefined) return { reason, title, position };
  return { reason, title, detail: textOf(detail, "detail", DETAIL_LENGTH_MAX), position };
}

function textOf(value: CborValue | undefined, field: string, lengthMax: number): string {
  if (typeof value === "string" && value.length <= lengthMax) return value;
  throw new ProtocolError(`refusal.${field}`, `${field} must be at most ${lengthMax} characters`);
}

function positionOf(epoch: CborValue | undefined, seq: CborValue | undefined): Position | null {
  if (epoch === undefined && seq === undefined) return null;
  const within = (part: CborValue | undefined): part is number =>
    typeof part === "number" && part >= 0 && part <= COUNTER_MAX;
  if (within(epoch) && within(seq)) return { epoch, seq };
  throw new ProtocolError("refusal.position", "epoch and seq come together, as integers");
}
