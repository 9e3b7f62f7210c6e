/**
 * Where a history goes: nowhere, into memory, or into a file.
 * @module
 */
import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { messageOf, ProtocolError } from "../../core/index.ts";
import type { Dated, HistoryEvent } from "./events.ts";

export interface HistorySink {
  record(event: HistoryEvent): void;
}

/** A moment that all processes of a machine share, milliseconds, and that no change of the wall clock moves. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint() / 1_000n) / 1_000;
}

/** Keeps every event with its moment by `nowMs`. */
export class MemorySink implements HistorySink {
  readonly events: Dated[] = [];
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  record(event: HistoryEvent): void {
    this.events.push({ atMs: this.#nowMs(), ...event });
  }
}

/** Appends to a file, each event before the call returns, so that a killed process loses none. */
export class FileSink implements HistorySink {
  readonly #file: number;
  readonly #nowMs: () => number;

  /** Throws as `openSync` does. */
  constructor(path: string, nowMs: () => number) {
    this.#file = openSync(path, "a");
    this.#nowMs = nowMs;
  }

  record(event: HistoryEvent): void {
    // One write of one line: appends of several processes do not mix.
    writeSync(this.#file, `${lineOf({ atMs: this.#nowMs(), ...event })}\n`);
  }

  close(): void {
    closeSync(this.#file);
  }
}

/** An event as one line of JSON. */
export function lineOf(event: Dated): string {
  return JSON.stringify(event);
}

/**
 * The history in a file, oldest first. A last line without its end, which a kill leaves, is left
 * out. Throws `ProtocolError("history.line")` on any other line that is no event.
 */
export function readHistoryFile(path: string): Dated[] {
  const lines = readFileSync(path, "utf8").split("\n");
  const whole = lines.slice(0, -1).map((line, index) => {
    try {
      return JSON.parse(line) as Dated;
    } catch (error) {
      const message = `${path}:${index + 1} is no event: ${messageOf(error)}`;
      throw new ProtocolError("history.line", message, { cause: error });
    }
  });
  return whole.sort((a, b) => a.atMs - b.atMs);
}
