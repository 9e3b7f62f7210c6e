/**
 * A real PostgreSQL of the test's own. initdb refuses root, so as root the
 * server runs as the user `postgres` that Debian's package brings.
 * @module
 */
import { execFileSync } from "node:child_process";
import { chownSync, existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { freePort, tempDir } from "./disk.ts";
import { type Running, run } from "./process.ts";
import { waitFor } from "./wait.ts";

export interface PostgresServer {
  readonly url: string;
  readonly port: number;
  kill9(): Promise<void>;
  restart(): Promise<void>;
  stop(): Promise<void>;
}

function binaries(): string {
  const root = "/usr/lib/postgresql";
  const versions = existsSync(root) ? readdirSync(root).sort((a, b) => Number(b) - Number(a)) : [];
  for (const version of versions) {
    const bin = join(root, version, "bin");
    if (existsSync(join(bin, "initdb"))) return bin;
  }
  throw new Error(`no PostgreSQL server under ${root}: apt-get install postgresql`);
}

function identity(): { uid?: number; gid?: number } {
  if (process.getuid?.() !== 0) return {};
  const id = (flag: string) => Number(execFileSync("id", [flag, "postgres"]).toString().trim());
  return { uid: id("-u"), gid: id("-g") };
}

/** How to start a server. */
export interface PostgresCommand {
  readonly command: string;
  readonly args: readonly string[];
  /** Who it runs as, and where. */
  readonly settings: { readonly cwd: string; readonly uid?: number; readonly gid?: number };
  isReady(): Promise<boolean>;
}

/** Makes an empty cluster in `dir`, a folder of its own, for a server on `port`. */
export function preparePostgres(dir: string, port: number): PostgresCommand {
  const bin = binaries();
  const owner = identity();
  const data = join(dir, "data");
  if (owner.uid !== undefined && owner.gid !== undefined) chownSync(dir, owner.uid, owner.gid);
  const settings = { ...owner, cwd: dir };
  execFileSync(
    join(bin, "initdb"),
    ["-D", data, "-U", "omega", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"],
    { ...settings, stdio: "ignore" },
  );
  const listen = ["-p", String(port), "-h", "127.0.0.1", "-k", dir];
  const args = ["-D", data, ...listen, "-c", "max_connections=200"];
  const command = join(bin, "postgres");
  return { command, args, settings, isReady: () => isReady(bin, port) };
}

export async function startPostgres(): Promise<PostgresServer> {
  const port = await freePort();
  const dir = tempDir("omega-pg-");
  const prepared = preparePostgres(dir.path, port);
  let server: Running;
  const start = async () => {
    server = run(prepared.command, prepared.args, prepared.settings);
    await waitFor(() => prepared.isReady(), {
      what: `PostgreSQL on port ${port}`,
      timeoutMs: 30_000,
    });
  };
  await start();
  return {
    url: `postgres://omega@127.0.0.1:${port}/postgres`,
    port,
    kill9: () => server.kill("SIGKILL"),
    restart: async () => {
      await server.kill("SIGKILL");
      await start();
    },
    stop: async () => {
      await server.kill("SIGQUIT");
      await dir.remove();
    },
  };
}

async function isReady(bin: string, port: number): Promise<boolean> {
  const probe = run(join(bin, "pg_isready"), ["-q", "-h", "127.0.0.1", "-p", String(port)]);
  return (await probe.exited) === 0;
}
