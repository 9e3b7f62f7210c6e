import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { describeFrame } from "../../src/cli/frame-decode.ts";
import { frameText } from "../../src/cli/frame-decode-text.ts";
import { encodeRefusal, loadZstd } from "../../src/wire/index.ts";
import { DIM, pattern, World } from "../device/world.ts";
import { tempDir } from "../support/disk.ts";
import { runCli } from "./run-cli.ts";

const GOLDEN = fileURLToPath(new URL("../golden/v1/", import.meta.url));
const golden = (name: string): Buffer => readFileSync(`${GOLDEN}${name}.bin`);
const story = (name: string) => JSON.parse(readFileSync(`${GOLDEN}${name}.json`, "utf8"));
const NAMES = readdirSync(GOLDEN)
  .filter((name) => name.endsWith(".bin"))
  .map((name) => name.slice(0, -".bin".length));

const decode = (...args: string[]) => runCli(["frame", "decode", ...args]);
const zstd = await loadZstd();
const describeBytes = (bytes: Uint8Array) =>
  describeFrame(bytes, zstd, {
    ...{ before: [], models: { get: () => null }, sender: "", vectors: false },
  });

describe("frame decode: golden frames", () => {
  it("frame decode: there are golden frames of every kind", () => {
    const kinds = new Set(NAMES.map((name) => story(name).expected.header.kind));
    expect([...kinds].sort()).toEqual([
      ...["delta", "model", "pull", "refusal", "release-delta", "snapshot"],
    ]);
  });

  it.each(NAMES)("frame decode: %s is good, and its header and sizes are told", async (name) => {
    const { code, stdout, stderr } = await decode(`${GOLDEN}${name}.bin`, "--json");
    expect(stderr).toBe("");
    expect(code).toBe(0);
    const { frameBytes, header, body, fault } = JSON.parse(stdout);
    const { expected } = story(name);
    expect(fault).toBeNull();
    expect(header).toEqual(expected.header);
    expect(frameBytes).toBe(golden(name).length);
    expect(body.compressed).toBe(expected.compressed);
    expect(body.packedBytes).toBe(expected.bodyBytes);
  });

  it.each(NAMES)("frame decode: %s reads well without --json", async (name) => {
    const { code, stdout } = await decode(`${GOLDEN}${name}.bin`);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^frame {3}\d+ bytes\nheader\n {2}kind /);
    expect(stdout).not.toContain("undefined");
    expect(stdout).not.toContain("[object");
  });

  it("frame decode: a delta shows its patterns, what they refer to, and its removals", async () => {
    const { content } = JSON.parse(
      (await decode(`${GOLDEN}delta-mixed-stored.bin`, "--json")).stdout,
    );
    expect(content.upserts).toMatchObject([
      { id: "evening-drama", weight: 13, success: 0.769, samples: 52, mode: "difference" },
      { id: "weekend_kids", mode: "kept", referenceSeq: 7 },
      { id: "news", mode: "absolute", updatedAt: "2026-09-21T14:23:21.000Z" },
    ]);
    expect(content.upserts[0].referenceSeq).toBe(41);
    expect(content.upserts[1]).not.toHaveProperty("norm");
    expect(content.removals).toEqual(["late-night", "0123456789abcdef"]);
  });

  it("frame decode: --vectors shows whole vectors", async () => {
    const { stdout } = await decode(`${GOLDEN}snapshot-stored.bin`, "--json", "--vectors");
    const { content } = JSON.parse(stdout);
    for (const pattern of content.patterns) expect(pattern.vector).toHaveLength(content.dim);
  });

  it("frame decode: a release delta shows its columns, or with --base the whole release", async () => {
    const file = `${GOLDEN}release-delta-stored.bin`;
    const columns = JSON.parse((await decode(file, "--json")).stdout).content.columns;
    expect(columns.dim).toBe(8);
    expect(columns.removals).toHaveLength(1);
    for (const name of Object.keys(columns)) expect(name).toMatch(/^[a-z ]+$/);
    const base = ["--base", `${GOLDEN}snapshot-stored.bin`];
    const { content } = JSON.parse((await decode(file, "--json", "--vectors", ...base)).stdout);
    const { patterns } = story("release-delta-stored").expected.release;
    expect(content.patterns.map(({ id }: { id: string }) => id)).toEqual(
      patterns.map(({ id }: { id: string }) => id),
    );
  });

  it("frame decode: the wrong base is said with its reason", async () => {
    const base = ["--base", `${GOLDEN}snapshot-compressed.bin`];
    const { code, stdout } = await decode(`${GOLDEN}release-delta-stored.bin`, ...base);
    expect(code).toBe(1);
    expect(stdout).toContain("release.base");
  });
});

