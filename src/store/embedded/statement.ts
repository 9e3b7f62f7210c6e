/**
 * What kind of statement a text is, as far as sharing one session needs to know.
 *
 * Only the first word counts, after comments: BullMQ's SQL begins with them.
 * What a transaction really does is not guessed here; the database says after
 * each statement whether it is inside one.
 * @module
 */

export type Statement =
  | { readonly kind: "begin" }
  | { readonly kind: "listen"; readonly channel: string }
  /** `channel` null means all of them. */
  | { readonly kind: "unlisten"; readonly channel: string | null }
  | { readonly kind: "other" };

const LEADING = /^(?:\s+|--[^\n]*(?:\n|$)|\/\*[\s\S]*?\*\/)+/;
const BEGIN = /^(?:begin|start\s+transaction)\b/i;
const LISTEN = /^listen\s+("(?:[^"]|"")+"|[a-z_][a-z0-9_$]*)\s*;?\s*$/i;
const UNLISTEN = /^unlisten\s+(\*|"(?:[^"]|"")+"|[a-z_][a-z0-9_$]*)\s*;?\s*$/i;

const OTHER: Statement = { kind: "other" };

export function classify(text: string): Statement {
  const body = text.replace(LEADING, "");
  if (BEGIN.test(body)) return { kind: "begin" };
  const listen = LISTEN.exec(body)?.[1];
  if (listen !== undefined) return { kind: "listen", channel: channelName(listen) };
  const unlisten = UNLISTEN.exec(body)?.[1];
  if (unlisten === undefined) return OTHER;
  return { kind: "unlisten", channel: unlisten === "*" ? null : channelName(unlisten) };
}

/** The identifier as PostgreSQL folds it: quoted as it stands, bare in lower case. */
function channelName(identifier: string): string {
  if (!identifier.startsWith('"')) return identifier.toLowerCase();
  return identifier.slice(1, -1).replaceAll('""', '"');
}

/** `LISTEN` or `UNLISTEN` for exactly this channel name. */
export function channelStatement(verb: "LISTEN" | "UNLISTEN", channel: string): string {
  return `${verb} "${channel.replaceAll('"', '""')}"`;
}
