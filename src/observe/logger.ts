/**
 * Logging: one JSON object per line on stderr, for machines first.
 *
 *   {"level":"info","time":"2026-11-02T09:30:00.000Z","name":"gateway",
 *    "event":"gateway.listening","port":1883}
 *
 * An event is a stable dotted name, never a sentence with values inside, so
 * that a line can be searched for and no input can forge another line
 * (THREATS 23). stdout belongs to the commands' own output.
 * @module
 */
import pino from "pino";
import { type Clock, systemClock } from "../core/index.ts";
import { safeFields, safeText } from "./redact.ts";

type LogFields = Record<string, unknown>;

export interface Logger {
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
  /** A logger whose every line also carries `fields`. */
  child(fields: LogFields): Logger;
}

export type LogLevel = "debug" | "info" | "warn" | "error" | "silent";

interface LoggerOptions {
  /** The least level that is written. */
  readonly level: LogLevel;
  /** Which part of the product speaks, for instance "gateway". */
  readonly name: string;
  /** Where lines go; stderr by default, written before the call returns so that a crash loses none. */
  readonly destination?: NodeJS.WritableStream;
  readonly clock?: Clock;
}

/** Says nothing. */
export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLogger,
};

/** The keys the line itself owns; a field of that name is written as `field.<name>`. */
const OWN_KEYS: ReadonlySet<string> = new Set(["level", "time", "name", "event"]);
const STDERR_FD = 2;

/** A logger that writes JSON lines with secrets redacted. Never throws for what it is given to log. */
export function createLogger(options: LoggerOptions): Logger {
  if (options.level === "silent") return silentLogger;
  const clock = options.clock ?? systemClock;
  const writer = pino(
    {
      level: options.level,
      base: { name: options.name },
      messageKey: "event",
      timestamp: () => `,"time":"${new Date(clock.nowMs()).toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    options.destination ?? pino.destination({ dest: STDERR_FD, sync: true }),
  );
  return loggerOver(writer, {});
}

function loggerOver(writer: pino.Logger, bound: LogFields): Logger {
  const at =
    (level: "debug" | "info" | "warn" | "error") =>
    (event: string, fields?: LogFields): void => {
      if (!writer.isLevelEnabled(level)) return;
      // Bound fields are merged here, not by pino, which would write a key twice.
      writer[level](lineFields(bound, fields), safeText(event));
    };
  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    child: (fields) => loggerOver(writer, { ...bound, ...fields }),
  };
}

function lineFields(bound: LogFields, fields: LogFields | undefined): LogFields {
  const safe = safeFields({ ...bound, ...fields });
  const line: LogFields = {};
  for (const [key, value] of Object.entries(safe)) {
    line[OWN_KEYS.has(key) ? `field.${key}` : key] = value;
  }
  return line;
}
