import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { seededRandom } from "../../src/core/index.ts";
import { toSpace } from "../../src/wire/codec1/klt.ts";
import { partHeader } from "../../src/wire/codec1/release1-body.ts";
import {
  buildLadder1,
  type CodecModel,
  decodeDelta,
  decodeModel,
  encodeDelta1,
  encodeFrame,
  encodeModel,
  encodeModelFrame,
  encodeTransition,
  peekFrame,
  type Release1,
  TransitionReader,
  toGrid,
  type Upsert,
  vectorsOf,
} from "../../src/wire/index.ts";
import { gaussian, heldModel, learntModel } from "./codec1/models.ts";
import { anyChain, DOWN, modelsOf } from "./codec1/releases1.ts";
import { GOLDEN_DIR, goldenBytes, goldenDescription, goldenNames } from "./golden-files.ts";
import { GOLDEN_CONTEXT } from "./golden-model.ts";
import { toJson } from "./golden-read.ts";
import { storingZstd } from "./golden-storing.ts";

const DECODER = fileURLToPath(new URL("stranger_codec1.py", import.meta.url));
const SENDER = GOLDEN_CONTEXT.sender;
const scratch = mkdtempSync(join(tmpdir(), "omega-stranger1-"));
afterAll(() => rmSync(scratch, { recursive: true }));

const python = spawnSync("python3", ["--version"]).status === 0;
if (!python) console.log("stranger: not tested, python3 is missing (apt install python3)");

function stranger(frame: Uint8Array, options: readonly string[] = []) {
  // -B: no cache beside the sources.
  const { stdout, stderr } = spawnSync("python3", ["-B", DECODER, ...options], { input: frame });
  expect(stderr.toString()).toBe("");
  return JSON.parse(stdout.toString());
}

const goldenFile = (name: string) => fileURLToPath(new URL(`${name}.bin`, GOLDEN_DIR));

let files = 0;
function fileOf(bytes: Uint8Array): string {
  const file = join(scratch, `${files++}.bin`);
  writeFileSync(file, bytes);
  return file;
}

/** The options that hand a model, or none, to the stranger. */
function modelOptions(model: CodecModel | null): string[] {
  if (model === null) return [];
  const bytes = encodeModel(learntModel(model.dim, model.version));
  return ["--model", fileOf(encodeModelFrame(model.version, bytes))];
}

const named = (pattern: RegExp) => goldenNames().filter((name) => pattern.test(name));

