import { CommanderError } from "commander";
import { afterEach, describe, expect, it, vi } from "vitest";
import { parseOptions } from "../../bench/codec/options.ts";
import { plotSvg } from "../../bench/codec/plot.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

describe("bench: the command line", () => {
  it("bench: all built-in sets by default, none on request", () => {
    expect(parseOptions([])).toEqual({
      json: false,
      data: null,
      dim: 384,
      sets: ["iid", "synthetic"],
      quick: false,
      svg: null,
    });
    expect(
      parseOptions(["--data", "x.f32", "--dim", "64", "--sets", "none", "--json"]),
    ).toMatchObject({
      json: true,
      data: "x.f32",
      dim: 64,
      sets: [],
    });
    expect(parseOptions(["--sets", "synthetic", "--quick"]).sets).toEqual(["synthetic"]);
  });

  it.each([
    [["--sets", "other"]],
    [["--sets", "none"]],
    [["--dim", "many"]],
    [["--nonsense"]],
    [["extra"]],
  ])("bench: %j is refused, on stderr", (args) => {
    const written = vi.spyOn(process.stderr, "write").mockReturnValue(true);
    expect(() => parseOptions(args)).toThrow(CommanderError);
    expect(written.mock.calls.join("")).toMatch(/^error: /);
  });

  it("bench: help has examples and ends well", () => {
    const written = vi.spyOn(process.stdout, "write").mockReturnValue(true);
    expect(() => parseOptions(["--help"])).toThrow(expect.objectContaining({ exitCode: 0 }));
    expect(written.mock.calls.join("")).toContain("$ npm run -s bench:codec -- --json");
  });
});

describe("bench: the plot", () => {
  it("bench: every point is drawn, points on one spot share a label, names are escaped", () => {
    const point = (name: string, bytes: number) => ({ name, bytes, cosine: 0.9, ours: false });
    const svg = plotSvg(
      [
        {
          title: "a <set> & more",
          budget: 1024,
          limit: (bytes) => 1 - 100 / bytes,
          points: [point("one", 900), point("two", 901), point("three", 4000)],
          curve: [point("", 500), point("", 2000)],
        },
      ],
      ["a foot"],
    );
    expect(svg).toContain("a &lt;set> &amp; more");
    expect(svg.match(/<circle/g)).toHaveLength(3);
    expect(svg).toContain(">one, two</text>");
    expect(svg.match(/<polyline/g)).toHaveLength(2);
    expect(svg).not.toMatch(/NaN|Infinity|undefined/);
  });
});
