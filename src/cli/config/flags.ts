/**
 * Settings from the command line: `--set path=value` for any of them, and the short flags that commands offer for a few.
 * @module
 */
import type { Origin, Setting, Source } from "../origin.ts";
import { settingOf, targetOf, unknownPath } from "./accept.ts";
import { valueOfText } from "./fields.ts";

/** A flag of a command that sets one path: `{ path: "backend", flag: "--redis", text: url }`. */
export interface FlagSetting {
  readonly path: string;
  readonly flag: string;
  /** What the user typed; undefined when the flag was not given. */
  readonly text: string | undefined;
}

/** Reads `--set` assignments (`gateway.tcp.port=1884`), then the command's own flags, which win. */
export function settingsOfFlags(sets: readonly string[], flags: readonly FlagSetting[]): Source {
  const settings: Setting[] = [];
  const faults: string[] = [];
  const accept = (path: string, text: string, origin: Origin) => {
    const target = targetOf(path);
    if (target === null) {
      faults.push(unknownPath(path, origin));
      return;
    }
    const value = target.isSecretFile ? text : valueOfText(target.field, text);
    settings.push(settingOf(target, value, origin));
  };
  for (const assignment of sets) {
    const equals = assignment.indexOf("=");
    if (equals < 1) faults.push(`--set needs PATH=VALUE: got ${JSON.stringify(assignment)}`);
    else {
      accept(assignment.slice(0, equals), assignment.slice(equals + 1), {
        kind: "flag",
        flag: "--set",
      });
    }
  }
  for (const { path, flag, text } of flags) {
    if (text !== undefined) accept(path, text, { kind: "flag", flag });
  }
  return { settings, faults };
}
