/**
 * Leases, commits and releases, from the records of processes that could be killed before they wrote
 * one: what must hold of them in whatever order they come, and with some of them missing. Pure.
 * @module
 */
import type { Dated, HistoryEvent } from "../../src/fleet/oracle/events.ts";
import type { Violation } from "../../src/fleet/oracle/violation.ts";

/** The events of one file, which is one process and those that took its place. */
export interface Log {
  readonly file: string;
  readonly events: readonly Dated[];
}

type Of<Kind extends HistoryEvent["kind"]> = Extract<HistoryEvent, { readonly kind: Kind }>;

/**
 * I7: a fencing token has one holder, and commits in their order have tokens that never fall; I5: a
 * version has one content. `tailMayBeLost`: the store may have been replaced by one that had not
 * heard of its last writes, and then a commit's number comes again.
 */
export function ledgerFaults(logs: readonly Log[], tailMayBeLost: boolean): Violation[] {
  return [
    ...leaseFaults(logs),
    ...(tailMayBeLost ? [] : commitFaults(eventsOf(logs, "commit"))),
    ...releaseFaults(logs),
  ];
}

function eventsOf<Kind extends HistoryEvent["kind"]>(logs: readonly Log[], kind: Kind): Of<Kind>[] {
  return logs.flatMap(({ events }) =>
    events.filter((event): event is Dated & Of<Kind> => event.kind === kind),
  );
}

function leaseFaults(logs: readonly Log[]): Violation[] {
  const holders = new Map<string, string>();
  const violations: Violation[] = [];
  for (const { file, events } of logs) {
    for (const event of events) {
      if (event.kind !== "lease") continue;
      const name = `token ${event.token} of ${event.name}`;
      const other = holders.get(name);
      holders.set(name, file);
      if (other === undefined || other === file) continue;
      violations.push({ invariant: "I7", what: `${other} and ${file} both have ${name}` });
    }
  }
  return violations;
}

function commitFaults(commits: readonly Of<"commit">[]): Violation[] {
  const violations: Violation[] = [];
  const newest = new Map<number, Of<"commit">>();
  for (const commit of [...commits].sort((a, b) => a.number - b.number)) {
    const before = newest.get(commit.shard);
    newest.set(commit.shard, commit);
    if (before === undefined) continue;
    const inOrder = commit.number > before.number && commit.token >= before.token;
    if (inOrder) continue;
    const { shard } = commit;
    const name = (of: Of<"commit">) => `${of.number} under token ${of.token}`;
    const what = `shard ${shard}: commit ${name(commit)} beside ${name(before)}`;
    violations.push({ invariant: "I7", what });
  }
  return violations;
}

/** Of each version the devices have at most two contents, one for each rendition. */
function releaseFaults(logs: readonly Log[]): Violation[] {
  const contents = new Map<number, Set<string>>();
  for (const { version, hash } of eventsOf(logs, "release")) {
    const known = contents.get(version) ?? new Set();
    contents.set(version, known.add(hash));
  }
  return [...contents].flatMap(([version, hashes]): Violation[] => {
    if (hashes.size <= 2) return [];
    return [{ invariant: "I5", what: `version ${version} has ${hashes.size} contents` }];
  });
}
