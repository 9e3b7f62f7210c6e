/**
 * What a command may touch of the outside, and how it speaks: words for people, or one JSON value for programs.
 *
 * The result goes to stdout and nothing else does, so every command can stand
 * in a pipe; remarks go to stderr. With `--json`, stdout carries exactly one
 * JSON value on one line, whatever happens in between.
 * @module
 */

/** The outside, handed to every command: tests give it strings, `main.ts` the real process. */
export interface CliContext {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Absolute; `omega.yaml` is looked for here. */
  readonly cwd: string;
  readonly stdin: AsyncIterable<Uint8Array>;
  readonly stdout: { write(text: string): unknown };
  readonly stderr: { write(text: string): unknown };
  /** Milliseconds since 1970. */
  nowMs(): number;
  /** The exit code of a run that ended without an error; 0 unless a command sets it. */
  exitCode: number;
}

/** Prints a result: `text` for people, or `value` as one line of JSON. */
export function printResult(
  context: CliContext,
  options: { readonly json?: boolean | undefined },
  result: { readonly text: string; readonly value: unknown },
): void {
  context.stdout.write(`${options.json ? toJson(result.value) : result.text.trimEnd()}\n`);
}

/** A remark for people beside the result; nothing when a program is reading. */
export function printRemark(
  context: CliContext,
  options: { readonly json?: boolean | undefined },
  text: string,
): void {
  if (!options.json) context.stderr.write(`${text}\n`);
}

/** JSON in which bytes are lower-case hex and maps are objects. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) => {
    if (item instanceof Uint8Array) return Buffer.from(item).toString("hex");
    if (item instanceof Map) return Object.fromEntries(item);
    if (ArrayBuffer.isView(item)) return Array.from(item as unknown as ArrayLike<number>);
    return item;
  });
}

/**
 * Text from a peer or a file made safe for a terminal: control characters,
 * escapes and bidirectional overrides are shown, not obeyed (THREATS 23).
 */
export function printable(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu,
    (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`,
  );
}

/** Rows as aligned columns, two spaces between them; the last column is not padded. */
export function alignColumns(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [column, cell] of row.entries()) {
      widths[column] = Math.max(widths[column] ?? 0, cell.length);
    }
  }
  return rows
    .map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  "))
    .map((line) => line.trimEnd())
    .join("\n");
}
