import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ProtocolError, SerializationError } from "../../../src/core/index.ts";
import {
  type CodecModel,
  decodeModel,
  encodeModel,
  MODEL_BYTES_MAX,
  prepareModel,
} from "../../../src/wire/codec1/model.ts";
import { reasonOf } from "../../support/reason.ts";
import { departure, dot, learntModel, rowOf } from "./models.ts";

const DIM = 24;
const bytes = encodeModel(learntModel(DIM));

function edited(edit: (view: DataView) => void): Uint8Array {
  const copy = bytes.slice();
  edit(new DataView(copy.buffer));
  return copy;
}

function refusalOf(broken: Uint8Array): string {
  try {
    decodeModel(broken);
  } catch (error) {
    if (error instanceof ProtocolError) return error.reason;
    throw error;
  }
  return "accepted";
}

describe("a codec model", () => {
  it("comes out of its bytes with everything but the basis exactly as it went in", () => {
    const learnt = learntModel(DIM, 65535);
    const held = decodeModel(encodeModel(learnt));
    expect(held.version).toBe(65535);
    expect(held.dim).toBe(DIM);
    expect(held.mean).toEqual(learnt.mean);
    expect(held.spectrum).toEqual(learnt.spectrum);
  });

  it.each([8, 21, 48, 384])(
    "of %d dimensions has an orthonormal basis close to the learnt one",
    (dim) => {
      const learnt = learntModel(dim);
      const held = decodeModel(encodeModel(learnt));
      expect(departure(held)).toBeLessThan(2e-7);
      for (let row = 0; row < dim; row += 1) {
        expect(dot(rowOf(held, row), rowOf(learnt, row))).toBeGreaterThan(0.9995);
      }
    },
  );

  it("takes one byte an entry", () => {
    expect(encodeModel(learntModel(384))).toHaveLength(5 + 4 * 384 + 384 * 384);
    expect(MODEL_BYTES_MAX).toBe(5 + 4 * 1024 + 1024 * 1024);
  });

  it("prepared in slices is bit for bit the one decoded at once, and pauses in between", async () => {
    const large = encodeModel(learntModel(192));
    let pauses = 0;
    const prepared = await prepareModel(large, async () => {
      pauses += 1;
    });
    expect(prepared).toEqual(decodeModel(large));
    expect(pauses).toBeGreaterThan(2);
  });

  it("decodes from the middle of a larger buffer", () => {
    const frame = new Uint8Array(bytes.length + 7).fill(0xff);
    frame.set(bytes, 3);
    expect(decodeModel(frame.subarray(3, 3 + bytes.length))).toEqual(decodeModel(bytes));
  });

  it("has the floats that are frozen in the protocol", () => {
    const frozen = new Uint8Array(5 + 4 * 8 + 64);
    frozen.set([1, 3, 0, 8, 0]);
    for (let at = 0; at < 64; at += 1) {
      const row = at >> 3;
      const column = at & 7;
      // Sylvester's matrix of order 8, each entry off by up to two levels.
      const shared = row & column;
      const sign = ((shared >> 2) ^ (shared >> 1) ^ shared) & 1 ? -1 : 1;
      frozen[5 + 32 + at] = sign * 100 + ((row * 7 + column * 3) % 5) - 2;
    }
    const model = decodeModel(frozen);
    expect([...model.basis.subarray(0, 8)]).toMatchInlineSnapshot(`
      [
        0.3473168909549713,
        0.35794904828071594,
        0.35086092352867126,
        0.3614930808544159,
        0.3544049859046936,
        0.3473168909549713,
        0.35794904828071594,
        0.35086092352867126,
      ]
    `);
    expect([...model.basis.subarray(56)]).toMatchInlineSnapshot(`
      [
        0.3556956350803375,
        -0.36010855436325073,
        -0.35138094425201416,
        0.35566309094429016,
        -0.3556634485721588,
        0.3424883484840393,
        0.3601089119911194,
        -0.34693580865859985,
      ]
    `);
  });
});

