/**
 * Tables in plain text.
 * @module
 */

/** Lines of cells in columns; `flush` has a letter for each column: l left, r right. */
export function columns(lines: readonly (readonly string[])[], flush: string): string {
  const widths = Array.from(flush, (_, at) =>
    Math.max(...lines.map((line) => line[at]?.length ?? 0)),
  );
  const pad = (cell: string, at: number) => {
    const width = widths[at] ?? 0;
    return flush[at] === "l" ? cell.padEnd(width) : cell.padStart(width);
  };
  return lines.map((line) => line.map(pad).join("  ").trimEnd()).join("\n");
}
