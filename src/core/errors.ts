/**
 * Errors with stable codes.
 *
 * `code` is one of eight names that users may switch on for ever; `reason` is
 * the dotted detail ("frame.truncated") that logs, metrics and the device's
 * refusal topic carry; `detail` holds the value that was wrong. Secrets never
 * enter a detail.
 * @module
 */

export const ERROR_CODES = [
  "Serialization",
  "Compression",
  "Network",
  "Transport",
  "Timeout",
  "InvalidConfig",
  "Protocol",
  "RetryExhausted",
] as const;
export type ErrorCode = (typeof ERROR_CODES)[number];

export type ErrorDetail = Readonly<Record<string, unknown>>;

export interface OmegaErrorOptions {
  readonly detail?: ErrorDetail;
  readonly cause?: unknown;
}

/** The base of every error this product throws on purpose. */
export class OmegaError extends Error {
  readonly code: ErrorCode;
  readonly reason: string;
  readonly detail: ErrorDetail;

  constructor(code: ErrorCode, reason: string, message: string, options: OmegaErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = `${code}Error`;
    this.code = code;
    this.reason = reason;
    this.detail = options.detail ?? {};
  }
}

/** The peer's bytes are well transported but break the protocol. */
export class ProtocolError extends OmegaError {
  constructor(reason: string, message: string, options?: OmegaErrorOptions) {
    super("Protocol", reason, message, options);
  }
}

/** Bytes that are not the CBOR they claim to be, or a value that cannot be encoded. */
export class SerializationError extends OmegaError {
  constructor(reason: string, message: string, options?: OmegaErrorOptions) {
    super("Serialization", reason, message, options);
  }
}

/** zstd input that is broken, unbounded or too large, or no zstd on this machine. */
export class CompressionError extends OmegaError {
  constructor(reason: string, message: string, options?: OmegaErrorOptions) {
    super("Compression", reason, message, options);
  }
}

/** No connection: a name that does not resolve, a refused or cut socket. */
export class NetworkError extends OmegaError {
  constructor(reason: string, message: string, options?: OmegaErrorOptions) {
    super("Network", reason, message, options);
  }
}

/** A connection exists but what it carries failed: broker, queue or store refused or broke. */
export class TransportError extends OmegaError {
  constructor(reason: string, message: string, options?: OmegaErrorOptions) {
    super("Transport", reason, message, options);
  }
}

/** Nothing came back in time; the outcome is unknown. */
export class TimeoutError extends OmegaError {
  constructor(reason: string, message: string, options?: OmegaErrorOptions) {
    super("Timeout", reason, message, options);
  }
}

/** One or more faults in a configuration, all listed in `faults`. */
export class InvalidConfigError extends OmegaError {
  readonly faults: readonly string[];

  constructor(faults: readonly string[], options?: OmegaErrorOptions) {
    super(
      "InvalidConfig",
      "config.invalid",
      `invalid configuration:\n  ${faults.join("\n  ")}`,
      options,
    );
    this.faults = faults;
  }
}

/** Every permitted attempt failed; `cause` is the last failure. */
export class RetryExhaustedError extends OmegaError {
  constructor(reason: string, message: string, options?: OmegaErrorOptions) {
    super("RetryExhausted", reason, message, options);
  }
}

/** The message of anything that was thrown, for logs and refusals. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
