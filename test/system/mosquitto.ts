/**
 * mosquitto_pub and mosquitto_sub: MQTT clients that know nothing of us.
 * @module
 */
import { type DeviceKey, deviceName } from "../../src/core/index.ts";
import { topicOf } from "../../src/wire/index.ts";
import type { Running } from "../support/process.ts";
import { runToEnd } from "../support/process.ts";
import type { Bench } from "./bench.ts";

/** How a device logs in and what it says of itself. */
export interface MosquittoLogin {
  readonly port: number;
  readonly key: DeviceKey;
  readonly password?: string;
  /** More arguments, such as `--cafile`. */
  readonly args?: readonly string[];
}

/** One message as `mosquitto_sub -F` prints it. */
export interface Heard {
  readonly topic: string;
  readonly retain: boolean;
  readonly qos: number;
  readonly payload: Uint8Array;
}

const FORMAT = "%t %r %q %x";
/** A subscriber that hears nothing gives up after this, seconds. */
const PATIENCE_S = 40;

function loginArgs({ port, key, password, args = [] }: MosquittoLogin): string[] {
  const words = ["-h", "127.0.0.1", "-p", `${port}`, "-V", "mqttv311", "-i", key.device];
  const secret = password === undefined ? [] : ["-P", password];
  return [...words, "-u", deviceName(key), ...secret, ...args];
}

/** Publishes one file; the exit code is 0 only when the gateway acknowledged it (QoS 1). */
export function publishFile(
  login: MosquittoLogin,
  file: string,
  { topic = topicOf(login.key, "up"), qos = 1 } = {},
) {
  const args = [...loginArgs(login), "-q", `${qos}`, "-t", topic, "-f", file];
  return runToEnd("mosquitto_pub", args);
}

/** Subscribes to `topics` and waits for one message. */
export async function hearOne(login: MosquittoLogin, topics = [topicOf(login.key, "down")]) {
  const { code, stdout, stderr } = await runToEnd("mosquitto_sub", [
    ...subscribeArgs(login, topics),
    ...["-C", "1"],
  ]);
  return { code, stderr, heard: heardIn(stdout)[0] ?? null };
}

/** Subscribes in the background; `heard()` is what arrived so far. */
export function listen(bench: Bench, login: MosquittoLogin, topics: readonly string[]) {
  const running: Running = bench.run("mosquitto_sub", subscribeArgs(login, topics));
  return { running, heard: () => heardIn(running.stdout()) };
}

function subscribeArgs(login: MosquittoLogin, topics: readonly string[]): string[] {
  const filters = topics.flatMap((topic) => ["-t", topic]);
  return [...loginArgs(login), "-q", "1", ...filters, "-W", `${PATIENCE_S}`, "-F", FORMAT];
}

function heardIn(stdout: string): Heard[] {
  const lines = stdout.slice(0, stdout.lastIndexOf("\n") + 1).split("\n");
  return lines.filter(Boolean).map((line) => {
    const [topic = "", retain, qos, hex = ""] = line.split(" ");
    const payload = new Uint8Array(Buffer.from(hex, "hex"));
    return { topic, retain: retain === "1", qos: Number(qos), payload };
  });
}
