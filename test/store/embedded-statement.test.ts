import { describe, expect, test } from "vitest";
import { channelStatement, classify } from "../../src/store/embedded/statement.ts";

describe("embedded statements", () => {
  test("what opens a transaction is seen behind comments and in any case", () => {
    for (const text of [
      "BEGIN",
      " begin;",
      "-- a comment\n  BEGIN ISOLATION LEVEL SERIALIZABLE",
      "/* one */ /* two\nlines */ start  transaction",
    ]) {
      expect(classify(text).kind, text).toBe("begin");
    }
    for (const text of ["COMMIT", "SELECT 'BEGIN'", "beginning", "-- BEGIN\nSELECT 1", ""]) {
      expect(classify(text).kind, text).toBe("other");
    }
  });

  test("LISTEN and UNLISTEN name their channel as PostgreSQL folds it", () => {
    expect(classify("LISTEN bullmq_jobs;\n")).toEqual({ kind: "listen", channel: "bullmq_jobs" });
    expect(classify("-- why\nLISTEN News")).toEqual({ kind: "listen", channel: "news" });
    expect(classify('LISTEN "News ""x"""')).toEqual({ kind: "listen", channel: 'News "x"' });
    expect(classify("UNLISTEN *")).toEqual({ kind: "unlisten", channel: null });
    expect(classify("unlisten news;")).toEqual({ kind: "unlisten", channel: "news" });
    expect(classify("LISTEN a; DROP TABLE b").kind).toBe("other");
    expect(channelStatement("UNLISTEN", 'News "x"')).toBe('UNLISTEN "News ""x"""');
  });
});
