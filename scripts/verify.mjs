/**
 * `npm run verify`: everything that must hold before a change is accepted, from a fresh clone, in
 * one command. The last line is the count of the tests that really ran.
 * @module
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CANARY_VARIABLE, CanarySearch, newCanary } from "./canary.mjs";
import { countLine, countReport, isGood } from "./count.mjs";
import * as prepare from "./prepare.mjs";

/** What the tests need from the machine: a program or a directory, and the Debian package that has it. */
const TOOLS = [
  { program: "redis-server", package: "redis-server" },
  { program: "mosquitto", package: "mosquitto" },
  { program: "mosquitto_pub", package: "mosquitto-clients" },
  { program: "haproxy", package: "haproxy" },
  { directory: "/usr/lib/postgresql", package: "postgresql" },
  { program: "zstd", package: "zstd" },
  { directory: "/usr/lib/python3/dist-packages/paho", package: "python3-paho-mqtt" },
  { program: "openssl", package: "openssl" },
  { program: "docker-compose", package: "docker-compose", or: ["docker", "compose", "version"] },
];
/** Debian keeps servers outside the PATH of ordinary users. */
const SERVER_DIRECTORIES = ["/usr/sbin", "/usr/local/sbin", "/sbin"];
const APT = "apt-get";
const POLICY_FILE = "/usr/sbin/policy-rc.d";

function isThere(tool) {
  if (tool.directory !== undefined) return existsSync(tool.directory);
  const path = [...(process.env.PATH ?? "").split(":"), ...SERVER_DIRECTORIES];
  if (path.some((directory) => existsSync(join(directory, tool.program)))) return true;
  if (tool.or === undefined) return false;
  return spawnSync(tool.or[0], tool.or.slice(1), { stdio: "ignore" }).status === 0;
}

async function ensureTools() {
  const packages = TOOLS.filter((tool) => !isThere(tool)).map((tool) => tool.package);
  if (packages.length === 0) return;
  const isRoot = process.getuid?.() === 0;
  if (!isRoot || spawnSync(APT, ["--version"], { stdio: "ignore" }).status !== 0) {
    const line = `the tests need: sudo apt-get install -y ${packages.join(" ")}`;
    throw new prepare.Stop(line, prepare.EXIT_UNAVAILABLE);
  }
  await prepare.phase(`installing ${packages.join(", ")}`, () => aptInstall(packages));
}

async function aptInstall(packages) {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const apt = (...args) => prepare.run(APT, ["-q", ...args], { env });
  await apt("update");
  const code = await withoutServices(() =>
    apt("install", "-y", "--no-install-recommends", ...packages),
  );
  if (code === 0) return;
  const line = `apt-get install failed, the tests need: ${packages.join(" ")}`;
  throw new prepare.Stop(line, prepare.EXIT_UNAVAILABLE);
}

/** Debian's way to install a server without starting it; the tests start their own. */
async function withoutServices(act) {
  if (existsSync(POLICY_FILE)) return act();
  writeFileSync(POLICY_FILE, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  try {
    return await act();
  } finally {
    rmSync(POLICY_FILE, { force: true });
  }
}

/**
 * Runs a program like `prepare.run`, and shows `search` all that it prints. Through pipes it sees no
 * terminal, so it is told whether colours are welcome.
 */
function runSearched(command, args, env, search) {
  return new Promise((resolve, reject) => {
    const colours = process.stderr.isTTY ? { FORCE_COLOR: "1" } : {};
    const options = { cwd: prepare.ROOT, env: { ...colours, ...env } };
    const child = spawn(command, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (piece) => {
        search.push(piece);
        process.stderr.write(piece);
      });
    }
    child.once("error", reject);
    child.once("close", (code) => resolve(code ?? 128));
  });
}

/**
 * Runs vitest, with whatever stands behind `npm run verify --`, and gives the count of its JSON
 * report, or null when it left none, and how often the planted secret was shown.
 */
async function runTests() {
  const directory = mkdtempSync(join(tmpdir(), "omega-verify-"));
  const file = join(directory, "report.json");
  const vitest = join(prepare.ROOT, "node_modules/vitest/vitest.mjs");
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${file}`];
  const canary = newCanary();
  const search = new CanarySearch(canary);
  const path = [process.env.PATH, ...SERVER_DIRECTORIES].join(":");
  const env = { ...process.env, PATH: path, [CANARY_VARIABLE]: canary };
  try {
    const args = [vitest, "run", ...reporters, ...process.argv.slice(2)];
    const code = await runSearched(process.execPath, args, env, search);
    const report = existsSync(file) ? readFileSync(file, "utf8") : null;
    search.push(report ?? "");
    const count = report === null ? null : countReport(JSON.parse(report));
    return { code, count, shown: search.found };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function verify() {
  prepare.requireNode();
  // In a log file, colours are noise.
  if (!process.stderr.isTTY) process.env.NO_COLOR ??= "1";
  await prepare.ensureInstalled();
  await ensureTools();
  await prepare.build();
  await prepare.phase("checking types, style and rooms", async () => {
    prepare.demand("npm run check", await prepare.npm(["run", "--silent", "check"]));
  });
  const { code, count, shown } = await prepare.phase("testing", runTests);
  if (count === null) throw new prepare.Stop(`vitest left no report (exit ${code})`, 1);
  for (const skip of count.skips) prepare.say(`skipped: ${skip}`);
  for (const failure of count.failures) prepare.say(`failed: ${failure}`);
  // An error outside every test (an unhandled rejection) fails vitest while no test did.
  if (isGood(count) && code !== 0) prepare.say(`vitest ended with exit ${code}, see above`);
  if (shown > 0) prepare.say(`the tests' secret was shown in ${shown} places: see THREATS 25`);
  process.exitCode = isGood(count) && code === 0 && shown === 0 ? 0 : prepare.EXIT_FAILURE;
  process.stdout.write(`${countLine(count)}\n`);
}

try {
  await verify();
} catch (error) {
  prepare.say(error.message);
  process.exitCode = error.exitCode ?? prepare.EXIT_FAILURE;
}
