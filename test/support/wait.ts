/**
 * Waiting for something that another process does: polls until `check` gives a truthy value.
 * @module
 */

export async function waitFor<T>(
  check: () => T | Promise<T>,
  options: { readonly timeoutMs?: number; readonly what?: string; readonly everyMs?: number } = {},
): Promise<NonNullable<T>> {
  const { timeoutMs = 15_000, what = "the condition", everyMs = 25 } = options;
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const value = await check();
    if (value !== null && value !== undefined && value !== false) return value as NonNullable<T>;
    if (performance.now() > deadline) throw new Error(`waited ${timeoutMs} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}
