/**
 * Secrets that cannot be printed by accident (THREATS 25).
 *
 * A configuration is logged, dumped in an error and shown by `config print`;
 * a secret in it must survive none of these. It is therefore an object that
 * prints as `[redacted]` everywhere and gives its value only when asked.
 * @module
 */
import { inspect } from "node:util";

const REDACTED = "[redacted]";

export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
    Object.freeze(this);
  }

  /** The secret itself, for the one place that uses it. */
  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return REDACTED;
  }

  toJSON(): string {
    return REDACTED;
  }

  [inspect.custom](): string {
    return REDACTED;
  }
}

/** A URL without its credentials: the user part, and every query value whose name smells of a secret. */
export function redactUrl(url: string): string {
  return url
    .replace(/^([^:/]+:\/\/).*@/s, `$1${REDACTED}@`)
    .replace(/([?&][^=&]*(?:pass|secret|token|auth|key)[^=&]*=)[^&]*/gi, `$1${REDACTED}`);
}

/** The content of a secret file: one trailing line break is the editor's, not the secret's. */
export function secretOfFile(content: string): string {
  return content.replace(/\r?\n$/, "");
}