describe.skipIf(!python)("a decoder of codec 1 written from PROTOCOL.md alone", () => {
  it.each(named(/^delta-codec1/))("reads %s as we do", (name) => {
    const options = ["--sender", SENDER, "--model", goldenFile("model")];
    const { header, compressed, bodyBytes, ...expected } = goldenDescription(name)
      .expected as Record<string, unknown>;
    expect(stranger(goldenBytes(name), options)).toEqual(expected);
  });

  it.each(named(/^layers/))("reads %s as we do", (name) => {
    const { held, expected } = goldenDescription(name);
    const read = stranger(
      goldenBytes(name),
      held === undefined ? [] : ["--held", goldenFile(held)],
    );
    const { step, coarse, full } = expected as {
      step: { kind: string; release?: Release1 };
      coarse: number[][];
      full: number[][];
    };
    expect(read.contentHashOk).toBe(step.kind === "preview" ? null : true);
    if (step.release === undefined) return;
    const { version, dim, trends, patterns } = step.release;
    expect(read).toMatchObject({ version, dim, trends });
    expect(read.patterns).toEqual(
      patterns.map((pattern, at) => ({ ...pattern, coarse: coarse[at], full: full[at] })),
    );
  });

  it("makes the same basis of a model, to the last bit", () => {
    expect(stranger(goldenBytes("model"))).toEqual(
      (goldenDescription("model").expected as { model: object }).model,
    );
    const bytes = encodeModel(learntModel(67));
    const { version, dim, mean, spectrum, basis } = decodeModel(bytes);
    expect(stranger(encodeModelFrame(version, bytes))).toEqual(
      toJson({ version, dim, mean, spectrum, basis: [...basis] }),
    );
  });

  it("P5: reads any delta, whatever the mode, the model and the bytes", () => {
    const anyCase = fc.record({
      dim: fc.constantFrom(8, 13, 48, 77, 384),
      count: fc.integer({ min: 1, max: 5 }),
      modelled: fc.boolean(),
      mode: fc.constantFrom("tracking" as const, "unbiased" as const),
      states: fc.constantFrom(8 as const, 64 as const),
      bytesEach: fc.integer({ min: 20, max: 200 }),
      seed: fc.nat(),
    });
    fc.assert(
      fc.property(anyCase, ({ dim, count, modelled, mode, states, bytesEach, seed }) => {
        const model = modelled && dim < 100 ? heldModel(dim) : null;
        const at = { epoch: 2 ** 33 + seed, seq: 2 ** 32 + 7, base: 3 };
        const upserts = randomUpserts(dim, count, model, seed);
        const bytesMax = 100 + count * (12 + bytesEach);
        const options = { bytesMax, model, mode, states, sender: SENDER };
        const encoded = encodeDelta1(at, { dim, upserts, removals: [] }, options, storingZstd);
        fc.pre(encoded !== null);
        const context = { models: modelsOf(...(model ? [model] : [])), sender: SENDER };
        const decoded = decodeDelta(peekFrame(encoded.frame, DOWN), storingZstd, context);
        const { header, ...expected } = decoded;
        const read = stranger(encoded.frame, ["--sender", SENDER, ...modelOptions(model)]);
        expect(read).toEqual(toJson(expected));
      }),
      { numRuns: 25 },
    );
  });

  it.each([0, 1])("P5: reads any release in layers, with %i models", (models) => {
    const model = models === 1 ? heldModel(24) : null;
    const chain = anyChain(24, model, { coarse: 330, fine: 270, level: model ? -30 : 340 });
    fc.assert(
      fc.property(chain, fc.integer({ min: 300, max: 5120 }), (releases, frameBytes) => {
        const [first, second] = releases as [Release1, Release1];
        const frames = [
          ...framesOf(null, first, model, frameBytes),
          ...framesOf(first, second, model, frameBytes),
        ];
        const last = frames.at(-1) as Uint8Array;
        const held = frames.slice(0, -1).flatMap((frame) => ["--held", fileOf(frame)]);
        const read = stranger(last, [...modelOptions(model), ...held]);
        expect(read.contentHashOk).toBe(true);
        const reader = new TransitionReader(null, modelsOf(...(model ? [model] : [])));
        for (const frame of frames) reader.feed(peekFrame(frame, DOWN));
        const { coarse, full } = vectorsOf(reader.held as Release1, model);
        expect(read.patterns.map((one: { coarse: number[] }) => one.coarse)).toEqual(
          coarse.map((vector) => [...vector]),
        );
        expect(read.patterns.map((one: { full: number[] }) => one.full)).toEqual(
          full.map((vector) => [...vector]),
        );
      }),
      { numRuns: 8 },
    );
  });

  it("refuses a delta that is cut or bent, for the reasons of the text", () => {
    const frame = goldenBytes("delta-codec1-rotation");
    for (const length of [3, 20, 40, frame.length - 1]) {
      expect(stranger(frame.subarray(0, length)).error).toBeDefined();
    }
    // Within the vectors' column: flags, model, step, the first state, the last byte.
    for (const [at, reason] of [
      [25, "codec.flags"],
      [26, "codec.model"],
      [29, "codec.step"],
      [33, "codec.state"],
      [37, "codec."],
    ] as const) {
      const bent = Uint8Array.from(frame);
      bent[at] = 0xff;
      expect(() => decodeDelta(peekFrame(bent, DOWN), storingZstd)).toThrow();
      expect(stranger(bent).error).toContain(reason);
    }
  });
});

/** The parts of the transition from `base`, each of at most `frameBytes`. */
function framesOf(
  base: Release1 | null,
  next: Release1,
  model: CodecModel | null,
  frameBytes: number,
): Uint8Array[] {
  const { contentHash } = buildLadder1("acme", next, [], model);
  const about = { version: next.version, contentHash, model: next.space };
  const bodies = encodeTransition(base, next, model, frameBytes);
  return bodies.map((body, index) => {
    const part = bodies.length > 1 ? { n: index + 1, of: bodies.length } : null;
    return encodeFrame(partHeader(about, base?.version ?? 0, null, part), body);
  });
}

/** Vectors near the mean; every second one a difference to something near it. */
function randomUpserts(
  dim: number,
  count: number,
  model: CodecModel | null,
  seed: number,
): Upsert[] {
  const random = seededRandom(seed);
  return Array.from({ length: count }, (_, index): Upsert => {
    const draw = Array.from({ length: dim }, () => gaussian(random));
    const length = Math.hypot(...draw);
    const target = toGrid(draw.map((value) => (0.9 * value) / length));
    const near = toGrid(
      draw.map((value) => ((0.8 * value) / length) * (0.9 + 0.2 * random.next())),
    );
    const image = model === null ? near : (toSpace(model, [near])[0] as Int16Array);
    const reference = { reference: image, referenceSpace: model?.version ?? 0, referenceSeq: 5 };
    return {
      id: `p${index}`,
      weight: 1 + index,
      success: 0.5,
      samples: index,
      updatedAtS: 1_790_000_000 + index,
      embedding:
        index % 2 === 0
          ? { mode: "absolute", target }
          : { mode: "difference", target, ...reference },
    };
  });
}