describe("frame decode: codec 1", () => {
  const dir = tempDir();
  afterAll(() => dir.remove());
  const file = (name: string, bytes: Uint8Array) => {
    writeFileSync(join(dir.path, name), bytes);
    return join(dir.path, name);
  };
  const json = async (...args: string[]) => JSON.parse((await decode(...args, "--json")).stdout);

  /** A device that holds model 1, and a server whose release comes in parts. */
  function world() {
    const made = new World({ codec: 1 });
    made.connect();
    made.settle();
    made.server.learn(1);
    made.server.release(1_000);
    made.push();
    made.settle();
    const model = file("model-1.bin", made.server.modelFrames.get(1) ?? new Uint8Array(0));
    made.server.base = 0;
    const parts = made.server.downs().map((bytes, index) => file(`part-${index + 1}.bin`, bytes));
    return { made, model, parts };
  }

  it("frame decode: a model is told by its dimension, mean and spectrum", async () => {
    const { model } = world();
    const { header, content, body, fault } = await json(model);
    expect(header).toMatchObject({ kind: "model", version: 1 });
    expect(content).toMatchObject({ dim: DIM, mean: { norm: expect.any(Number) } });
    expect(content.spectrum.first).toBeGreaterThanOrEqual(content.spectrum.last);
    expect(body.rawBytes).toBe(body.packedBytes);
    expect(fault).toBeNull();
    const bytes = readFileSync(model);
    const rotten = file("rotten.bin", bytes.fill(1, bytes.length - 3));
    expect((await json(rotten)).fault.reason).toBe("model.hash");
  });

  it("frame decode: part 1 is a preview, with the parts before it the last is the release", async () => {
    const { model, parts } = world();
    const [first = ""] = parts;
    const preview = await json(first, "--model", model);
    expect(preview.fault).toBeNull();
    expect(preview.header.part).toEqual({ n: 1, of: parts.length });
    expect(preview.content).toMatchObject({ space: 1, complete: false });
    const last = parts.at(-1) ?? "";
    const before = parts.slice(0, -1).flatMap((part) => ["--base", part]);
    const { content } = await json(last, "--model", model, "--vectors", ...before);
    expect(content.complete).toBe(true);
    expect(content.patterns).toHaveLength(13);
    for (const { layers, vector, norm } of content.patterns) {
      expect(layers).toBe(2);
      expect(vector).toHaveLength(DIM);
      expect(norm).toBeGreaterThan(0);
    }
  });

  it("frame decode: a part by itself, or without its model, shows what it can", async () => {
    const { model, parts } = world();
    const stray = await json(parts.at(-1) ?? "", "--model", model);
    expect(stray.content.columns).toMatchObject({ dim: DIM });
    const modelless = await json(parts[0] ?? "");
    expect(modelless.content).toMatchObject({ needsModel: 1, columns: { dim: DIM } });
    expect([stray.fault, modelless.fault]).toEqual([null, null]);
    expect((await decode(parts[0] ?? "")).stdout).not.toContain("[object");
  });

  it("frame decode: a delta shows its patterns, and with the model their vectors", async () => {
    const { made, model } = world();
    made.put({ upserts: [pattern("a", 1, 7), pattern("b", 2)], removals: ["c"] });
    const delta = file("delta.bin", made.up[0]?.payload ?? new Uint8Array(0));
    const modelless = await json(delta);
    expect(modelless).toMatchObject({ fault: null, content: { dim: DIM, needsModel: 1 } });
    const [a] = modelless.content.upserts;
    expect(a).toMatchObject({ id: "a", weight: 7, mode: "absolute" });
    expect(a).not.toHaveProperty("norm");
    expect(modelless.content.removals).toEqual(["c"]);
    const { content } = await json(delta, "--model", model, "--sender", "default/tv");
    expect(content).toMatchObject({ dim: DIM, space: 1, upserts: [{ id: "a" }, { id: "b" }] });
    for (const upsert of content.upserts) expect(upsert.norm).toBeGreaterThan(0);
  });
});

