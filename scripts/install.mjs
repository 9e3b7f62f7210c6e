/**
 * The packages, without running code of theirs: `npm ci --ignore-scripts`, then the install scripts
 * of those packages that package.json names in `allowScripts`, and of no others (THREATS 26).
 *
 * A package that gains an install script is neither allowed nor refused there, and nothing is
 * installed until somebody has decided. Node built-ins only: this runs before there are packages.
 * @module
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import * as prepare from "./prepare.mjs";

/** The packages of a lockfile that have an install script, by name. */
export function scriptedPackages(lock) {
  const scripted = Object.entries(lock.packages).filter(
    ([path, entry]) => path !== "" && entry.hasInstallScript,
  );
  return [...new Set(scripted.map(([path]) => path.slice(path.lastIndexOf("node_modules/") + 13)))];
}

/** Those of `scripted` whose scripts may run. Throws `Stop` when one is not decided on. */
export function allowedPackages(scripted, allowScripts) {
  const open = scripted.filter((name) => typeof allowScripts[name] !== "boolean");
  if (open.length > 0) {
    const line = `decide on the install scripts of ${open.join(", ")} in package.json, allowScripts`;
    throw new prepare.Stop(line, prepare.EXIT_FAILURE);
  }
  return scripted.filter((name) => allowScripts[name]);
}

/** Installs what the lockfile says. Rejects with `Stop`. */
export async function install() {
  const read = (name) => JSON.parse(readFileSync(join(prepare.ROOT, name), "utf8"));
  const { allowScripts = {} } = read("package.json");
  const allowed = allowedPackages(scriptedPackages(read("package-lock.json")), allowScripts);
  const flags = ["--no-audit", "--no-fund"];
  prepare.demand("npm ci", await prepare.npm(["ci", "--ignore-scripts", ...flags]));
  for (const name of allowed) {
    // All of them are optional: each has a slower or a built-in way out.
    const code = await prepare.npm(["rebuild", name, ...flags]);
    if (code !== 0) prepare.say(`${name} did not build, and is done without`);
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  try {
    await install();
  } catch (error) {
    prepare.say(error.message);
    process.exitCode = error.exitCode ?? prepare.EXIT_FAILURE;
  }
}
