/**
 * `npm run bench:envelopes [-- --json]`: what the metadata of a frame costs, by four ways to pack it.
 *
 * Hypothesis: random ids leave zstd nothing to find, dictionary or not, and what remains is too small
 * to pay for its frame; columns of bits beat all three. A dictionary should help where ids recur.
 * What came out, and what follows: envelopes.md.
 *
 * Per case, envelopes are drawn with a fixed seed; the dictionary is trained on the first part and
 * all are measured on the second, at zstd's level 19. Bytes are means; a body that zstd would not
 * shrink is stored. Rows: `{case, ids, method, bytes, bytesMax, bytesPerPattern, trainer}`. The table
 * goes to stdout, or one JSON array with `--json`; everything else to stderr.
 * @module
 */
import { cpus } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { ensureBuilt, ensureInstalled, ROOT, requireNode, say } from "../scripts/prepare.mjs";
import { cborOfPull, cborOfPush, DIM, envelopesOf, ID_KINDS } from "./envelopes-cases.mjs";
import { dictionaryOf, loadBinding, zstdWith } from "./envelopes-zstd.mjs";

const SEED = 20_261_126;
const TRAIN = { push: 2_000, pull: 500, news: 500, codec0: 200 };
const TEST = { push: 500, pull: 100, news: 100, codec0: 100 };
const PATTERNS = { push: 10, pull: 100, news: 100, codec0: 10 };
const SEQ = 42;
const METHODS = ["cbor", "cbor+zstd", "cbor+zstd+dictionary", "columns"];

/** What of the product is measured, from the build. */
async function loadProduct() {
  const built = (file) => import(pathToFileURL(join(ROOT, "dist/src", file)).href);
  const modules = [
    "core/random.js",
    "wire/cbor.js",
    "wire/fields.js",
    "wire/codec0.js",
    "wire/codec1/count-grid.js",
    "wire/codec1/delta-columns.js",
    "wire/codec1/release-columns.js",
  ];
  return Object.assign({}, ...(await Promise.all(modules.map(built))));
}

/** `{ cbor, columns }` of one envelope; no columns for a whole body. */
function packed(name, envelopes, product) {
  if (name === "pull" || name === "news") {
    const { base = [], ...pull } = envelopes[name]();
    return { cbor: cborOfPull(pull, product), columns: product.packReleaseColumns(pull, base) };
  }
  const push = envelopes.push();
  if (name === "push") {
    const columns = product.packDeltaColumns(push, SEQ);
    return { cbor: cborOfPush(push, null, product), columns };
  }
  const { bytes } = product.codec0.encode(envelopes.residuals(), DIM);
  return { cbor: cborOfPush(push, bytes, product), columns: null };
}

function measure(name, ids, product, binding) {
  const envelopes = envelopesOf(ids, product.seededRandom(SEED), product.roundCount);
  const draw = (count) => Array.from({ length: count }, () => packed(name, envelopes, product));
  const train = draw(TRAIN[name]);
  const test = draw(TEST[name]);
  const dictionary = dictionaryOf(train.map(({ cbor }) => cbor));
  const plain = zstdWith(binding, null);
  const trained = zstdWith(binding, dictionary.bytes);
  const sizes = {
    cbor: test.map(({ cbor }) => cbor.length),
    "cbor+zstd": test.map(({ cbor }) => sizeBy(plain, cbor)),
    "cbor+zstd+dictionary": test.map(({ cbor }) => sizeBy(trained, cbor)),
    columns: test.flatMap(({ columns }) => (columns === null ? [] : [columns.length])),
  };
  return METHODS.filter((method) => sizes[method].length > 0).map((method) => {
    const bytes = sizes[method].reduce((sum, size) => sum + size, 0) / sizes[method].length;
    return {
      case: name,
      ids,
      method,
      bytes: rounded(bytes),
      bytesMax: Math.max(...sizes[method]),
      bytesPerPattern: rounded(bytes / PATTERNS[name]),
      trainer: method === "cbor+zstd+dictionary" ? dictionary.trainer : null,
    };
  });
}

/** As it would travel: stored when zstd does not shrink it. What it made must come back. */
function sizeBy(zstd, raw) {
  const compressed = zstd.compress(raw);
  const again = zstd.decompress(compressed, raw.length);
  if (!Buffer.from(again).equals(raw)) throw new Error("zstd does not give back what it got");
  return Math.min(raw.length, compressed.length);
}

function rounded(value) {
  return Math.round(value * 100) / 100;
}

function tableOf(rows) {
  const line = (cells) =>
    `${cells.map((cell, at) => String(cell).padStart(at < 2 ? 8 : METHODS[at - 2].length + 2)).join("")}\n`;
  let text = line(["case", "ids", ...METHODS]);
  for (const name of Object.keys(PATTERNS)) {
    for (const ids of ID_KINDS) {
      const cells = METHODS.map(
        (method) =>
          rows.find((row) => row.case === name && row.ids === ids && row.method === method)
            ?.bytes ?? "–",
      );
      text += line([name, ids, ...cells]);
    }
  }
  return text;
}

async function main() {
  const { values } = parseArgs({ options: { json: { type: "boolean", default: false } } });
  requireNode();
  await ensureInstalled();
  await ensureBuilt();
  const [cpu] = cpus();
  say(`node ${process.versions.node}, ${cpus().length} × ${cpu?.model}, seed ${SEED}`);
  const [product, binding] = await Promise.all([loadProduct(), loadBinding()]);
  const rows = Object.keys(PATTERNS).flatMap((name) =>
    ID_KINDS.flatMap((ids) => measure(name, ids, product, binding)),
  );
  process.stdout.write(values.json ? `${JSON.stringify(rows)}\n` : tableOf(rows));
}

try {
  await main();
} catch (error) {
  say(error.message);
  process.exitCode = error.exitCode ?? (error.code?.startsWith("ERR_PARSE_ARGS") ? 2 : 1);
}
