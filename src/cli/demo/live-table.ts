/**
 * What the demo shows while it runs: a table redrawn in place on a terminal,
 * a line now and then otherwise.
 * @module
 */
import Table from "cli-table3";

export interface DemoProgress {
  readonly phase: string;
  readonly elapsedS: number;
  readonly devices: number;
  readonly online: number;
  readonly acked: number;
  readonly applied: number;
  readonly duplicates: number;
  readonly rawBytes: number;
  readonly wireBytes: number;
  readonly queue: number;
  readonly version: number;
  readonly newest: number;
  readonly gatewayKills: number;
}

export interface LiveTable {
  show(progress: DemoProgress): void;
  /** A line that stays. */
  say(text: string): void;
  end(): void;
}

const LINE_EVERY_S = 5;

/** `out` is where it draws; `isTerminal` decides how. */
export function liveTable(out: { write(text: string): unknown }, isTerminal: boolean): LiveTable {
  let drawnLines = 0;
  let lastLineS = Number.NEGATIVE_INFINITY;
  const erase = () => {
    if (drawnLines > 0) out.write(`\x1b[${drawnLines}A\x1b[0J`);
    drawnLines = 0;
  };
  return {
    show(progress) {
      if (isTerminal) {
        const text = `${tableOf(progress)}\n`;
        erase();
        out.write(text);
        drawnLines = text.split("\n").length - 1;
        return;
      }
      // The time starts again when everything has started: that deserves a line of its own.
      const { elapsedS } = progress;
      if (elapsedS >= lastLineS && elapsedS - lastLineS < LINE_EVERY_S) return;
      lastLineS = elapsedS;
      out.write(`${lineOf(progress)}\n`);
    },
    say(text) {
      erase();
      out.write(`${text}\n`);
    },
    end() {
      drawnLines = 0;
    },
  };
}

function rowsOf(progress: DemoProgress): readonly (readonly [string, string])[] {
  const { devices, rawBytes, wireBytes } = progress;
  const saved = rawBytes === 0 ? 0 : 100 * (1 - wireBytes / rawBytes);
  return [
    ["devices", `${devices}`],
    ["online", `${progress.online}`],
    ["deltas acked", `${progress.acked}`],
    ["applied", `${progress.applied}`],
    ["duplicates", `${progress.duplicates}`],
    ["raw → wire", `${kib(rawBytes)} → ${kib(wireBytes)}`],
    ["saved", `${saved.toFixed(1)} %`],
    ["queue", `${progress.queue}`],
    ["version", `${progress.version}`],
    ["on newest", `${devices === 0 ? 0 : Math.floor((100 * progress.newest) / devices)} %`],
    ["gateway kills", `${progress.gatewayKills}`],
  ];
}

function tableOf(progress: DemoProgress): string {
  const table = new Table({ style: { head: [], border: [] } });
  for (const [name, value] of rowsOf(progress))
    table.push([name, { content: value, hAlign: "right" }]);
  return `${progress.phase} · ${progress.elapsedS.toFixed(0)} s\n${table.toString()}`;
}

function lineOf(progress: DemoProgress): string {
  const cells = rowsOf(progress).map(([name, value]) => `${name} ${value}`);
  return `[${progress.elapsedS.toFixed(0).padStart(3)} s] ${progress.phase} · ${cells.join(" · ")}`;
}

function kib(bytes: number): string {
  return `${(bytes / 1024).toFixed(1)} KiB`;
}
