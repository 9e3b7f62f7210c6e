import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "cddl";
import { describe, expect, it } from "vitest";
import { limits } from "../../src/core/index.ts";
import { DELTA_NAMES } from "../../src/wire/delta.ts";
import {
  CBOR_DEPTH_MAX,
  CBOR_ITEMS_MAX,
  loadZstd,
  PROBLEMS_MAX,
  peekFrame,
  RELEASE_PATTERNS_MAX,
  RELEASE_TRENDS_MAX,
  unpackBody,
  VERSION_LOG,
  WIRE_MINOR,
  WIRE_VERSION,
} from "../../src/wire/index.ts";
import { RELEASE_DELTA_NAMES } from "../../src/wire/release.ts";
import { GOLDEN_CASES } from "./golden-cases.ts";
import {
  GOLDEN_DIR,
  goldenBytes,
  goldenDescription,
  goldenHeld,
  goldenNames,
  heldIn,
} from "./golden-files.ts";
import { readFrame, toJson } from "./golden-read.ts";

const zstd = await loadZstd();
const CDDL = new URL("../../src/wire/omega.cddl", import.meta.url);
const PROTOCOL = new URL("../../src/wire/PROTOCOL.md", import.meta.url);

describe("golden frames", () => {
  it("cover every kind, stored and compressed", () => {
    expect(goldenNames()).toEqual(GOLDEN_CASES.map((golden) => golden.name).sort());
  });

  it.each(goldenNames())("%s reads as it always has", (name) => {
    const { expected } = goldenDescription(name);
    expect(readFrame(goldenBytes(name), goldenHeld(name, zstd), zstd)).toEqual(expected);
  });

  it.each(GOLDEN_CASES)("$name is still what the encoder writes", (golden) => {
    const written = golden.frame(zstd);
    const bytes = goldenBytes(golden.name);
    expect(toJson(golden.input)).toEqual(goldenDescription(golden.name).input);
    if (!golden.compressed) {
      expect(Buffer.from(written).toString("hex")).toBe(Buffer.from(bytes).toString("hex"));
      return;
    }
    // Another zstd may compress differently; what it holds must be the same.
    const [now, then] = [written, bytes].map((frame) => peekFrame(frame, 64 * 1024));
    if (now === undefined || then === undefined) throw new Error("both frames were read");
    expect(now.header).toEqual(then.header);
    expect(Buffer.from(unpackBody(now.body, zstd)).toString("hex")).toBe(
      Buffer.from(unpackBody(then.body, zstd)).toString("hex"),
    );
  });
});

describe("protocol version", () => {
  it("the bytes on the wire change only with an entry in the version log", () => {
    const hash = createHash("sha256");
    for (const name of goldenNames()) {
      hash.update(`${name}\n`).update(goldenBytes(name));
    }
    hash.update(readFileSync(CDDL));
    const last = VERSION_LOG.at(-1);
    // When this fails: add an entry to src/wire/version.ts with this fingerprint, say whether old
    // peers may ignore the change, and add golden frames for it.
    expect(last?.fingerprint).toBe(hash.digest("hex"));
    expect([last?.version, last?.minor]).toEqual([WIRE_VERSION, WIRE_MINOR]);
  });

  it("the log rises", () => {
    const order = VERSION_LOG.map((entry) => entry.version * 1000 + entry.minor);
    expect(order).toEqual([...new Set(order)].sort((a, b) => a - b));
  });

  it("omega.cddl is grammatical CDDL (RFC 8610) and describes every kind", () => {
    const names = parse(fileURLToPath(CDDL)).map((assignment) => assignment.Name);
    for (const rule of [
      "delta-header",
      "pull-header",
      "snapshot-header",
      "refusal-header",
      "model-header",
    ]) {
      expect(names).toContain(rule);
    }
    for (const rule of ["delta-body", "snapshot-body", "release-delta-body", "refusal-body"]) {
      expect(names).toContain(rule);
    }
    expect(names).toEqual(expect.arrayContaining(["delta1-body", "release-part-body"]));
  });

  it("PROTOCOL.md quotes golden frames byte for byte", () => {
    const text = readFileSync(PROTOCOL, "utf8");
    const quoted = [...text.matchAll(/`([a-z0-9-]+)\.bin`:\n+```hex\n([0-9a-f\s]+)```/g)];
    expect(quoted.length).toBeGreaterThanOrEqual(4);
    for (const [, name, hex] of quoted) {
      const bytes = Buffer.from(goldenBytes(name ?? "")).toString("hex");
      expect(hex?.replaceAll(/\s/g, ""), name).toBe(bytes);
    }
  });
});

