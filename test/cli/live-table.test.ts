import { describe, expect, it } from "vitest";
import { type DemoProgress, liveTable } from "../../src/cli/demo/live-table.ts";

const PROGRESS: DemoProgress = {
  ...{ phase: "TVs live and push", elapsedS: 12.4, devices: 40, online: 39, acked: 120 },
  ...{ applied: 118, duplicates: 2, rawBytes: 102_400, wireBytes: 25_600 },
  ...{ queue: 1, version: 6, newest: 39, gatewayKills: 1 },
};

function tableOn(isTerminal: boolean) {
  const written: string[] = [];
  const table = liveTable({ write: (text) => written.push(text) }, isTerminal);
  return { table, written };
}

/** What a terminal shows after `text`: it knows new lines, "up n lines" and "clear to the end". */
function screenOf(text: string): string[] {
  const lines = [""];
  let row = 0;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: escapes are what is read here.
  for (const [token, up] of text.matchAll(/\x1b\[(\d+)A|\x1b\[0J|\n|[^\x1b\n]+/g)) {
    if (up !== undefined) row -= Number(up);
    else if (token === "\x1b[0J") lines.splice(row, lines.length, "");
    else if (token === "\n") row += 1;
    else lines[row] = (lines[row] ?? "") + token;
    expect(row, "never above the first line").toBeGreaterThanOrEqual(0);
    lines[row] ??= "";
  }
  return lines;
}

describe("live table: on a terminal", () => {
  it("live table: redrawn in place, so that only the newest numbers are on the screen", () => {
    const { table, written } = tableOn(true);
    table.say("opening the backend …");
    table.show(PROGRESS);
    const once = screenOf(written.join(""));
    table.show({ ...PROGRESS, acked: 777, elapsedS: 12.9 });
    table.show({ ...PROGRESS, acked: 888, elapsedS: 13.4 });
    const screen = screenOf(written.join(""));
    expect(screen).toHaveLength(once.length);
    expect(screen[0]).toBe("opening the backend …");
    expect(screen[1]).toBe("TVs live and push · 13 s");
    expect(screen.join("\n")).toContain("888");
    expect(screen.join("\n")).not.toMatch(/777|│ 120/);
  });

  it("live table: a line that stays is above the table, and no table is left behind", () => {
    const { table, written } = tableOn(true);
    table.show(PROGRESS);
    table.say("kill -9 of the gateway");
    expect(screenOf(written.join(""))).toEqual(["kill -9 of the gateway", ""]);
    table.show(PROGRESS);
    table.say("a new gateway is ready");
    table.show(PROGRESS);
    const screen = screenOf(written.join(""));
    expect(screen.slice(0, 2)).toEqual(["kill -9 of the gateway", "a new gateway is ready"]);
    expect(screen.filter((line) => line.startsWith("TVs live and push"))).toHaveLength(1);
  });

  it("live table: after the end the last table stays", () => {
    const { table, written } = tableOn(true);
    table.show(PROGRESS);
    table.end();
    const screen = screenOf(written.join(""));
    table.say("verdict: ok");
    expect(screenOf(written.join(""))).toEqual([...screen.slice(0, -1), "verdict: ok", ""]);
  });

  it("live table: every number has its name", () => {
    const { table, written } = tableOn(true);
    table.show(PROGRESS);
    const cells = screenOf(written.join(""))
      .map((line) => line.split("│").map((cell) => cell.trim()))
      .filter((row) => row.length === 4)
      .map(([, name, value]) => [name, value]);
    expect(Object.fromEntries(cells)).toEqual({
      ...{ devices: "40", online: "39", "deltas acked": "120", applied: "118", duplicates: "2" },
      ...{ "raw → wire": "100.0 KiB → 25.0 KiB", saved: "75.0 %", queue: "1", version: "6" },
      ...{ "on newest": "97 %", "gateway kills": "1" },
    });
  });

  it("live table: nothing yet is 0, not NaN", () => {
    const { table, written } = tableOn(true);
    table.show({ ...PROGRESS, devices: 0, newest: 0, rawBytes: 0, wireBytes: 0 });
    expect(written.join("")).not.toContain("NaN");
  });

  it("live table: all but one TV on the newest version is not 100 %", () => {
    const { table, written } = tableOn(true);
    table.show({ ...PROGRESS, devices: 5_000, newest: 4_999 });
    expect(written.join("")).toContain(" 99 %");
  });
});

describe("live table: in a pipe", () => {
  const linesAt = (...times: number[]) => {
    const { table, written } = tableOn(false);
    for (const elapsedS of times) table.show({ ...PROGRESS, elapsedS });
    return written;
  };

  it("live table: a line every five seconds and no escapes", () => {
    const lines = linesAt(0, 0.5, 4.9, 5, 5.5, 9.9, 10.1);
    expect(lines.map((line) => line.slice(0, 7))).toEqual(["[  0 s]", "[  5 s]", "[ 10 s]"]);
    for (const line of lines) {
      expect(line).not.toContain("\x1b");
      expect(line).toMatch(/^[^\n]+\n$/);
      expect(line).toContain("TVs live and push · devices 40 · online 39 · deltas acked 120");
    }
  });

  it("live table: when the time starts again it goes on telling, however long the start took", () => {
    const lines = linesAt(0, 6, 12, 0.2, 0.7, 5.3);
    expect(lines.map((line) => line.slice(0, 7))).toEqual([
      ...["[  0 s]", "[  6 s]", "[ 12 s]", "[  0 s]", "[  5 s]"],
    ]);
  });

  it("live table: a line that stays is written as it is", () => {
    const { table, written } = tableOn(false);
    table.show(PROGRESS);
    table.say("kill -9 of the gateway");
    table.end();
    expect(written.slice(1)).toEqual(["kill -9 of the gateway\n"]);
  });
});
