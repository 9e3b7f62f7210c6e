/**
 * The checker checked: plants one bug after another in a copy of the sources, and lets the simulator look for it.
 *
 *   node test/sim/planted/run.mjs [--only a,b] [--seeds 200] [--clean-seeds 0] [--json]
 *
 * Sources are copied to a temporary directory, transpiled there, and patched
 * there; nothing in the product knows of any bug. With `--clean-seeds` the
 * copy without a bug is run first, and `--json` prints both as one object.
 * @module
 */
import { execFile } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import ts from "typescript";
import { BUGS } from "./bugs.mjs";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "../../..");
const ROOMS = ["src", "gateway", "device"];
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    seeds: { type: "string", default: "200" },
    "clean-seeds": { type: "string", default: "0" },
    json: { type: "boolean", default: false },
  },
});

/** The built copy of one source text. */
function transpile(text) {
  const { outputText } = ts.transpileModule(text, {
    compilerOptions: {
      target: ts.ScriptTarget.ES2023,
      module: ts.ModuleKind.ES2022,
      verbatimModuleSyntax: true,
      rewriteRelativeImportExtensions: true,
    },
  });
  return outputText;
}

function build(copy) {
  for (const room of ROOMS) {
    for (const entry of readdirSync(join(ROOT, room), { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const from = join(entry.parentPath ?? entry.path, entry.name);
      const to = join(copy, from.slice(ROOT.length));
      mkdirSync(dirname(to), { recursive: true });
      if (!entry.name.endsWith(".ts")) cpSync(from, to);
      else writeFileSync(to.replace(/\.ts$/, ".js"), transpile(readFileSync(from, "utf8")));
    }
  }
  cpSync(join(ROOT, "package.json"), join(copy, "package.json"));
  symlinkSync(join(ROOT, "node_modules"), join(copy, "node_modules"));
}

/** Plants `bug` in the copy; what it gives back takes it out again. */
function plant(copy, { name, changes }) {
  const texts = new Map();
  for (const { file, find, replace } of changes) {
    const text = texts.get(file) ?? readFileSync(join(ROOT, file), "utf8");
    if (text.split(find).length !== 2) throw new Error(`${name}: ${file} must hold once: ${find}`);
    texts.set(
      file,
      text.replace(find, () => replace),
    );
  }
  const write = (file, text) =>
    writeFileSync(join(copy, file.replace(/\.ts$/, ".js")), transpile(text));
  for (const [file, text] of texts) write(file, text);
  return () => {
    for (const file of texts.keys()) write(file, readFileSync(join(ROOT, file), "utf8"));
  };
}

/** What `omega-sync sim` says of the copy, as it is now. */
function simulate(copy, seeds, ...flags) {
  const args = [
    join(copy, "src/cli/main.js"),
    "sim",
    "--seed",
    "1",
    "--seeds",
    seeds,
    "--json",
    ...flags,
  ];
  return new Promise((resolve, reject) => {
    execFile(process.execPath, args, { maxBuffer: OUTPUT_BYTES_MAX }, (error, stdout, stderr) => {
      try {
        resolve(JSON.parse(stdout));
      } catch {
        reject(error ?? new Error(stderr));
      }
    });
  });
}

const bugs =
  values.only === undefined
    ? BUGS
    : BUGS.filter(({ name }) => values.only.split(",").includes(name));
const copy = mkdtempSync(join(tmpdir(), "omega-planted-"));
const rows = [];
let clean = { seeds: 0, virtualHours: 0, violations: [] };
try {
  build(copy);
  if (values["clean-seeds"] !== "0") clean = await simulate(copy, values["clean-seeds"]);
  for (const bug of bugs) {
    const dig = plant(copy, bug);
    const { seeds, violations } = await simulate(copy, values.seeds, "--first-only");
    dig();
    const broken = [...new Set(violations.map(({ invariant }) => invariant))];
    const caught = broken.some((invariant) => bug.breaks.includes(invariant));
    rows.push({ name: bug.name, caught, broken, seeds, why: bug.why });
    if (!values.json) console.log(rowOf(rows.at(-1)));
  }
} finally {
  rmSync(copy, { recursive: true, force: true });
}
const planted = { caught: rows.filter(({ caught }) => caught).length, total: rows.length };
if (values.json) console.log(JSON.stringify({ ...clean, planted, bugs: rows }));
else console.log(`${planted.caught} of ${planted.total} planted bugs caught`);
process.exitCode = planted.caught === planted.total && clean.violations.length === 0 ? 0 : 1;

function rowOf({ name, caught, broken, seeds }) {
  const found = caught
    ? `${broken.join(" ")} after ${seeds} ${seeds === 1 ? "world" : "worlds"}`
    : `missed in ${seeds} (${broken.join(" ")})`;
  return `${name.padEnd(28)} ${found}`;
}