describe("PROTOCOL.md", () => {
  const text = readFileSync(PROTOCOL, "utf8");

  it("lists every reason the wire gives", () => {
    const dirs = ["../../src/wire/", "../../src/wire/codec1/"];
    const code = dirs
      .map((dir) => new URL(dir, import.meta.url))
      .flatMap((dir) => readdirSync(dir).map((file) => new URL(file, dir)))
      .filter((file) => file.pathname.endsWith(".ts"))
      .map((file) => readFileSync(file, "utf8"))
      .join("\n");
    const rooms =
      "frame|header|cbor|zstd|codec|columns|delta|release|refusal|reference|pattern|model";
    const literal = [...code.matchAll(new RegExp(`"((?:${rooms})\\.[a-z-]+)"`, "g"))];
    const reasons = new Set(literal.map(([, reason]) => reason ?? ""));
    for (const field of Object.values(DELTA_NAMES)) reasons.add(`delta.${field}`);
    for (const field of Object.values(RELEASE_DELTA_NAMES)) reasons.add(`release.${field}`);
    expect(reasons.size).toBeGreaterThan(60);
    expect([...reasons].filter((reason) => !text.includes(`\`${reason}\``))).toEqual([]);
  });

  it("states the limits that the code keeps", () => {
    const numbers = [
      limits.UP_FRAME_BYTES_MAX,
      limits.DOWN_FRAME_BYTES_MAX,
      limits.MODEL_FRAME_BYTES_MAX,
      limits.HEADER_BYTES_MAX,
      limits.BODY_BYTES_MAX,
      limits.PACKET_BYTES_MAX,
      limits.PACKET_BYTES_MAX_UNAUTHENTICATED,
      limits.DELTA_ITEMS_MAX,
      limits.DEVICE_PATTERNS_MAX,
      limits.DEVICE_INFLIGHT_MAX,
      limits.DEDUP_WINDOW,
      CBOR_ITEMS_MAX,
      CBOR_DEPTH_MAX,
      RELEASE_PATTERNS_MAX,
      RELEASE_TRENDS_MAX,
      PROBLEMS_MAX,
    ];
    const table = text.slice(text.indexOf("## 10. Limits"), text.indexOf("## 11."));
    for (const number of numbers) expect(table).toContain(number.toLocaleString("en"));
  });
});

const outDir = process.env.OMEGA_GOLDEN_DIR;
describe.runIf(outDir !== undefined)("writing golden frames", () => {
  it(`writes them to ${outDir}, which must not exist yet`, () => {
    const dir = outDir as string;
    mkdirSync(dir); // Throws when it exists: nothing is overwritten silently.
    const frames = new Map(GOLDEN_CASES.map((golden) => [golden.name, golden.frame(zstd)]));
    for (const { name, description, held, input } of GOLDEN_CASES) {
      const bytes = frames.get(name) as Uint8Array;
      const base = held === undefined ? null : (frames.get(held) as Uint8Array);
      const expected = readFrame(bytes, base === null ? null : heldIn(base, zstd), zstd);
      writeFileSync(join(dir, `${name}.bin`), bytes);
      const json = toJson({ name, description, held, input, expected });
      writeFileSync(join(dir, `${name}.json`), `${JSON.stringify(json, null, 2)}\n`);
    }
    expect(dir).not.toBe(fileURLToPath(GOLDEN_DIR));
  });
});
