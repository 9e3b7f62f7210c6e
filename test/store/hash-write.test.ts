import fc from "fast-check";
import { Command } from "ioredis";
import { expect, test } from "vitest";
import { HashWriter } from "../../src/store/hash-write.ts";

const text = fc.string({ unit: "grapheme", maxLength: 20 });
/** Some fill a chunk, or are larger than one. */
const value = fc.oneof(
  { weight: 20, arbitrary: fc.uint8Array({ maxLength: 300 }) },
  {
    weight: 1,
    arbitrary: fc.integer({ min: 9, max: 1_300_000 }).map((length) => new Uint8Array(length)),
  },
);
const fields = fc.array(fc.tuple(text, value), { minLength: 1, maxLength: 12 });

test("a HSET has the bytes that the client writes for it, whatever was written before and after", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(text, fields), { minLength: 1, maxLength: 4 }), (hashes) => {
      const writer = new HashWriter();
      const ours = hashes.map(([key, pairs]) =>
        writer.write(
          key,
          pairs.map(([field]) => field),
          pairs.map(([, bytes]) => bytes),
        ),
      );
      for (const [index, [key, pairs]] of hashes.entries()) {
        const given = pairs.flatMap(([field, bytes]) => [field, Buffer.from(bytes)]);
        // With a value of bytes the client writes a Buffer.
        const theirs = new Command("HSET", [key, ...given]).toWritable(new EventTarget());
        expect(ours[index]?.key).toBe(key);
        expect(ours[index]?.bytes.equals(theirs as Buffer)).toBe(true);
      }
      writer.release();
    }),
  );
});

test("a HSET of no fields is none", () => {
  expect(new HashWriter().write("key", [], [])).toBeNull();
});

test("nobody writes over a HSET before it is released", () => {
  const written = (writer: HashWriter, text: string) => {
    const write = writer.write("key", ["field"], [Buffer.from(text)]);
    if (write === null) throw new Error("a field was given");
    return write.bytes;
  };
  const [first, second] = [new HashWriter(), new HashWriter()];
  const ours = written(first, "first");
  const theirs = written(second, "other");
  expect(ours.toString()).toContain("first");
  first.release();
  first.release();
  const [third, fourth] = [new HashWriter(), new HashWriter()];
  written(third, "third");
  written(fourth, "again");
  expect(ours.toString()).toContain("third");
  expect(theirs.toString()).toContain("other");
});