describe("frame decode: input", () => {
  it("frame decode: reads stdin, as bytes or as hexadecimal with spaces", async () => {
    const bytes = golden("pull");
    const raw = await runCli(["frame", "decode"], { stdin: bytes });
    expect(raw.code).toBe(0);
    const hex = bytes.toString("hex").replace(/../g, "$& ");
    for (const text of [hex, `0x${hex}\n`]) {
      const run = await runCli(["frame", "decode", "-", "--hex"], { stdin: Buffer.from(text) });
      expect(run.stdout).toBe(raw.stdout);
    }
  });

  it.each(["xyz", "abc"])("frame decode: %j is no hexadecimal", async (text) => {
    const stdin = Buffer.from(text);
    const { code, stderr } = await runCli(["frame", "decode", "--hex"], { stdin });
    expect(code).toBe(1);
    expect(stderr).toContain("input.hex");
  });

  it("frame decode: endless input is cut off", async () => {
    const stdin = Buffer.alloc(5 * 1024 * 1024, 0xce);
    const { code, stderr } = await runCli(["frame", "decode"], { stdin });
    expect(code).toBe(1);
    expect(stderr).toContain("input.size");
  });
});

describe("frame decode: bad frames", () => {
  it.each([
    ["", "frame.truncated"],
    ["00 01 00 a0", "frame.magic"],
    ["ce 09 00 a0", "frame.version"],
    ["ce 01 02 a0", "frame.flags"],
    ["ce 01 00 a1 00 09", "header.kind"],
    ["ce 01 00 a1 00 05", "cbor.truncated"],
    ["ce 01 00 a2 00 02 04 00 00", "pull.body"],
  ])("frame decode: %j ends in 1 with %s", async (hex, reason) => {
    const stdin = Buffer.from(hex);
    const human = await runCli(["frame", "decode", "--hex"], { stdin });
    expect(human.code).toBe(1);
    expect(human.stdout).toContain(`fault   ${reason}: `);
    const json = await runCli(["frame", "decode", "--hex", "--json"], { stdin });
    expect(json.code).toBe(1);
    expect(JSON.parse(json.stdout).fault.reason).toBe(reason);
  });

  it("frame decode: a bad body still shows the header", async () => {
    const bytes = golden("delta-absolute-compressed");
    const stdin = bytes.subarray(0, bytes.length - 4);
    const { header, body, content, fault } = JSON.parse(
      (await runCli(["frame", "decode", "--json"], { stdin })).stdout,
    );
    expect(header.kind).toBe("delta");
    expect(body.rawBytes).toBeNull();
    expect(content).toBeNull();
    expect(fault.code).toBe("Compression");
  });

  it("frame decode: every truncation of a golden frame is a typed fault or a whole frame", () => {
    for (const name of NAMES) {
      const bytes = golden(name);
      for (let length = 0; length < bytes.length; length += 1) {
        const { fault, header } = describeBytes(bytes.subarray(0, length));
        // A release delta cut right after its header is the frame "nothing changed", whose truth
        // only the holder of the base can judge.
        if (fault === null) expect(header?.kind).toBe("release-delta");
      }
    }
  });

  it("frame decode: any mutation is described, never a crash", () => {
    const frame = fc.constantFrom(...NAMES).map(golden);
    fc.assert(
      fc.property(frame, fc.nat(), fc.integer({ min: 0, max: 255 }), (bytes, at, value) => {
        const mutant = Uint8Array.from(bytes);
        mutant[at % mutant.length] = value;
        expect(frameText(describeBytes(mutant))).toMatch(/^frame/);
      }),
      { numRuns: 2_000 },
    );
  });

  it("frame decode: a peer's text cannot command the terminal (THREATS 23)", async () => {
    const title = "a\u001b[2J\u202eb";
    const stdin = encodeRefusal([{ reason: "x.y", title, position: null }]);
    const { stdout } = await runCli(["frame", "decode"], { stdin });
    expect(stdout).toContain("\\u{1b}[2J\\u{202e}");
    expect(stdout).not.toContain("\u001b");
  });
});
