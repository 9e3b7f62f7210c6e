/**
 * What a fresh clone lacks: the right Node, the packages, the build. Node built-ins only, because
 * this runs before anything is installed. Everything said here goes to stderr: stdout belongs to
 * the command that follows.
 * @module
 */
import { spawn } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
export const EXIT_FAILURE = 1;
export const EXIT_UNAVAILABLE = 69;

const NODE_MIN = [20, 19];
/** What the build leaves; one that is missing means that the last build was of an older tree. */
const BUILT = [
  "dist/src/cli/main.js",
  "dist/bench/codec/main.js",
  "dist/bench/connections/main.js",
  "dist/bench/embedded/main.js",
  "dist/bench/hostile/main.js",
  "dist/bench/ingest/main.js",
  "dist/bench/restart/main.js",
  "dist/bench/scale/main.js",
  "dist/fuzz/main.js",
  "dist/test/chaos/main.js",
];
const SOURCES = [
  "src",
  "gateway",
  "device",
  "bench",
  "fuzz",
  "test/chaos",
  "test/support",
  "tsconfig.json",
  "tsconfig.build.json",
];

/** An end that was foreseen: `message` is for the user, `exitCode` for the caller. */
export class Stop extends Error {
  constructor(message, exitCode) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** One progress line on stderr. */
export function say(line) {
  process.stderr.write(`omega-sync: ${line}\n`);
}

/** The fault with this Node's version, or null. `version` is like `20.19.0`. */
export function nodeFault(version) {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const enough = major > NODE_MIN[0] || (major === NODE_MIN[0] && minor >= NODE_MIN[1]);
  return enough ? null : `needs Node ${NODE_MIN.join(".")} or newer, this is ${version}`;
}

/** Runs `act` between two progress lines and tells how long it took. */
export async function phase(name, act) {
  const startedAtMs = performance.now();
  say(`${name} …`);
  const result = await act();
  say(`${name}: done in ${((performance.now() - startedAtMs) / 1000).toFixed(1)} s`);
  return result;
}

/** Runs a program with its stdout sent to stderr; resolves to its exit code (128 for a signal). */
export function run(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: ROOT, stdio: ["ignore", 2, 2], ...options });
    child.once("error", reject);
    child.once("close", (code) => resolve(code ?? 128));
  });
}

/** Throws {@link Stop} unless `code` is 0. */
export function demand(what, code) {
  if (code !== 0) throw new Stop(`${what} failed (exit ${code}), see above`, EXIT_FAILURE);
}

export function requireNode() {
  const fault = nodeFault(process.versions.node);
  if (fault !== null) throw new Stop(fault, EXIT_UNAVAILABLE);
}

/** Installs when the packages are missing or older than the lockfile; then makes sure of zstd. */
export async function ensureInstalled() {
  const installedAtMs = modifiedAtMs(join(ROOT, "node_modules/.package-lock.json"));
  const lockedAtMs = modifiedAtMs(join(ROOT, "package-lock.json"));
  if (installedAtMs === null || installedAtMs < lockedAtMs) {
    const { install } = await import("./install.mjs");
    await phase("installing packages (npm ci, a minute or two)", install);
  }
  const fault = await zstdFault();
  if (fault !== null) throw new Stop(fault, EXIT_UNAVAILABLE);
}

/** Builds when `dist` is missing or older than any source. */
export async function ensureBuilt() {
  const builtAtMs = Math.min(...BUILT.map((name) => modifiedAtMs(join(ROOT, name)) ?? 0));
  const changedAtMs = Math.max(...SOURCES.map((name) => newestMs(join(ROOT, name))));
  if (builtAtMs >= changedAtMs) return;
  await build();
}

export async function build() {
  await phase("building", async () => {
    const compiler = join(ROOT, "node_modules/typescript/bin/tsc");
    // Nothing half built may look newer than its sources.
    const args = [compiler, "-p", "tsconfig.build.json", "--noEmitOnError"];
    demand("the build", await run(process.execPath, args));
  });
}

/** Runs npm: the one that started us when there is one, whatever it is called on this system. */
export function npm(args) {
  const script = process.env.npm_execpath;
  const options = { env: { ...process.env, ...compileSettings() } };
  if (script?.endsWith(".js")) return run(process.execPath, [script, ...args], options);
  return run("npm", args, { ...options, shell: process.platform === "win32" });
}

/**
 * zstd-napi is compiled when its prebuilt binary cannot be fetched, and node-gyp would then fetch
 * Node's headers from nodejs.org. They usually lie beside this Node: say so, and no other network
 * than the npm registry is needed.
 */
function compileSettings() {
  const prefix = dirname(dirname(process.execPath));
  const isKnown = process.env.npm_config_nodedir !== undefined;
  if (isKnown || !existsSync(join(prefix, "include/node/node_api.h"))) return {};
  return { npm_config_nodedir: prefix };
}

/** Why there is no zstd at all on this machine, with the fix; or null. */
async function zstdFault() {
  const zlib = await import("node:zlib");
  if (typeof zlib.zstdCompressSync === "function") return null;
  try {
    // Imported by path: this file must not resolve packages before they are installed.
    await import(pathToFileURL(join(ROOT, "node_modules/zstd-napi/binding.js")).href);
    return null;
  } catch {
    return (
      "no zstd: the optional package zstd-napi did not install and this Node has none built in. " +
      "Install a C++ compiler (Debian: apt-get install g++ make python3), remove node_modules and " +
      "try again, or use Node 22.15 or newer"
    );
  }
}

/** Milliseconds since 1970, or null when there is no such file. */
function modifiedAtMs(file) {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? null;
}

function newestMs(path) {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return 0;
  if (!stat.isDirectory()) return stat.mtimeMs;
  return Math.max(stat.mtimeMs, ...readdirSync(path).map((name) => newestMs(join(path, name))));
}

/** Installs and builds what is missing, then runs `main`, a file of the build as a path from the root. */
export async function runBuilt(main) {
  await runInstalled(async () => {
    await ensureBuilt();
    await import(pathToFileURL(join(ROOT, main)).href);
  });
}

/** Runs `act` where everything is installed; what it throws is said, and its exit code is the process's. */
export async function runInstalled(act) {
  try {
    requireNode();
    await ensureInstalled();
    await act();
  } catch (error) {
    say(error.message);
    process.exitCode = error.exitCode ?? 1;
  }
}
