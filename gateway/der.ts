/**
 * Just enough of DER (ITU-T X.690 §8, §10) to walk certificates and revocation
 * lists: values with their tags, every length checked against what there is.
 *
 * A list may hold a hundred thousand serial numbers and is read on the loop that
 * serves the sockets, so values are views, made one at a time. Pure.
 * @module
 */
import { SerializationError } from "../src/core/index.ts";

export const DER = {
  integer: 0x02,
  bitString: 0x03,
  oid: 0x06,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  /** The context-specific, constructed tag [0]. */
  context0: 0xa0,
} as const;

/** One value: views into the bytes it was read from. */
export interface DerValue {
  readonly tag: number;
  /** Tag, length and content. */
  readonly whole: Buffer;
  readonly content: Buffer;
}

const LENGTH_BYTES_MAX = 4;

const malformed = (what: string) => new SerializationError("der.malformed", `not DER: ${what}`);

/** The value at the start of `bytes`. Throws `SerializationError("der.malformed")`. */
export function readDer(bytes: Buffer): DerValue {
  const [tag, first] = bytes;
  if (tag === undefined || first === undefined) throw malformed("a value is cut off");
  // A tag number of 31 or more takes more bytes; certificates have none such.
  if ((tag & 0x1f) === 0x1f) throw malformed("a tag of several bytes");
  const lengthBytes = first < 0x80 ? 0 : first & 0x7f;
  // 0x80 is the indefinite length of BER, which DER does not allow (§10.1).
  if (first === 0x80 || lengthBytes > LENGTH_BYTES_MAX || bytes.length < 2 + lengthBytes) {
    throw malformed("a length");
  }
  const length = lengthBytes === 0 ? first : bytes.readUIntBE(2, lengthBytes);
  const start = 2 + lengthBytes;
  const end = start + length;
  if (end > bytes.length) throw malformed("a value reaches beyond its end");
  return { tag, whole: bytes.subarray(0, end), content: bytes.subarray(start, end) };
}

/** The values that lie one behind the other in `content`. Throws like {@link readDer}. */
function* valuesOf(content: Buffer): Generator<DerValue, undefined> {
  for (let rest = content; rest.length > 0; ) {
    const value = readDer(rest);
    yield value;
    rest = rest.subarray(value.whole.length);
  }
}

/** The values in a SEQUENCE, read one after the other. Throws like {@link readDer}. */
export class DerSequence {
  readonly #values: Generator<DerValue, undefined>;
  #next: DerValue | undefined;

  constructor(value: DerValue) {
    if (value.tag !== DER.sequence) throw malformed(`tag ${value.tag} for a sequence`);
    this.#values = valuesOf(value.content);
    this.#next = this.#values.next().value;
  }

  /** The next value if its tag is one of `tags`, which then is taken; else null. */
  optional(...tags: readonly number[]): DerValue | null {
    const value = this.#next;
    if (value === undefined || !tags.includes(value.tag)) return null;
    this.#next = this.#values.next().value;
    return value;
  }

  /** The next value, of one of `tags`. Throws `SerializationError("der.malformed")` when it is not. */
  required(...tags: readonly number[]): DerValue {
    const value = this.optional(...tags);
    if (value === null) throw malformed(`tag ${this.#next?.tag ?? "none"}, not ${tags.join(", ")}`);
    return value;
  }
}

/**
 * The moment of a Time, milliseconds since 1970: UTCTime `YYMMDDHHMMSSZ`, whose years are 1950 …
 * 2049, or GeneralizedTime `YYYYMMDDHHMMSSZ` (RFC 5280 §4.1.2.5). Throws
 * `SerializationError("der.malformed")`.
 */
export function timeOf({ tag, content }: DerValue): number {
  const text = content.toString("latin1");
  const [, years = "", rest = ""] = /^(\d{2}|\d{4})(\d{10})Z$/.exec(text) ?? [];
  if (years.length !== (tag === DER.utcTime ? 2 : 4)) throw malformed("a time");
  const century = years.length === 4 ? "" : Number(years) >= 50 ? "19" : "20";
  const [month, day, hour, minute, second] = rest.match(/\d{2}/g) ?? [];
  const ms = Date.parse(`${century}${years}-${month}-${day}T${hour}:${minute}:${second}Z`);
  if (Number.isNaN(ms)) throw malformed("a time");
  return ms;
}
