/**
 * State: I7 and I10. Plays what was applied once more, slowly, and compares.
 *
 * The registers must be what the deltas of each device say in the order of
 * their positions; that the sums are what the registers add up to has been
 * computed where the store is at hand. Pure.
 * @module
 */
import { deviceName, OmegaError } from "../../core/index.ts";
import {
  type DecodedDelta,
  decodeDelta,
  type GridVector,
  peekFrame,
  reconstruct,
  sameVector,
  type Zstd,
} from "../../wire/index.ts";
import type { Delivered } from "./delivery.ts";
import { type Dated, type Place, placeName } from "./events.ts";
import type { FinalDevice, FinalRegister, Finals } from "./finals.ts";
import type { Violation } from "./violation.ts";

const FRAME_BYTES_MAX = 64 * 1024;
const NO_MODELS = { get: () => null };

/** A register as the reference has it, or null for a tombstone. */
interface Word {
  readonly place: Place;
  readonly weight: number | null;
  readonly space: number;
  readonly vector: GridVector | null;
}

export function stateFaults(
  history: readonly Dated[],
  delivered: Delivered,
  finals: Finals,
  zstd: Zstd,
): Violation[] {
  const sums = finals.wrongSums.map((what): Violation => ({ invariant: "I7", what }));
  const registers = finals.devices.flatMap((device) => {
    const words = playDevice(deviceName(device.key), delivered, finals, zstd);
    return compare(device, words);
  });
  return [...sums, ...registers, ...fencingFaults(history)];
}

/** Every applied delta of a device in the order of its positions. */
function playDevice(
  device: string,
  { consumed, buried, hashes }: Delivered,
  { frameOf }: Finals,
  zstd: Zstd,
): Map<string, Word> {
  const places = [...consumed.values()]
    .filter((place) => place.device === device && !buried.has(placeName(place)))
    .sort((a, b) => a.epoch - b.epoch || a.seq - b.seq);
  const last = new Map<string, Word>();
  const ever = new Map<string, Word>();
  for (const place of places) {
    const [hash = ""] = hashes.get(placeName(place)) ?? [];
    const delta = read(device, frameOf(hash), zstd);
    if (delta === null) continue;
    for (const { id, weight, residual, referenceSeq, mode } of delta.upserts) {
      const before = ever.get(`${place.epoch}.${referenceSeq} ${id}`);
      const reference = mode === "absolute" ? null : (before?.vector ?? null);
      const kept = residual === null;
      const vector = kept ? reference : reconstruct(reference, residual);
      const space = kept ? (before?.space ?? 0) : delta.space;
      const word: Word = { place, weight, space, vector };
      ever.set(`${place.epoch}.${place.seq} ${id}`, word);
      last.set(id, word);
    }
    for (const id of delta.removals) {
      last.set(id, { place, weight: null, space: 0, vector: null });
    }
  }
  return last;
}

function read(device: string, frame: Uint8Array | undefined, zstd: Zstd): DecodedDelta | null {
  if (frame === undefined) return null;
  try {
    const context = { models: NO_MODELS, sender: device };
    return decodeDelta(peekFrame(frame, FRAME_BYTES_MAX), zstd, context);
  } catch (error) {
    if (error instanceof OmegaError) return null;
    throw error;
  }
}

function compare({ key, registers }: FinalDevice, words: ReadonlyMap<string, Word>): Violation[] {
  const ids = new Set([...registers.keys(), ...words.keys()]);
  return [...ids].flatMap((id): Violation[] => {
    const [word, register] = [words.get(id), registers.get(id)];
    if (word !== undefined && register !== undefined && isSame(word, register)) return [];
    const told = word === undefined ? "nothing" : placeName(word.place);
    const holds = register === undefined ? "nothing" : `${register.epoch}.${register.seq}`;
    const what = `${deviceName(key)}: ${id} is ${holds}, the reference fold has ${told}`;
    return [{ invariant: "I7", what }];
  });
}

function isSame({ place, weight, space, vector }: Word, register: FinalRegister): boolean {
  return (
    place.epoch === register.epoch &&
    place.seq === register.seq &&
    weight === register.weight &&
    space === register.space &&
    sameContent(vector, register.vector)
  );
}

function sameContent(a: GridVector | null, b: GridVector | null): boolean {
  return a === null || b === null ? a === b : sameVector(a, b);
}

/** No commit and no release under a token older than one that was given out before it. */
function fencingFaults(history: readonly Dated[]): Violation[] {
  const tokens = new Map<string, number>();
  const violations: Violation[] = [];
  const check = (lease: string, token: number) => {
    const newest = tokens.get(lease) ?? 0;
    if (token === newest) return;
    const what = `${lease} was written under token ${token} when ${newest} was the newest`;
    violations.push({ invariant: "I7", what });
  };
  for (const event of history) {
    if (event.kind === "lease") tokens.set(event.name, event.token);
    if (event.kind === "commit") check(`shard-${event.shard}`, event.token);
    if (event.kind === "publish") check(`releaser-${event.tenant}`, event.token);
  }
  return violations;
}

/** I10: no device is told of more than what the server had consumed of it by then. */
export function watermarkFaults(history: readonly Dated[]): Violation[] {
  const consumed = new Set<string>();
  const known = new Map<string, number>();
  const violations: Violation[] = [];
  for (const event of history) {
    if (event.kind === "commit") for (const place of event.consumed) consumed.add(placeName(place));
    if (event.kind !== "told") continue;
    const { device, epoch, seq } = event;
    const incarnation = `${device} ${epoch}`;
    let low = known.get(incarnation) ?? 0;
    while (low < seq && consumed.has(placeName({ device, epoch, seq: low + 1 }))) low += 1;
    known.set(incarnation, low);
    if (low >= seq) continue;
    const what = `${device} was told that ${epoch}.${seq} is consumed, it is ${epoch}.${low}`;
    violations.push({ invariant: "I10", what });
  }
  return violations;
}

/** I10: every register that a device takes for confirmed is in the store, and just so. */
export function beliefFaults(devices: readonly FinalDevice[]): Violation[] {
  return devices.flatMap(({ key, believed, registers }) =>
    [...believed].flatMap(([id, belief]): Violation[] => {
      const held = registers.get(id);
      const same =
        held !== undefined &&
        held.epoch === belief.epoch &&
        held.seq === belief.seq &&
        held.space === belief.space &&
        sameContent(held.vector, belief.vector);
      if (same) return [];
      const holds = held === undefined ? "nothing" : `${held.epoch}.${held.seq}`;
      const what = `${deviceName(key)} believes ${belief.epoch}.${belief.seq} of ${id}, the server holds ${holds}`;
      return [{ invariant: "I10", what }];
    }),
  );
}
