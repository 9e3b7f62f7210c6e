/**
 * The program run inside the test: same code as the executable, with strings for the outside.
 * @module
 */
import type { CliContext } from "../../src/cli/output.ts";
import { runProgram } from "../../src/cli/program.ts";

export interface CliRun {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** 2026-01-01T00:00:00Z. */
export const NOW_MS = 1_767_225_600_000;

export async function runCli(
  args: readonly string[],
  outside: {
    readonly env?: Readonly<Record<string, string>>;
    readonly cwd?: string;
    readonly stdin?: Uint8Array;
    /** The wall clock; {@link NOW_MS} by default. */
    readonly nowMs?: number;
  } = {},
): Promise<CliRun> {
  const written = { stdout: "", stderr: "" };
  const sink = (name: "stdout" | "stderr") => ({
    write(text: string) {
      written[name] += text;
    },
  });
  async function* stdin() {
    yield outside.stdin ?? new Uint8Array(0);
  }
  const context: CliContext = {
    env: outside.env ?? {},
    cwd: outside.cwd ?? "/nonexistent",
    stdin: stdin(),
    stdout: sink("stdout"),
    stderr: sink("stderr"),
    nowMs: () => outside.nowMs ?? NOW_MS,
    exitCode: 0,
  };
  const code = await runProgram(args, context);
  return { code, ...written };
}
