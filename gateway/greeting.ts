/**
 * Whether a fresh socket's first bytes are the beginning of what its listener speaks, and whole:
 * a CONNECT, a TLS ClientHello, an HTTP request.
 *
 * Only the frame is looked at, so that a socket can wait for its turn without a login, a handshake
 * or an HTTP parser spent on it. What the bytes mean is judged by those, later. Pure.
 * @module
 */
import { limits } from "../src/core/index.ts";
import { remainingLengthAt } from "./remaining-length.ts";

/** Bytes of a whole greeting, "more" while it is not whole, "other" for what can never be one. */
type Greeting = number | "more" | "other";

/** Reads the greeting at the start of `bytes`, which hold 1 byte or more. */
export type ReadGreeting = (bytes: Uint8Array) => Greeting;

/** The first byte of a CONNECT: type 1, flags 0 (MQTT 3.1.1 §3.1.1). */
const CONNECT = 0x10;
/** TLS ContentType handshake (RFC 8446 §5.1), and the bytes before a record's fragment. */
const HANDSHAKE = 0x16;
const RECORD_HEADER_BYTES = 5;
/** RFC 8446 §5.1: a plaintext record's fragment is at most 2^14 bytes. */
const FRAGMENT_BYTES_MAX = 2 ** 14;
/** RFC 9112 §2.1: an empty line ends the header of a request. */
const HEADER_END = "\r\n\r\n";
/** What `node:http` is given as its limit, too. */
export const HTTP_HEADER_BYTES_MAX = 8 * 1024;

/** A CONNECT of at most `limits.PACKET_BYTES_MAX_UNAUTHENTICATED` behind its fixed header (§2.2.3). */
export const readConnect: ReadGreeting = (bytes) => {
  if (bytes[0] !== CONNECT) return "other";
  const length = remainingLengthAt(bytes, 1, bytes.length);
  if (length === "more") return "more";
  if (length === "endless") return "other";
  if (length.value > limits.PACKET_BYTES_MAX_UNAUTHENTICATED) return "other";
  return whole(bytes, 1 + length.bytes + length.value);
};

/** The first record of a TLS handshake, which holds the ClientHello or its beginning. */
export const readHello: ReadGreeting = (bytes) => {
  if (bytes[0] !== HANDSHAKE) return "other";
  const [high, low] = [bytes[RECORD_HEADER_BYTES - 2], bytes[RECORD_HEADER_BYTES - 1]];
  if (high === undefined || low === undefined) return "more";
  const fragmentBytes = high * 256 + low;
  if (fragmentBytes > FRAGMENT_BYTES_MAX) return "other";
  return whole(bytes, RECORD_HEADER_BYTES + fragmentBytes);
};

/** The header of an HTTP/1.1 request, at most {@link HTTP_HEADER_BYTES_MAX}; its method is not looked at. */
export const readRequest: ReadGreeting = (bytes) => {
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = head.subarray(0, HTTP_HEADER_BYTES_MAX).indexOf(HEADER_END);
  if (end >= 0) return end + HEADER_END.length;
  return bytes.length < HTTP_HEADER_BYTES_MAX ? "more" : "other";
};

function whole(bytes: Uint8Array, greetingBytes: number): Greeting {
  return bytes.length < greetingBytes ? "more" : greetingBytes;
}
