/**
 * What a call was refused with.
 * @module
 */
import { OmegaError } from "../../src/core/index.ts";

/** The reason of the OmegaError that `act` throws, or null; any other error goes on. */
export function reasonOf(act: () => unknown): string | null {
  try {
    act();
  } catch (error) {
    if (error instanceof OmegaError) return error.reason;
    throw error;
  }
  return null;
}

/** Like {@link reasonOf}, with the stable code in front: `Serialization cbor.tag`. */
export function refusalOf(act: () => unknown): string | null {
  try {
    act();
  } catch (error) {
    if (error instanceof OmegaError) return `${error.code} ${error.reason}`;
    throw error;
  }
  return null;
}

/** Bytes from hex; spaces are ignored. */
export function hex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text.replaceAll(" ", ""), "hex"));
}
