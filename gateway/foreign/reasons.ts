/**
 * What another broker's reason codes (MQTT 5, 2.4) mean to an operator. Pure.
 * @module
 */
import { type OmegaError, TransportError } from "../../src/core/index.ts";

const CONNACK_WORDS: Readonly<Record<number, string>> = {
  // MQTT 3.1.1 §3.2.2.3, from a broker that does not know version 5.
  1: "it does not speak MQTT 5",
  132: "it does not speak MQTT 5",
  133: "it does not allow the client id: set gateway.broker.clientId",
  136: "it is not available right now",
  137: "it is busy",
};
const CREDENTIALS = new Set([4, 5, 134, 135, 140]);
const SESSION_TAKEN_OVER = 142;

/** The error of a CONNACK with this code, or null for 0. */
export function connackRefusal(name: string, code: number, said = ""): OmegaError | null {
  if (code === 0) return null;
  const because = said === "" ? "" : ` (${said})`;
  const detail = { code };
  if (CREDENTIALS.has(code)) {
    const words = `${name} refused the credentials: CONNACK ${code}${because}; check gateway.broker.username and passwordFile`;
    return new TransportError("broker.credentials", words, { detail });
  }
  const words = CONNACK_WORDS[code] ?? "it refused the connection";
  return new TransportError("broker.connack", `${name}: ${words}, CONNACK ${code}${because}`, {
    detail,
  });
}

/** The error of a DISCONNECT that the broker sent. */
export function disconnectError(name: string, code: number): OmegaError {
  if (code === SESSION_TAKEN_OVER) {
    const words = `${name}: another process uses the same client id: give each its own gateway.broker.clientId`;
    return new TransportError("broker.taken-over", words, { detail: { code } });
  }
  return new TransportError("broker.disconnected", `${name} disconnected us with reason ${code}`, {
    detail: { code },
  });
}