describe("bytes that are no model", () => {
  it("are refused when cut anywhere, or when something follows", () => {
    for (let length = 0; length < bytes.length; length += length < 20 ? 1 : 13) {
      expect(refusalOf(bytes.subarray(0, length))).toBe("model.length");
    }
    expect(refusalOf(Uint8Array.of(...bytes, 0))).toBe("model.length");
  });

  it("are refused with the field that is wrong", () => {
    const basisAt = 5 + 4 * DIM;
    expect(refusalOf(edited((view) => view.setUint8(0, 2)))).toBe("model.format");
    expect(refusalOf(edited((view) => view.setUint16(1, 0, true)))).toBe("model.version");
    expect(refusalOf(edited((view) => view.setUint16(3, 7, true)))).toBe("model.dim");
    expect(refusalOf(edited((view) => view.setUint16(3, 1025, true)))).toBe("model.dim");
    expect(refusalOf(edited((view) => view.setInt16(5 + 2 * DIM, -1, true)))).toBe(
      "model.spectrum",
    );
    expect(refusalOf(edited((view) => view.setInt16(5 + 2 * DIM, 1024, true)))).toBe(
      "model.spectrum",
    );
    expect(refusalOf(edited((view) => view.setInt8(basisAt + 9, -128)))).toBe("model.basis");
  });

  it("are refused when a row is zero, repeats another, or leans on all others", () => {
    const basisAt = 5 + 4 * DIM;
    const zeroRow = bytes.slice().fill(0, basisAt + DIM, basisAt + 2 * DIM);
    expect(refusalOf(zeroRow)).toBe("model.basis");
    const repeated = bytes.slice().copyWithin(basisAt + 5 * DIM, basisAt, basisAt + DIM);
    expect(refusalOf(repeated)).toBe("model.basis");
    const leaning = edited((view) => {
      for (let at = 0; at < DIM * DIM; at += 1) {
        view.setInt8(basisAt + at, at % (DIM + 1) === 0 ? 127 : 30);
      }
    });
    expect(refusalOf(leaning)).toBe("model.basis");
  });

  it("give a refusal or a model of finite numbers, whatever was done to them", () => {
    const anyEdit = fc.tuple(fc.nat(bytes.length - 1), fc.nat(255));
    fc.assert(
      fc.property(fc.array(anyEdit, { minLength: 1, maxLength: 40 }), (edits) => {
        const mutated = bytes.slice();
        for (const [at, value] of edits) mutated[at] = value;
        let model: CodecModel;
        try {
          model = decodeModel(mutated);
        } catch (error) {
          expect(error).toBeInstanceOf(ProtocolError);
          return;
        }
        expect(departure(model)).toBeLessThan(1e-6);
      }),
    );
  });
});

describe("a model that cannot be published", () => {
  const learnt = learntModel(DIM);
  const publish = (changes: Partial<CodecModel>) => () => encodeModel({ ...learnt, ...changes });
  const changed = (value: number) => {
    const basis = learnt.basis.slice();
    basis[30] = value;
    return basis;
  };

  it.each([
    ["model.version", publish({ version: 0 })],
    ["model.version", publish({ version: 65536 })],
    ["model.version", publish({ version: 1.5 })],
    ["model.dim", publish({ dim: 1025 })],
    ["model.spectrum", publish({ spectrum: new Int16Array(DIM).fill(-1) })],
    ["model.basis", publish({ basis: changed(Number.NaN) })],
    ["model.basis", publish({ basis: changed(Number.POSITIVE_INFINITY) })],
    ["model.basis", publish({ basis: new Float32Array(DIM * DIM) })],
  ])("is refused as %s", (reason, act) => {
    expect(act).toThrow(SerializationError);
    expect(reasonOf(act)).toBe(reason);
  });
});
