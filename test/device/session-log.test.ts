import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { apply, restoreOutbox } from "../../device/session-apply.ts";
import {
  decodeRecord,
  encodeRecord,
  type LogRecord,
  snapshotRecords,
} from "../../device/session-log.ts";
import { createOutbox } from "../../device/session-state.ts";

const DIM = 8;
const id = fc.constantFrom("a", "b", "c", "d");
const count = fc.nat(2 ** 48);
const position = fc.record({ epoch: fc.constantFrom(0, 7), seq: fc.integer({ min: 1, max: 30 }) });
const vector = fc.int16Array({ minLength: DIM, maxLength: DIM });
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: null });
const value = maybe(
  fc.record({
    target: vector,
    weight: fc.integer({ min: 1, max: 1023 }),
    success: fc.double({ min: 0, max: 1, noNaN: true }),
    samples: fc.nat(2 ** 31),
    updatedAtS: fc.nat(2 ** 31),
  }),
);
const attempts = fc.nat(3);
/** 0 most of the time, as in the logs of devices that never met a codec model. */
const space = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 65_535 }));
const bytes = fc.uint8Array({ maxLength: 40 });
const record: fc.Arbitrary<LogRecord> = fc.oneof(
  fc.record({
    kind: fc.constant("put" as const),
    items: fc.array(fc.record({ id, value, attempts }), { maxLength: 4 }),
  }),
  fc.record({ kind: fc.constant("drop" as const), ids: fc.array(id) }),
  fc.record({
    kind: fc.constant("sent" as const),
    position,
    frame: bytes,
    items: fc.array(fc.record({ id, held: maybe(vector), space }), { maxLength: 4 }),
  }),
  fc.record({
    kind: fc.constantFrom("released" as const, "applied" as const, "refused" as const),
    position,
  }),
  fc.record({ kind: fc.constant("epoch" as const), epoch: count, keepFrames: fc.boolean() }),
  fc.record({ kind: fc.constant("floor" as const), version: count }),
  fc.record({
    kind: fc.constant("base" as const),
    position,
    appliedSeq: count,
    floor: count,
    refused: fc.array(position, { maxLength: 4 }),
  }),
  fc.record({
    kind: fc.constant("shadow" as const),
    id,
    value,
    held: maybe(vector),
    space,
    seq: count,
    attempts,
  }),
  fc.record({ kind: fc.constant("frame" as const), position, frame: bytes, ids: fc.array(id) }),
);

describe("outbox records", () => {
  it("come back from their bytes as they went in", () => {
    fc.assert(
      fc.property(record, (original) => {
        expect(decodeRecord(encodeRecord(original))).toEqual(original);
      }),
    );
  });

  it("of a device that never met a codec model are still written in the words of its first version", () => {
    const held = new Int16Array(DIM).fill(-2);
    const sent = {
      kind: "sent",
      position: { epoch: 7, seq: 1 },
      frame: new Uint8Array(2),
    } as const;
    const shadow = { kind: "shadow", id: "a", value: null, held, seq: 5, attempts: 0 } as const;
    const kinds = [0, 9].flatMap((space) => [
      encodeRecord({ ...sent, items: [{ id: "a", held, space }] })[0],
      encodeRecord({ ...shadow, space })[0],
    ]);
    expect(kinds).toEqual([4, 11, 13, 14]);
    const old = encodeRecord({ ...shadow, space: 0 });
    expect(decodeRecord(old)).toMatchObject({ kind: "shadow", space: 0 });
    expect(encodeRecord({ ...shadow, space: 9 }).length).toBe(old.length + 2);
  });

  it("are refused, never misread, when cut short or followed by more", () => {
    fc.assert(
      fc.property(record, fc.nat(), (original, cut) => {
        const whole = encodeRecord(original);
        const refused = expect.objectContaining({ reason: "log.record" });
        expect(() => decodeRecord(whole.subarray(0, cut % whole.length))).toThrow(refused);
        expect(() => decodeRecord(new Uint8Array([...whole, 0]))).toThrow(refused);
      }),
    );
  });

  it("replay to the same outbox whether or not it was compacted in between", () => {
    fc.assert(
      fc.property(fc.array(record, { maxLength: 40 }), fc.nat(40), (records, at) => {
        const straight = createOutbox("default/tv", DIM);
        for (const entry of records) apply(straight, entry);
        const first = createOutbox("default/tv", DIM);
        for (const entry of records.slice(0, at)) apply(first, entry);
        const log = snapshotRecords(first).map(encodeRecord);
        const { state, damaged } = restoreOutbox("default/tv", DIM, {
          records: log,
          damaged: false,
        });
        expect(damaged).toBe(false);
        for (const entry of records.slice(at)) apply(state, entry);
        expect(comparable(state)).toEqual(comparable(straight));
      }),
    );
  });

  it("of another device or dimension are refused with every fault", () => {
    const records = snapshotRecords(createOutbox("default/tv", DIM)).map(encodeRecord);
    expect(() => restoreOutbox("default/other", 16, { records, damaged: false })).toThrow(
      expect.objectContaining({
        faults: [
          expect.stringContaining("dataDir belongs to default/tv"),
          expect.stringContaining("dimension 8, dim is 16"),
        ],
      }),
    );
  });

  it("P3: a damaged log loses its epoch, never the frames and changes that survived", () => {
    const state = createOutbox("default/tv", DIM);
    const target = new Int16Array(DIM).fill(9);
    const said = { target, weight: 1, success: 0, samples: 0, updatedAtS: 0 };
    const frame = new Uint8Array([1, 2, 3]);
    const items = [{ id: "a", held: target, space: 3 }];
    const log: LogRecord[] = [
      { kind: "put", items: [{ id: "a", value: said, attempts: 0 }] },
      { kind: "epoch", epoch: 7, keepFrames: false },
      { kind: "sent", position: { epoch: 7, seq: 1 }, frame, items },
      { kind: "put", items: [{ id: "b", value: said, attempts: 0 }] },
    ];
    for (const entry of log) apply(state, entry);
    const { state: restored } = restoreOutbox("default/tv", DIM, {
      records: snapshotRecords(state).map(encodeRecord),
      damaged: true,
    });
    expect(restored.epoch).toBe(0);
    expect([...restored.queued.keys()].sort()).toEqual(["a", "b"]);
    expect([...restored.unacked.values()].map((sent) => sent.frame)).toEqual([frame]);
  });
});

/** Generations and the order of shadows live only as long as a process does. */
function comparable(state: ReturnType<typeof createOutbox>): unknown {
  const plain = (entry: object) => ({ ...entry, generation: 0 });
  return {
    ...state,
    generation: 0,
    queued: [...state.queued].map(([key, item]) => [key, plain(item)]),
    shadows: [...state.shadows].map(([key, shadow]) => [key, plain(shadow)]).sort(),
    unacked: [...state.unacked].map(([key, sent]) => [
      key,
      sent.frame,
      sent.items.map((item) => item.id),
    ]),
  };
}
