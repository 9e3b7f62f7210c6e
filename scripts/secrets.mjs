/**
 * Makes the secrets that docker-compose.yml mounts, once; existing ones are left alone.
 *
 * Compose mounts a secret file with the owner and mode it has here, and the containers run as
 * other users: so the files are readable to all, and the directory is closed to all but you.
 * @module
 */
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const directory = process.argv[2] ?? join(root, "deploy/secrets");
const random = () => randomBytes(32).toString("hex");
const redisPassword = random();
const files = {
  "device-secret": `${random()}\n`,
  "redis-auth": `requirepass ${redisPassword}\n`,
  "redis-url": `redis://:${redisPassword}@redis:6379\n`,
};

mkdirSync(directory, { recursive: true, mode: 0o700 });
const existing = Object.keys(files).filter((name) => existsSync(join(directory, name)));
if (existing.length === 0) {
  for (const [name, text] of Object.entries(files)) {
    writeFileSync(join(directory, name), text, { mode: 0o444, flag: "wx" });
  }
  process.stdout.write(`wrote ${Object.keys(files).join(", ")} to ${directory}\n`);
} else if (existing.length === Object.keys(files).length) {
  process.stdout.write(`kept the secrets in ${directory}\n`);
} else {
  // Two of them share a password: half a set cannot be completed.
  process.stderr.write(`${directory} has only ${existing.join(", ")}: remove them and try again\n`);
  process.exitCode = 1;
}
