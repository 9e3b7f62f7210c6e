/**
 * Codec models as the backends keep them, and what may be kept at all.
 *
 *   model = 1  version  samples  learntAtMs  bytes
 *
 * One model is one value, so that the three adapters agree on what a resend of
 * the same is: equal bytes.
 * @module
 */
import { SerializationError } from "../core/index.ts";
import { MODEL_BYTES_MAX, MODEL_VERSION_MAX } from "../wire/index.ts";
import { ByteReader, ByteWriter } from "./bytes.ts";
import type { StoredModel } from "./port.ts";
import { requireVersion } from "./records.ts";

const MODEL_RECORD_VERSION = 1;

/**
 * Throws `SerializationError`: "model.version", "model.length" when there are no bytes or too many,
 * or "model.number" for a count or time that is none.
 */
export function requireStoredModel(model: StoredModel): void {
  const { version, bytes, samples, learntAtMs } = model;
  if (!Number.isInteger(version) || version < 1 || version > MODEL_VERSION_MAX) {
    throw wrong("version", `version must be 1 to ${MODEL_VERSION_MAX}: got ${version}`);
  }
  if (bytes.length < 1 || bytes.length > MODEL_BYTES_MAX) {
    throw wrong("length", `bytes must be 1 to ${MODEL_BYTES_MAX}: got ${bytes.length}`);
  }
  for (const [name, value] of Object.entries({ samples, learntAtMs })) {
    if (Number.isSafeInteger(value) && value >= 0) continue;
    throw wrong("number", `${name} must be an integer in 0 … 2^53 − 1: got ${value}`);
  }
}

function wrong(field: string, message: string): SerializationError {
  return new SerializationError(`model.${field}`, `a stored codec model's ${message}`);
}

/** Throws `SerializationError("record.integer")` on a number that is not 0 … 2^53 − 1. */
export function encodeStoredModel(model: StoredModel): Uint8Array {
  const out = new ByteWriter();
  out.byte(MODEL_RECORD_VERSION);
  out.varint(model.version);
  out.varint(model.samples);
  out.varint(model.learntAtMs);
  out.bytes(model.bytes);
  return out.finish();
}

/** Inverse of {@link encodeStoredModel}; strict. */
export function decodeStoredModel(record: Uint8Array): StoredModel {
  const from = new ByteReader(record, "codec model");
  requireVersion(from, MODEL_RECORD_VERSION);
  const model = {
    version: from.varint(),
    samples: from.varint(),
    learntAtMs: from.varint(),
    bytes: from.bytes(),
  };
  from.end();
  return model;
}
