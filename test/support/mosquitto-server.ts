/**
 * A real Mosquitto of the test's own, configured as docs/broker.md says: loopback, free port,
 * nothing that waits for a member is ever dropped.
 * @module
 */
import { execFileSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { makeCerts } from "./certs.ts";
import { freePort, tempDir } from "./disk.ts";
import { run } from "./process.ts";
import { waitFor } from "./wait.ts";

export interface MosquittoServer {
  readonly port: number;
  readonly url: string;
  /** Of the TLS listener, and the authority that signed its certificate; empty without one. */
  readonly tlsUrl: string;
  readonly caFile: string;
  stop(): Promise<void>;
}

interface MosquittoUser {
  readonly name: string;
  readonly password: string;
}

/** Debian puts it where an ordinary user's PATH does not look. */
function binary(): string {
  const known = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/usr/bin/mosquitto"];
  const found = known.find((path) => existsSync(path));
  if (found === undefined) throw new Error("no Mosquitto: apt-get install mosquitto");
  return found;
}

export interface MosquittoOptions {
  /** Nobody else may log in. */
  readonly user?: MosquittoUser;
  /** Listen for TLS too. */
  readonly tls?: boolean;
}

export async function startMosquitto(options: MosquittoOptions = {}): Promise<MosquittoServer> {
  const dir = tempDir("omega-mosquitto-");
  const port = await freePort();
  const lines = [
    `listener ${port} 127.0.0.1`,
    "max_queued_messages 0",
    "max_inflight_messages 0",
    "max_queued_bytes 0",
    ...(process.getuid?.() === 0 ? ["user root"] : []),
    ...loginLines(dir.path, options.user),
  ];
  const tlsPort = await freePort();
  const certs = options.tls === true ? makeCerts(dir.path) : null;
  if (certs !== null) {
    const { certFile, keyFile } = certs;
    lines.push(`listener ${tlsPort} 127.0.0.1`, `certfile ${certFile}`, `keyfile ${keyFile}`);
  }
  const file = join(dir.path, "mosquitto.conf");
  writeFileSync(file, `${lines.join("\n")}\n`);
  const server = run(binary(), ["-c", file]);
  await waitFor(() => answers(port), { what: `mosquitto on port ${port}` });
  return {
    port,
    url: `mqtt://127.0.0.1:${port}`,
    tlsUrl: certs === null ? "" : `mqtts://127.0.0.1:${tlsPort}`,
    caFile: certs?.caFile ?? "",
    stop: async () => {
      await server.kill("SIGKILL");
      await dir.remove();
    },
  };
}

function loginLines(dir: string, user: MosquittoUser | undefined): string[] {
  if (user === undefined) return ["allow_anonymous true"];
  const file = join(dir, "passwords");
  writeFileSync(file, "", { mode: 0o600 });
  execFileSync("mosquitto_passwd", ["-b", file, user.name, user.password], { stdio: "ignore" });
  return ["allow_anonymous false", `password_file ${file}`];
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => finish(true));
    const finish = (ok: boolean) => {
      socket.destroy();
      resolve(ok);
    };
    socket.once("error", () => finish(false));
  });
}
