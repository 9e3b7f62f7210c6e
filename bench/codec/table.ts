/**
 * The rows for people: one table per set and case.
 * @module
 */
import { CASES } from "./coder.ts";
import type { Row } from "./rows.ts";

const HEADS = [
  "method",
  "bytes",
  "fits",
  "cosine",
  "nmse",
  "recall@10",
  "gap dB",
  "after 1 push",
  "mean of 1",
  "of 10",
  "of 100",
  "of 1000",
  "encode µs",
  "decode µs",
  "÷ zstd-19",
  "÷ int8",
];

/** All rows as text. */
export function tableOf(rows: readonly Row[]): string {
  const sets = [...new Set(rows.map(({ set }) => set))];
  const blocks = sets.flatMap((set) =>
    CASES.map((name) => {
      const shown = rows.filter((row) => row.set === set && row.case === name);
      return shown.length === 0 ? "" : block(`${set}: ${name}`, shown);
    }),
  );
  return `${blocks.filter((text) => text !== "").join("\n\n")}\n`;
}

/** Method, states and mode in one word. */
function nameOf({ method, states, mode }: Row): string {
  return states === null ? method : `${method} ${states} ${mode}`;
}

function block(title: string, rows: readonly Row[]): string {
  const lines = rows.map(cellsOf);
  const used = HEADS.map((_, at) => lines.some((cells) => cells[at] !== ""));
  const columns = HEADS.map((head, at) => ({ head, at })).filter(({ at }) => used[at]);
  const widths = columns.map(({ head, at }) =>
    Math.max(head.length, ...lines.map((cells) => (cells[at] as string).length)),
  );
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, at) => (at === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[at] ?? 0)))
      .join("  ")
      .trimEnd();
  return [
    `${title} (budget ${rows[0]?.budget} bytes)`,
    line(columns.map(({ head }) => head)),
    line(widths.map((width) => "─".repeat(width))),
    ...lines.map((cells) => line(columns.map(({ at }) => cells[at] as string))),
  ].join("\n");
}

function cellsOf(row: Row): string[] {
  const maybe = (value: number | null | undefined, show: (value: number) => string) =>
    value === null || value === undefined ? "" : show(value);
  const small = (value: number) => value.toExponential(2);
  const mean = row.nmseOfMean;
  return [
    nameOf(row),
    String(row.bytes),
    row.bytes <= row.budget ? "yes" : "no",
    row.cosine.toFixed(4),
    small(row.nmse),
    maybe(row.recall10, (value) => value.toFixed(3)),
    maybe(row.gapDb, (value) => value.toFixed(2)),
    maybe(row.afterOnePush?.cosine, (value) => value.toFixed(4)),
    maybe(mean?.n1, small),
    maybe(mean?.n10, small),
    maybe(mean?.n100, small),
    maybe(mean?.n1000, small),
    row.encodeUs.toFixed(0),
    row.decodeUs.toFixed(0),
    maybe(row.encodeVsZstd19, (value) => value.toFixed(2)),
    maybe(row.decodeVsInt8, (value) => value.toFixed(2)),
  ];
}
