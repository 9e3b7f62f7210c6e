/**
 * A described frame as text for people. Nothing a peer wrote reaches the terminal unescaped.
 * @module
 */
import type { Entry, FrameDescription } from "./frame-decode.ts";
import { alignColumns, printable, toJson } from "./output.ts";

/** Sections of aligned columns: frame, header, body, content, fault. */
export function frameText(description: FrameDescription): string {
  const { frameBytes, header, body, content, fault } = description;
  const parts = [`frame   ${frameBytes} bytes`];
  if (header !== null) parts.push(rowsText("header", Object.entries(header)));
  if (body !== null) {
    const raw = body.rawBytes === null ? "" : ` of ${body.rawBytes} raw`;
    parts.push(
      `body    ${body.packedBytes} bytes${body.compressed ? ` of zstd${raw}` : ", stored"}`,
    );
  }
  for (const [name, value] of Object.entries(content ?? {})) parts.push(contentText(name, value));
  if (fault !== null) parts.push(`fault   ${printable(`${fault.reason}: ${fault.message}`)}`);
  return parts.join("\n");
}

function contentText(name: string, value: unknown): string {
  if (Array.isArray(value)) {
    const title = `${name} (${value.length})`;
    if (value.length === 0) return title;
    const isTable = value.every((item) => typeof item === "object" && item !== null);
    return isTable ? tableText(title, value) : `${title}\n  ${value.map(cell).join("  ")}`;
  }
  if (typeof value === "object" && value !== null) return rowsText(name, Object.entries(value));
  return `${name.padEnd(7)} ${cell(value)}`;
}

function rowsText(title: string, rows: readonly (readonly [string, unknown])[]): string {
  return indent(title, alignColumns(rows.map(([name, value]) => [printable(name), cell(value)])));
}

function tableText(title: string, entries: readonly Entry[]): string {
  const names = [...new Set(entries.flatMap((entry) => Object.keys(entry)))];
  const rows = entries.map((entry) => names.map((name) => cell(entry[name])));
  return indent(title, alignColumns([names, ...rows]));
}

function indent(title: string, block: string): string {
  return [title, ...block.split("\n").map((line) => `  ${line}`)].join("\n");
}

function cell(value: unknown): string {
  if (value === undefined) return "";
  if (typeof value === "string") return printable(value);
  return printable(
    value instanceof Uint8Array ? Buffer.from(value).toString("hex") : toJson(value),
  );
}
