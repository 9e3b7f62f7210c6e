/**
 * A secret that is planted in the tests and searched for in all that they print (THREATS 25).
 *
 * `npm run verify` draws a new one for each run and hands it on in the environment; the tests use
 * it wherever they need a secret (test/support/canary.ts). A run that shows it anywhere, whole and
 * in any of the usual spellings, has failed.
 * @module
 */
import { randomBytes } from "node:crypto";

export const CANARY_VARIABLE = "CANARY_OF_THE_RUN";

/** A new secret: 48 characters that occur by chance nowhere. */
export function newCanary() {
  return randomBytes(24).toString("hex");
}

/** How `secret` looks when it is printed: as it is, and inside base64 at each of its three offsets. */
export function spellingsOf(secret) {
  const bytes = Buffer.from(secret);
  const inBase64 = [0, 1, 2].map((offset) => {
    // The first and the last quantum also hold bits of whatever stands beside the secret.
    const text = Buffer.concat([Buffer.alloc(offset), bytes]).toString("base64");
    return text.slice(offset === 0 ? 0 : 4, -4);
  });
  const plain = [secret, secret.toUpperCase(), bytes.toString("hex")];
  const base64url = inBase64.map((text) => text.replaceAll("+", "-").replaceAll("/", "_"));
  return [...new Set([...plain, ...inBase64, ...base64url])];
}

/** Looks for a secret in text that comes in pieces. */
export class CanarySearch {
  #spellings;
  #overlap;
  #rest = "";
  #found = 0;

  constructor(secret) {
    this.#spellings = spellingsOf(secret);
    this.#overlap = Math.max(...this.#spellings.map((text) => text.length)) - 1;
  }

  /** The number of pieces that showed it. */
  get found() {
    return this.#found;
  }

  /** Takes the next piece, a string or bytes. */
  push(piece) {
    const text = this.#rest + piece.toString("latin1");
    if (this.#spellings.some((spelling) => text.includes(spelling))) {
      this.#found += 1;
      this.#rest = "";
      return;
    }
    this.#rest = text.slice(-this.#overlap);
  }
}
