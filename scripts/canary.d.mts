export const CANARY_VARIABLE: string;
export function newCanary(): string;
export function spellingsOf(secret: string): string[];
export class CanarySearch {
  constructor(secret: string);
  readonly found: number;
  push(piece: Uint8Array | string): void;
}
