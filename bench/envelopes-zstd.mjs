/**
 * zstd with and without a dictionary, for the comparison only: the wire has no dictionaries.
 *
 * The dictionary comes from the trainer of the `zstd` command when there is one (the native package
 * does not expose it), else it is made of sample envelopes as they are, which zstd accepts.
 * @module
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** The best zstd has: what a dictionary cannot do here it can do nowhere. */
const LEVEL = 19;
export const DICTIONARY_BYTES = 16 * 1024;

export async function loadBinding() {
  const imported = await import("zstd-napi/binding.js");
  return imported.default ?? imported;
}

/** `{ compress, decompress }`; without the dictionary's id in the frame, which would be 4 bytes. */
export function zstdWith(binding, dictionary) {
  const cctx = new binding.CCtx();
  cctx.setParameter(binding.CParameter.compressionLevel, LEVEL);
  cctx.setParameter(binding.CParameter.dictIDFlag, 0);
  const dctx = new binding.DCtx();
  if (dictionary !== null) {
    cctx.loadDictionary(dictionary);
    dctx.loadDictionary(dictionary);
  }
  return {
    compress(raw) {
      const target = new Uint8Array(binding.compressBound(raw.length));
      return target.slice(0, cctx.compress2(target, raw));
    },
    decompress(compressed, bytes) {
      const target = new Uint8Array(bytes);
      return target.subarray(0, dctx.decompress(target, compressed));
    },
  };
}

/** `{ bytes, trainer }` from sample envelopes. */
export function dictionaryOf(samples) {
  const trained = trainedBy("zstd", samples);
  if (trained !== null) return { bytes: trained, trainer: "zstd --train" };
  const all = Buffer.concat(samples);
  return { bytes: all.subarray(Math.max(0, all.length - DICTIONARY_BYTES)), trainer: "raw" };
}

function trainedBy(command, samples) {
  if (spawnSync(command, ["--version"]).status !== 0) return null;
  const folder = mkdtempSync(join(tmpdir(), "omega-envelopes-"));
  try {
    for (const [index, sample] of samples.entries()) {
      writeFileSync(join(folder, `${index}.sample`), sample);
    }
    const target = join(folder, "dictionary");
    const options = [`--maxdict=${DICTIONARY_BYTES}`, "-19", "-q", "-o", target];
    const { status, stderr } = spawnSync(command, ["--train", "-r", folder, ...options]);
    if (status !== 0) throw new Error(`zstd --train failed: ${stderr}`);
    return readFileSync(target);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
