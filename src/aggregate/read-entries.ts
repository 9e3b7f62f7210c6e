/**
 * Reading a job: every frame decoded, and those that name a codec model once that model is at hand.
 * @module
 */
import { deviceName } from "../core/index.ts";
import type { QueueEntry } from "../queue/index.ts";
import type { CodecModel, CodecModels, Zstd } from "../wire/index.ts";
import { readFrame } from "./fold-read.ts";
import type { FoldEntry } from "./fold-state.ts";
import type { ModelShelf } from "./model-shelf.ts";

/** The entries as the fold takes them, in their order, read with the models that are on the shelf. */
export function readEntries(
  entries: readonly QueueEntry[],
  zstd: Zstd,
  shelf: Pick<ModelShelf, "of">,
): FoldEntry[] {
  return entries.map((entry) => readEntry(entry, zstd, shelf.of(entry.key.tenant)));
}

/** Whether the entry could not be read for want of a model that may be in the store. */
export function lacksModel(entry: FoldEntry): boolean {
  return wantedBy(entry) !== null;
}

/**
 * `read` again, where a model was lacking, with what the store has; a model that it does not have
 * leaves the frame refused as `codec.model`. Rejects as `ModelShelf.load` does: then nobody knows
 * whether there is one, and no device may be told that there is none.
 */
export async function readLacking(
  read: readonly FoldEntry[],
  zstd: Zstd,
  shelf: Pick<ModelShelf, "load">,
): Promise<FoldEntry[]> {
  const fetched = new Map<string, CodecModel | null>();
  for (const entry of read) {
    const version = wantedBy(entry);
    if (version === null || fetched.has(nameOf(entry, version))) continue;
    fetched.set(nameOf(entry, version), await shelf.load(entry.key.tenant, version));
  }
  // Read with what we hold in our hands: the shelf may have had to make room meanwhile.
  return read.map((entry) => {
    const version = wantedBy(entry);
    const model = version === null ? null : (fetched.get(nameOf(entry, version)) ?? null);
    if (model === null) return entry;
    return readEntry(entry, zstd, { get: (asked) => (asked === version ? model : null) });
  });
}

function readEntry(
  { key, receivedAtMs, frame, retried }: QueueEntry,
  zstd: Zstd,
  models: CodecModels,
): FoldEntry {
  const name = deviceName(key);
  const read = readFrame(frame, zstd, { models, sender: name });
  const entry = { key, receivedAtMs, frame, name, read, final: false };
  return retried ? { ...entry, retried } : entry;
}

function wantedBy({ read }: FoldEntry): number | null {
  return read.kind === "refused" ? read.wantsModel : null;
}

function nameOf({ key }: FoldEntry, version: number): string {
  return `${key.tenant}/${version}`;
}
