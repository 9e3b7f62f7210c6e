/**
 * One line of the bench: one method in one case on one set.
 * @module
 */
import type { Case, Costs, Mode } from "./coder.ts";

/** NMSE of the mean of n devices that all sent the same ten vectors; null where it was not run. */
export interface NmseOfMean {
  readonly n1: number | null;
  readonly n10: number | null;
  readonly n100: number | null;
  readonly n1000: number | null;
}

/** A push of ours says besides what it costs. */
export interface Row extends Partial<Costs> {
  readonly set: string;
  readonly method: string;
  readonly states: number | null;
  readonly mode: Mode;
  readonly case: Case;
  /** Bytes that the complete frame may have. */
  readonly budget: number;
  /** Bytes that the largest of the frames has. */
  readonly bytes: number;
  /** Mean over the test vectors. */
  readonly cosine: number;
  /** Mean of ‖x − x̂‖² / ‖x‖². */
  readonly nmse: number;
  /** Among the hundred of a pull. */
  readonly recall10: number | null;
  /** Above the rate–distortion limit at the rate of the coded vectors alone. */
  readonly gapDb: number | null;
  readonly nmseOfMean: NmseOfMean | null;
  /** Of a drift: the same with a single push before it, whose own error is still in the register. */
  readonly afterOnePush?: { readonly cosine: number; readonly nmse: number };
  readonly encodeUs: number;
  readonly decodeUs: number;
}

/** Six significant digits: more would claim a precision that no figure here has. */
export function rounded(row: Row): Row {
  return JSON.parse(JSON.stringify(row), (_, value) =>
    typeof value === "number" ? Number(value.toPrecision(6)) : value,
  );
}
