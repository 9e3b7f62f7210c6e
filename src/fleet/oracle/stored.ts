/**
 * What a store and a device hold at rest, in the oracle's words.
 * @module
 */
import type { BelievedRegister } from "../../../device/index.ts";
import { decodeRegister, verifyShards } from "../../aggregate/index.ts";
import type { DeviceKey } from "../../core/index.ts";
import type { Store } from "../../store/index.ts";
import type { FinalRegister, Finals } from "./finals.ts";
import { hexOf } from "./recorders.ts";

/** The registers that the store holds of a device. */
export async function storedRegisters(
  store: Store,
  key: DeviceKey,
): Promise<Map<string, FinalRegister>> {
  const registers = new Map<string, FinalRegister>();
  for (const [id, blob] of await store.registers(key)) {
    const register = decodeRegister(blob);
    const live = register.kind === "live" ? register : null;
    registers.set(id, {
      ...{ epoch: register.epoch, seq: register.seq, bucket: register.bucket },
      ...{ space: live?.space ?? 0, vector: live?.vector ?? null, weight: live?.weight ?? null },
    });
  }
  return registers;
}

/** The registers that a device takes for confirmed. */
export function believedRegisters(
  believed: ReadonlyMap<string, BelievedRegister>,
): Map<string, FinalRegister> {
  return new Map(
    [...believed].map(([id, belief]) => [id, { ...belief, weight: null, bucket: null }]),
  );
}

/** Version 0 before the first release. */
export async function newestRelease(store: Store, tenant: string): Promise<Finals["newest"]> {
  const current = await store.currentRelease(tenant);
  if (current === null) return { version: 0, hashes: [] };
  const { ladder, ladder1 } = current;
  const hashes = [ladder.contentHash, ...(ladder1 === null ? [] : [ladder1.contentHash])];
  return { version: ladder.version, hashes: hashes.map(hexOf) };
}

/** Rows of sums that are not what the registers of `keys`, every device that ever spoke, add up to; in words. */
export async function wrongSums(
  store: Store,
  keys: readonly DeviceKey[],
  retention: Parameters<typeof verifyShards>[2],
  nowMs: number,
): Promise<string[]> {
  const verdicts = await verifyShards(store, keys, retention, nowMs);
  return verdicts.flatMap(({ shard, mismatches }) =>
    mismatches.map(
      ({ pattern, bucket, kind }) => `${pattern} in bucket ${bucket} of shard ${shard} is ${kind}`,
    ),
  );
}
