export interface Change {
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

export interface Bug {
  readonly name: string;
  readonly why: string;
  /** The invariants by which it may be caught. */
  readonly breaks: readonly string[];
  readonly changes: readonly Change[];
}

export const BUGS: readonly Bug[];
