/**
 * The YAML file as settings, each with the line it stands on.
 *
 * The document is walked node by node instead of being turned into objects
 * first, so that every fault can name its line and keys such as `__proto__`
 * are just unknown settings.
 * @module
 */
import { isAlias, isMap, isScalar, LineCounter, type Node, parseDocument, type Scalar } from "yaml";
import { describeOrigin, type Origin, type Setting, type Source } from "../origin.ts";
import { settingOf, targetOf, unknownPath } from "./accept.ts";
import { isSection } from "./fields.ts";

const DEPTH_MAX = 8;

interface Walk {
  readonly settings: Setting[];
  readonly faults: string[];
  originOf(node: { range?: readonly number[] | null | undefined } | null): Origin;
}

/** Reads YAML `text`; `name` is the file as the user calls it, for the origins. */
export function settingsOfYaml(text: string, name: string): Source {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const walk: Walk = {
    settings: [],
    faults: [],
    originOf: (node) => ({
      kind: "file",
      file: name,
      line: lines.linePos(node?.range?.[0] ?? 0).line,
    }),
  };
  for (const error of document.errors) {
    const origin: Origin = { kind: "file", file: name, line: lines.linePos(error.pos[0]).line };
    walk.faults.push(`${error.message} (${describeOrigin({ origin })})`);
  }
  if (walk.faults.length > 0) return walk;
  const root = document.contents;
  if (isMap(root)) walkMap(walk, root, "", 0);
  else if (root !== null && !isEmpty(root)) {
    walk.faults.push(
      `expected settings as "name: value" (${describeOrigin({ origin: walk.originOf(root) })})`,
    );
  }
  return walk;
}

function walkMap(walk: Walk, map: { items: unknown[] }, prefix: string, depth: number): void {
  for (const item of map.items as { key: Scalar; value: Node | null }[]) {
    const origin = walk.originOf(item.key);
    if (!isScalar(item.key) || depth > DEPTH_MAX) {
      walk.faults.push(`expected a plain name as key (${describeOrigin({ origin })})`);
      continue;
    }
    walkPair(walk, item.value, `${prefix}${String(item.key.value)}`, origin, depth);
  }
}

function walkPair(
  walk: Walk,
  value: Node | null,
  path: string,
  origin: Origin,
  depth: number,
): void {
  const refuse = (message: string) =>
    walk.faults.push(`${message} (${describeOrigin({ origin })})`);
  const target = targetOf(path);
  if (isAlias(value)) {
    refuse(`${path}: YAML aliases are not supported, write the value out`);
  } else if (target !== null && (value === null || isScalar(value))) {
    walk.settings.push(settingOf(target, value === null ? null : value.value, origin));
  } else if (target !== null) {
    refuse(`${path} must be one value, not a ${isMap(value) ? "section" : "list"}`);
  } else if (!isSection(path)) {
    walk.faults.push(unknownPath(path, origin));
  } else if (isEmpty(value) && isTenant(path)) {
    // A tenant named without settings has the defaults; it must not vanish.
    const dim = targetOf(`${path}.dim`);
    if (dim !== null) walk.settings.push(settingOf(dim, dim.field.fallback, origin));
  } else if (isMap(value)) {
    walkMap(walk, value, `${path}.`, depth + 1);
  } else if (!isEmpty(value)) {
    refuse(`${path} must be a section of settings`);
  }
}

function isEmpty(value: Node | null): boolean {
  return (
    value === null ||
    (isScalar(value) && value.value === null) ||
    (isMap(value) && value.items.length === 0)
  );
}

function isTenant(path: string): boolean {
  return /^tenants\.[^.]+$/.test(path);
}
