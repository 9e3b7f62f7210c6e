import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { limits } from "../../src/core/index.ts";
import {
  type CborValue,
  decodeRefusal,
  encodeCbor,
  encodeFrame,
  encodePull,
  encodeRefusal,
  loadZstd,
  PROBLEMS_MAX,
  peekFrame,
} from "../../src/wire/index.ts";
import { refusalOf } from "../support/reason.ts";
import { anyProblem } from "./arbitraries.ts";

const zstd = await loadZstd();
const DOWN = limits.DOWN_FRAME_BYTES_MAX;
const decode = (frame: Uint8Array) => decodeRefusal(peekFrame(frame, DOWN), zstd);
const frameOf = (body: CborValue) =>
  encodeFrame({ kind: "refusal" }, { compressed: false, bytes: encodeCbor(body) });
const omega = new Map<number, CborValue>([[2, "x"]]);
const problem = (...entries: [number | string, CborValue][]) =>
  new Map<number | string, CborValue>([[-1, "t"], ["omega", omega], ...entries]);

describe("refusals", () => {
  it("come back as they went", () => {
    fc.assert(
      fc.property(fc.array(anyProblem, { minLength: 1, maxLength: PROBLEMS_MAX }), (problems) => {
        expect(decode(encodeRefusal(problems))).toEqual(problems);
      }),
    );
  });

  it("P7: the largest refusal fits a down frame, its texts cut between characters", () => {
    const long = "🦊".repeat(1000);
    const one = { reason: "a".repeat(64), title: `x${long}`, detail: long, position: null };
    const frame = encodeRefusal(new Array(PROBLEMS_MAX).fill(one));
    expect(frame.length).toBeLessThanOrEqual(DOWN);
    const [read] = decode(frame);
    expect(read?.title).toBe(`x${"🦊".repeat(59)}`);
    expect(read?.detail).toBe("🦊".repeat(250));
  });

  it("is readable as RFC 9290: title −1, detail −2, the rest under its own key", () => {
    const position = { epoch: 5, seq: 6 };
    const frame = encodeRefusal([{ reason: "a.b", title: "T", detail: "D", position }]);
    expect(frame).toEqual(
      frameOf([
        new Map<number | string, CborValue>([
          [-1, "T"],
          [-2, "D"],
          [
            "omega",
            new Map<number, CborValue>([
              [0, 5],
              [1, 6],
              [2, "a.b"],
            ]),
          ],
        ]),
      ]),
    );
  });

  it("entries that RFC 9290 allows and we do not use are ignored", () => {
    expect(decode(frameOf([problem([-4, 164], ["other", new Map([[0, 1]])])]))).toEqual([
      { reason: "x", title: "t", position: null },
    ]);
  });

  it.each<[string, CborValue, string]>([
    ["no array", problem(), "refusal.shape"],
    ["no problems", [], "refusal.shape"],
    ["nine problems", new Array(9).fill(problem()), "refusal.shape"],
    ["a problem that is text", ["x"], "refusal.shape"],
    ["no omega entry", [new Map([[-1, "t"]])], "refusal.shape"],
    ["no title", [new Map([["omega", omega]])], "refusal.title"],
    ["a long detail", [problem([-2, "d".repeat(501)])], "refusal.detail"],
    ["a reason with a space", [problem(["omega", new Map([[2, "a b"]])])], "refusal.reason"],
    [
      "an epoch alone",
      [
        problem([
          "omega",
          new Map<number, CborValue>([
            [0, 1],
            [2, "x"],
          ]),
        ]),
      ],
      "refusal.position",
    ],
  ])("%s is refused", (_what, body, reason) => {
    expect(refusalOf(() => decode(frameOf(body)))).toBe(`Protocol ${reason}`);
  });

  it("a frame of another kind is refused", () => {
    expect(refusalOf(() => decode(encodePull(1)))).toBe("Protocol frame.kind");
  });

  it("every proper prefix is refused by name", () => {
    const frame = encodeRefusal([{ reason: "a.b", title: "T", detail: "D", position: null }]);
    for (let length = 0; length < frame.length; length += 1) {
      expect(refusalOf(() => decode(frame.subarray(0, length)))).not.toBeNull();
    }
  });
});
