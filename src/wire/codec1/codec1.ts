/** STUB, never committed. @module */
import { ProtocolError } from "../../core/index.ts";
import { type GridVector, reconstruct } from "../grid.ts";
import type { VectorKind } from "./block.ts";
import { toSpace } from "./klt.ts";
import type { CodecModel, CodecModels } from "./model.ts";
export interface Codec1Context {
  readonly models: CodecModels;
  readonly sender: string;
  readonly epoch: number;
  readonly seq: number;
}
export interface Codec1Vector {
  readonly target: GridVector;
  readonly reference: { readonly vector: GridVector; readonly space: number } | null;
}
export function encodeCodec1(
  vectors: readonly Codec1Vector[],
  options: { dim: number; bytesMax: number; states: 8 | 64; mode: "tracking" | "unbiased"; model: CodecModel | null; quality?: number },
  _context: Codec1Context,
): { bytes: Uint8Array; space: number; reconstructions: GridVector[]; nmse: number; step: number } | null {
  const { dim, bytesMax, model } = options;
  const n = vectors.length;
  if (5 + 2 * n * dim > bytesMax) return null;
  const bytes = new Uint8Array(5 + 2 * n * dim);
  const view = new DataView(bytes.buffer);
  view.setUint16(1, model?.version ?? 0, true);
  const reconstructions = vectors.map(({ target, reference }, i) => {
    const [image = target] = model === null ? [target] : toSpace(model, [target]);
    const residual = new Int32Array(dim);
    for (let at = 0; at < dim; at += 1) {
      const wanted = (image[at] as number) - (reference?.vector[at] ?? 0);
      residual[at] = Math.max(-32768, Math.min(32767, wanted & ~3));
      view.setInt16(5 + 2 * (i * dim + at), residual[at] as number, true);
    }
    return reconstruct(reference?.vector ?? null, residual);
  });
  return { bytes, space: model?.version ?? 0, reconstructions, nmse: 1e-6, step: 0 };
}
export function decodeCodec1(
  bytes: Uint8Array,
  kinds: readonly VectorKind[],
  dim: number,
  context: Codec1Context,
): { space: number; mode: "tracking" | "unbiased"; residuals: Int32Array[] } {
  if (bytes.length !== 5 + 2 * kinds.length * dim) throw new ProtocolError("codec.length", "stub");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const space = view.getUint16(1, true);
  if (space > 0 && context.models.get(space) === null) throw new ProtocolError("codec.model", "stub");
  const residuals = kinds.map((_, i) => Int32Array.from({ length: dim }, (_, at) => view.getInt16(5 + 2 * (i * dim + at), true)));
  return { space, mode: "tracking", residuals };
}
