/**
 * From the frame of a codec model to a model that computes: verified, decoded
 * in small slices, and shared by all devices of one process.
 *
 * Making a basis orthonormal takes tens of milliseconds on a desk and perhaps
 * seconds on a TV, so it pauses between slices. A process that plays a thousand
 * TVs does it once: equal bytes make equal models.
 * @module
 */
import { OmegaError, ProtocolError } from "../src/core/index.ts";
import { type ModelFrame, prepareModel, readModelFrame } from "../src/wire/index.ts";
import type { SessionEvent } from "./session-events.ts";
import { type HeldModel, HeldModels } from "./session-models.ts";
import type { OutboxStorage } from "./storage.ts";

/** Models shared at once: two tenants, each in the middle of a change. */
const SHARED_MAX = 4;
/** By content hash, in order of last use. */
const shared = new Map<string, Promise<HeldModel>>();

/** The models kept in `storage`; a damaged one is told to `onError`, and asked for again when it is needed. */
export async function readModels(
  storage: OutboxStorage,
  dim: number,
  onError: (error: OmegaError) => void,
): Promise<HeldModels> {
  const held: HeldModel[] = [];
  for (const bytes of await storage.readModels()) {
    const event = await modelEvent(bytes);
    if (event.kind === "model") held.push(event.held);
    else onError(event.error);
  }
  return new HeldModels(dim, held);
}

type ModelEvent = Extract<SessionEvent, { kind: "model" | "model-broken" }>;

/** What the frame from a codec topic means to the session. */
export async function modelEvent(bytes: Uint8Array): Promise<ModelEvent> {
  try {
    return { kind: "model", held: await openModel(bytes) };
  } catch (error) {
    if (!(error instanceof OmegaError)) throw error;
    return { kind: "model-broken", error, bytes: bytes.byteLength };
  }
}

async function openModel(bytes: Uint8Array): Promise<HeldModel> {
  const read = readModelFrame(bytes);
  const name = Array.from(read.contentHash, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const opening = shared.get(name) ?? open(read, bytes.slice());
  shared.delete(name);
  shared.set(name, opening);
  for (const oldest of shared.keys()) {
    if (shared.size <= SHARED_MAX) break;
    shared.delete(oldest);
  }
  try {
    return await opening;
  } catch (error) {
    shared.delete(name);
    throw error;
  }
}

async function open({ version, model: bytes }: ModelFrame, frame: Uint8Array): Promise<HeldModel> {
  const model = await prepareModel(bytes, breathe);
  if (model.version === version) return { model, frame };
  throw new ProtocolError("model.version", `a frame of model ${version} holds ${model.version}`);
}

/** Lets everything else that waits in this process run. */
function breathe(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
