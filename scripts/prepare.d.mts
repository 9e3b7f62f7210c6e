export function nodeFault(version: string): string | null;
export function ensureBuilt(): Promise<void>;
