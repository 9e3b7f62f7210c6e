/** What a server did instead of what it must. */
export class ConformanceFault extends Error {}

/** Throws `ConformanceFault` with `expected … : got …` unless the two are the same in JSON. */
export function mustBe(what: string, actual: unknown, expected: unknown): void {
  const [got, wanted] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (got !== wanted) throw new ConformanceFault(`${what}: expected ${wanted}, got ${got}`);
}
