/**
 * Frames of a device under test.
 * @module
 */
import { limits } from "../../core/index.ts";
import { codec0, encodeDelta, GRID } from "../../wire/index.ts";
import type { World } from "./assertion.ts";

/** Above what an earlier run can have used: one run is one incarnation of its devices. */
const EPOCH = 1;

/** Delta `seq` of the device: one pattern in codec 0, of the dimension tenants have by default. */
export function deltaOf({ zstd }: World, seq: number, dim = limits.DIMENSION_DEFAULT): Uint8Array {
  const target = new Int16Array(dim);
  target[seq % dim] = GRID;
  const upsert = {
    id: `conformance-${seq}`,
    ...{ weight: 1, success: 1, samples: 1, updatedAtS: 1_700_000_000 + seq },
    embedding: { mode: "absolute", target },
  } as const;
  const content = { dim, upserts: [upsert], removals: [] };
  return encodeDelta({ epoch: EPOCH, seq, base: 0 }, content, codec0, zstd).frame;
}
