import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { DeviceView } from "../../gateway/ports.ts";
import {
  type DownContent,
  type Newest,
  PARTS_AT_ONCE_MAX,
  type Shipment,
  Subscriber,
} from "../../gateway/subscriber.ts";
import { keyOf, problemAt } from "./downlink-world.ts";

const NOTHING_KNOWN: DeviceView = { base: 0, applied: null, problems: [] };
const OLDEST = 0;
const MANY_PARTS = 8;
/** A release that comes in one part to devices of minor 0, in up to eight to others. */
const newestOf = (version: number): Newest => ({
  version,
  parts: ({ base, minor }) =>
    minor === OLDEST || base === version ? 1 : 1 + ((base + version) % MANY_PARTS),
});

type Step =
  | { do: "subscribe"; line: "down" | "err"; qos: 0 | 1 }
  | { do: "unsubscribe"; line: "down" | "err" }
  | { do: "pull"; base: number; minor: number }
  | { do: "mention"; base: number; minor: number }
  | { do: "serve"; staleness: number; versionLag: number }
  | { do: "ack"; which: number }
  | { do: "flush" }
  | { do: "release" }
  | { do: "apply" }
  | { do: "refuse" }
  | { do: "reconnect" };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constant("subscribe" as const),
    line: fc.constantFrom("down" as const, "err" as const),
    qos: fc.constantFrom(0 as const, 1 as const, 1 as const),
  }),
  fc.record({
    do: fc.constant("unsubscribe" as const),
    line: fc.constantFrom("down" as const, "err" as const),
  }),
  fc.record({ do: fc.constant("pull" as const), base: fc.nat(5), minor: fc.nat(1) }),
  fc.record({ do: fc.constant("mention" as const), base: fc.nat(5), minor: fc.nat(1) }),
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("serve" as const),
      staleness: fc.nat(2),
      versionLag: fc.nat(1),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("ack" as const), which: fc.nat(3) }) },
  fc.record({ do: fc.constant("flush" as const) }),
  { weight: 2, arbitrary: fc.record({ do: fc.constant("release" as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("apply" as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("refuse" as const) }) },
  fc.record({ do: fc.constant("reconnect" as const) }),
);

/** Drives a subscriber through steps as the gateway and the world would, checking each shipment. */
class Drive {
  readonly lasting: boolean;
  subscriber: Subscriber;
  views: DeviceView[] = [NOTHING_KNOWN];
  version = 0;
  unacknowledged: Shipment[] = [];
  sentVersion = -1;
  sentSeq = 0;
  told = new Set<number>();
  /** The parts of the newest transition that arrived, in order. */
  parts: { version: number; base: number; of: number; seen: number } | null = null;

  constructor(lasting: boolean) {
    this.lasting = lasting;
    this.subscriber = new Subscriber(keyOf("tv"), lasting);
  }

  run(action: Step): void {
    const { subscriber } = this;
    if (action.do === "subscribe") subscriber.subscribed(action.line, action.qos);
    if (action.do === "unsubscribe") subscriber.unsubscribed(action.line);
    if (action.do === "pull") this.#pull(action.base, action.minor);
    if (action.do === "mention") {
      const { base, minor } = action;
      subscriber.mentioned({ base: Math.min(base, this.version), minor });
    }
    if (action.do === "release") this.version += 1;
    if (action.do === "apply") this.#commit(false);
    if (action.do === "refuse") this.#commit(true);
    if (action.do === "serve") this.#serve(action.staleness, action.versionLag);
    if (action.do === "ack") this.#acknowledge(action.which);
    if (action.do === "flush") this.#flush();
    if (action.do === "reconnect") this.#reconnect();
  }

  get view(): DeviceView {
    return this.views.at(-1) ?? NOTHING_KNOWN;
  }

  /** The aggregator commits the next seq; a refused one leaves a problem in the same commit. */
  #commit(refused: boolean): void {
    const seq = (this.view.applied?.seq ?? 0) + 1;
    const problems = refused
      ? [...this.view.problems, problemAt(seq)].slice(-8)
      : this.view.problems;
    this.views.push({ ...this.view, applied: { epoch: 1, seq }, problems });
  }

  #serve(staleness: number, versionLag = 0): void {
    const stale = this.views[Math.max(0, this.views.length - 1 - staleness)] ?? NOTHING_KNOWN;
    const version = Math.max(0, this.version - versionLag);
    const newest = newestOf(version);
    const before = [...this.unacknowledged];
    const together = this.subscriber.next(stale, newest);
    const parts = together.filter(({ content }) => content.line === "down").length;
    expect(parts, "parts at once").toBeLessThanOrEqual(this.lasting ? 1 : PARTS_AT_ONCE_MAX);
    for (const shipment of together) this.#arrived(shipment, newest, before);
  }

  #pull(base: number, minor: number): void {
    this.subscriber.pulled({ base: Math.min(base, this.version), minor });
    this.parts = null;
  }

  /** `before`: what was in flight when this and what left with it were not. */
  #arrived(shipment: Shipment, newest: Newest, before: readonly Shipment[]): void {
    const { content } = shipment;
    if (content.line === "model") throw new Error("nobody asked for a model");
    const rivals = before.filter((other) => other.content.line === content.line);
    expect(rivals, "nothing else in flight on its line").toEqual([]);
    const ids = this.unacknowledged.filter((other) => other.qos === 1).map((o) => o.messageId);
    if (shipment.qos === 1) {
      expect(shipment.messageId).toBeGreaterThan(0);
      expect(ids).not.toContain(shipment.messageId);
    } else expect(shipment).toMatchObject({ messageId: 0, dup: false });
    expect(this.subscriber.listens(content.line), "only what it listens to").toBe(true);
    this.unacknowledged.push(shipment);
    if (content.line === "err") {
      for (const { position } of content.problems) this.told.add(position?.seq ?? 0);
      return;
    }
    this.#countPart(content, newest);
    const seq = content.applied?.seq ?? 0;
    expect(this.subscriber.sentVersion, "P5").toBeGreaterThanOrEqual(this.sentVersion);
    expect(seq, "P6: the watermark never falls").toBeGreaterThanOrEqual(this.sentSeq);
    if (this.subscriber.listens("err") && this.view.applied?.seq === seq) {
      for (const { position } of this.view.problems) {
        expect([...this.told], "P6: refusals first").toContain(position?.seq);
      }
    }
    this.sentVersion = this.subscriber.sentVersion;
    this.sentSeq = seq;
  }

  /** A part follows the one before it, to the same version from the same base, or is the first. */
  #countPart(content: DownContent, newest: Newest): void {
    const { base, part } = content;
    const { version } = newest;
    if (part !== 1) {
      expect(this.parts).toMatchObject({ version, base, seen: part - 1 });
      expect(part).toBeLessThanOrEqual(this.parts?.of ?? 0);
    }
    this.parts = { version, base, of: newest.parts(content), seen: part };
  }

  #acknowledge(which: number): void {
    const qos1 = this.unacknowledged.filter(({ qos }) => qos === 1);
    const landed = qos1[which % Math.max(1, qos1.length)];
    if (landed === undefined) return;
    this.unacknowledged = this.unacknowledged.filter((other) => other !== landed);
    this.subscriber.acknowledged(landed.messageId);
  }

  #flush(): void {
    for (const { qos, content } of this.unacknowledged) {
      if (qos === 0) this.subscriber.flushed(content.line);
    }
    this.unacknowledged = this.unacknowledged.filter(({ qos }) => qos === 1);
  }

  #reconnect(): void {
    const grants = this.subscriber.grants();
    const outstanding = this.subscriber.outstanding();
    const { minor } = this.subscriber;
    this.subscriber = new Subscriber(keyOf("tv"), this.lasting);
    if (this.lasting) this.subscriber.restored(grants, outstanding, minor);
    this.parts = null;
    this.unacknowledged = [];
    this.sentVersion = -1;
    this.sentSeq = 0;
    this.told.clear();
  }

  /** Serves and acknowledges until nothing is left to do. */
  quiesce(): void {
    for (let round = 0; round < 4 * MANY_PARTS; round += 1) {
      this.#serve(0);
      this.#flush();
      while (this.unacknowledged.length > 0) this.#acknowledge(0);
    }
  }
}

