import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

const WIRE = new URL("../../src/wire/", import.meta.url);
const files = readdirSync(WIRE, { recursive: true, encoding: "utf8" }).filter((file) =>
  file.endsWith(".ts"),
);

/** Source without comments, so that a comment may name what the code must not. */
function codeOf(file: string): string {
  const source = readFileSync(new URL(file, WIRE), "utf8");
  return source.replaceAll(/\/\*[\s\S]*?\*\//g, "").replaceAll(/^\s*\/\/.*$/gm, "");
}

describe("the wire runs where there is no Node", () => {
  it.each(files.filter((file) => file !== "zstd.ts"))("%s names nothing of Node", (file) => {
    expect(codeOf(file)).not.toMatch(/\bprocess\b|\bBuffer\b|node:|\brequire\(|__dirname/);
  });

  it("zstd.ts reaches Node only through process.getBuiltinModule, and asks whether it is there", () => {
    const code = codeOf("zstd.ts");
    expect(code).not.toMatch(/\bBuffer\b|\brequire\(|from "node:|import\("node:/);
    expect(code.match(/\bprocess\b.*/g)).toEqual([
      'process?.getBuiltinModule?.("node:zlib") as unknown as',
    ]);
  });

  it("nothing else of Node comes in by an import", () => {
    const sources = files.flatMap((file) => [
      ...codeOf(file).matchAll(/(?:from|import\()\s*"([^"]+)"/g),
    ]);
    const packages = new Set(
      sources.map(([, from]) => from ?? "").filter((from) => !from.startsWith(".")),
    );
    expect([...packages].sort()).toEqual([
      "@noble/hashes/sha2.js",
      "cbor-x",
      "zstd-napi/binding.js",
    ]);
  });
});