/** Either kind of session, and what happens to it. */
const history = [fc.boolean(), fc.array(step, { maxLength: 60, size: "max" })] as const;

function driven(lasting: boolean, steps: readonly Step[]): Drive {
  const drive = new Drive(lasting);
  for (const action of steps) drive.run(action);
  return drive;
}

describe("subscriber", () => {
  test("P5, P6: whatever happens, versions and watermarks never fall and refusals come first", () => {
    fc.assert(
      fc.property(...history, (lasting, steps) => {
        driven(lasting, steps);
      }),
      { numRuns: 1_000 },
    );
  });

  test("P5: when faults end, a device that listens has the newest version, watermark and refusals", () => {
    fc.assert(
      fc.property(...history, (lasting, steps) => {
        const drive = driven(lasting, steps);
        drive.subscriber.subscribed("err", 1);
        drive.subscriber.subscribed("down", 1);
        drive.quiesce();
        expect(drive.sentVersion).toBe(drive.version);
        expect(drive.sentSeq).toBe(drive.view.applied?.seq ?? 0);
        for (const { position } of drive.view.problems) expect(drive.told).toContain(position?.seq);
        expect(drive.parts, "every part of it").toMatchObject({ seen: drive.parts?.of });
        expect(drive.subscriber.next(drive.view, newestOf(drive.version))).toEqual([]);
        expect(drive.subscriber.outstanding()).toEqual({});
      }),
      { numRuns: 500 },
    );
  });

  test("a resent delta's old base does not undo what a PUBACK has shown", () => {
    const subscriber = new Subscriber(keyOf("tv"), false);
    subscriber.subscribed("down", 1);
    const [first] = subscriber.next(NOTHING_KNOWN, newestOf(4));
    subscriber.acknowledged(first?.messageId ?? 0);
    subscriber.mentioned({ base: 1, minor: OLDEST });
    const [second] = subscriber.next(NOTHING_KNOWN, newestOf(5));
    expect(second?.content).toMatchObject({ base: 4 });
  });

  test("the base of a first delta is believed before the store has heard of it", () => {
    const subscriber = new Subscriber(keyOf("tv"), false);
    subscriber.mentioned({ base: 3, minor: OLDEST });
    subscriber.subscribed("down", 1);
    expect(subscriber.next(NOTHING_KNOWN, newestOf(4))[0]?.content).toMatchObject({ base: 3 });
  });

  test("a PUBACK for a packet id nobody used is ignored", () => {
    const subscriber = new Subscriber(keyOf("tv"), false);
    subscriber.subscribed("down", 1);
    const [sent] = subscriber.next(NOTHING_KNOWN, newestOf(1));
    expect(subscriber.acknowledged(999)).toBeNull();
    expect(subscriber.acknowledged(sent?.messageId ?? 0)).toMatchObject({ line: "down" });
  });

  const inThreeParts = (version: number): Newest => ({ version, parts: () => 3 });

  /** A device of minor 1 that holds version 3, listens, and is sent one part at a time. */
  function partByPart() {
    const subscriber = new Subscriber(keyOf("tv"), true);
    subscriber.pulled({ base: 3, minor: 1 });
    subscriber.subscribed("down", 1);
    const send = (version: number, view = NOTHING_KNOWN) => {
      const [sent] = subscriber.next(view, inThreeParts(version));
      return sent;
    };
    const ack = (sent: Shipment | undefined) => subscriber.acknowledged(sent?.messageId ?? 0);
    return { subscriber, send, ack };
  }

  test("a release in parts to a session that lasts: each after the PUBACK of the one before", () => {
    const { subscriber, send, ack } = partByPart();
    const seen: unknown[] = [];
    for (let part = 1; part <= 3; part += 1) {
      const sent = send(5);
      seen.push(sent?.content);
      expect(sent?.retain, "all of it answers the SUBSCRIBE").toBe(true);
      expect(send(5)).toBeUndefined();
      expect(ack(sent)?.waits).toBe(part < 3);
    }
    const told = { line: "down", base: 3, minor: 1, applied: null };
    expect(seen).toEqual([1, 2, 3].map((part) => ({ ...told, part })));
    expect(send(5)).toBeUndefined();
    expect(send(6)?.content, "only the last part changed what is held").toMatchObject({ base: 5 });
    expect(subscriber.minor).toBe(1);
  });

  test("parts of a release leave a few at a time, and go on when each of them has its PUBACK", () => {
    const subscriber = new Subscriber(keyOf("tv"), false);
    subscriber.pulled({ base: 3, minor: 1 });
    subscriber.subscribed("down", 1);
    const inFive: Newest = { version: 5, parts: () => 5 };
    const next = () => subscriber.next(NOTHING_KNOWN, inFive);
    const sent = next();
    expect(sent.map(({ content, retain }) => [content, retain])).toEqual(
      [1, 2, 3].map((part) => [{ line: "down", base: 3, minor: 1, applied: null, part }, true]),
    );
    const [first = 0, second = 0, third = 0] = sent.map(({ messageId }) => messageId);
    expect(new Set([first, second, third]).size).toBe(3);
    expect(next(), "in flight").toEqual([]);
    // [MQTT-4.6.0-2] has PUBACKs in order; a device that does not keep to it harms nothing.
    for (const id of [third, first, third]) expect(subscriber.acknowledged(id)).toBeNull();
    expect(subscriber.acknowledged(second)).toEqual({ line: "down", waits: true });
    const rest = next();
    expect(rest.map(({ content }) => content)).toMatchObject([{ part: 4 }, { part: 5 }]);
    for (const { messageId } of rest) subscriber.acknowledged(messageId);
    expect(next()).toEqual([]);
    const [later] = subscriber.next(NOTHING_KNOWN, { version: 6, parts: () => 1 });
    expect(later?.content, "the last PUBACK completed it").toMatchObject({ base: 5, part: 1 });
  });

  test("a QoS 0 subscription gets part after part, each when the socket has taken the one before", () => {
    const subscriber = new Subscriber(keyOf("tv"), false);
    subscriber.pulled({ base: 3, minor: 1 });
    subscriber.subscribed("down", 0);
    for (const part of [1, 2, 3]) {
      const sent = subscriber.next(NOTHING_KNOWN, inThreeParts(5));
      expect(sent).toMatchObject([{ qos: 0, messageId: 0, content: { part } }]);
      expect(subscriber.flushed("down")).toEqual({ line: "down", waits: part < 3 });
    }
  });

  test("P6: every part carries the newest watermark", () => {
    const { send, ack } = partByPart();
    ack(send(5));
    const applied = { epoch: 1, seq: 7 };
    expect(send(5, { ...NOTHING_KNOWN, applied })?.content).toMatchObject({ part: 2, applied });
  });

  test.each([
    ["a newer release", (s: Subscriber) => s, 6, 3],
    ["a SUBSCRIBE", (s: Subscriber) => s.subscribed("down", 1), 5, 3],
    ["a pull", (s: Subscriber) => s.pulled({ base: 2, minor: 1 }), 5, 2],
  ])(
    "%s between parts starts over at part 1, against what is truly held",
    (_, happen, version, base) => {
      const { subscriber, send, ack } = partByPart();
      ack(send(5));
      happen(subscriber);
      const sent = send(version);
      expect(sent?.content).toMatchObject({ part: 1, base });
    },
  );

  test("a pull while a part is in flight makes its PUBACK say nothing, were it the last", () => {
    const { subscriber, send, ack } = partByPart();
    ack(send(5));
    ack(send(5));
    const last = send(5);
    subscriber.pulled({ base: 0, minor: 1 });
    ack(last);
    expect(send(5)?.content).toMatchObject({ part: 1, base: 0 });
  });

  test("UNSUBSCRIBE between parts: the rest is not owed, and the release is not held", () => {
    const { subscriber, send, ack } = partByPart();
    const first = send(5);
    subscriber.unsubscribed("down");
    expect(ack(first)?.waits).toBe(false);
    expect(send(5)).toBeUndefined();
    subscriber.subscribed("down", 1);
    expect(send(5)?.content).toMatchObject({ part: 1, base: 3 });
  });

  test("a resent delta of another minor does not undo what a pull has said", () => {
    const { subscriber, send } = partByPart();
    subscriber.mentioned({ base: 1, minor: OLDEST });
    expect(send(5)?.content).toMatchObject({ base: 3, minor: 1 });
  });

  test("a model takes a packet id of its own and waits for one before it", () => {
    const subscriber = new Subscriber(keyOf("tv"), false);
    subscriber.subscribed("down", 1);
    const [down] = subscriber.next(NOTHING_KNOWN, newestOf(1));
    subscriber.models.subscribed(7, 1);
    subscriber.models.subscribed(9, 0);
    expect(subscriber.models.next).toBe(7);
    const model = subscriber.nextModel(7);
    expect(model).toMatchObject({ qos: 1, retain: true, dup: false, content: { version: 7 } });
    expect(model.messageId).not.toBe(down?.messageId);
    expect([subscriber.models.next, subscriber.models.mayShip(9)]).toEqual([null, false]);
    expect(subscriber.acknowledged(model.messageId)).toEqual({ line: "model", waits: true });
    expect(subscriber.nextModel(9)).toMatchObject({ qos: 0, messageId: 0 });
    expect(subscriber.flushed("model")).toEqual({ line: "model", waits: false });
  });

  test("packet ids go round after 65535 and skip the ones in flight", () => {
    const subscriber = new Subscriber(keyOf("tv"), false);
    subscriber.subscribed("err", 1);
    subscriber.subscribed("down", 1);
    const view = { ...NOTHING_KNOWN, problems: [problemAt(1)] };
    const [errId, firstId] = subscriber.next(view, newestOf(1)).map(({ messageId }) => messageId);
    expect(errId).toBe(1);
    const seen: number[] = [firstId ?? 0];
    for (let version = 2; version <= 65_540; version += 1) {
      subscriber.acknowledged(seen.at(-1) ?? 0);
      for (const { messageId } of subscriber.next(view, newestOf(version))) seen.push(messageId);
    }
    expect(seen.slice(0, 3)).toEqual([2, 3, 4]);
    expect(seen.slice(65_532, 65_536)).toEqual([65_534, 65_535, 2, 3]);
  });
});
