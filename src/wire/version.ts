/**
 * Protocol versions, and the log that explains each.
 *
 * The major version stands in the topic and in byte 1 of a frame: a peer of
 * another major never reads it. The minor stands in the header when it is not
 * 0: an old peer may ignore everything a new minor adds. `fingerprint` is the
 * SHA-256 of the golden frames and the CDDL; a test compares it, so the bytes
 * on the wire cannot change without an entry here.
 * @module
 */

export const WIRE_VERSION = 1;
export const WIRE_MINOR = 1;

export interface VersionEntry {
  readonly version: number;
  readonly minor: number;
  readonly change: string;
  /** Whether a peer of the entry before may ignore what this one adds. */
  readonly oldPeersMayIgnore: boolean;
  /** Hex SHA-256 over `test/golden/v{version}` and `omega.cddl`. */
  readonly fingerprint: string;
}

/** Oldest first; the last entry is what this code speaks. */
export const VERSION_LOG: readonly VersionEntry[] = [
  {
    version: 1,
    minor: 0,
    change: "First protocol: delta, pull, snapshot, release delta, refusal; codec 0 (int8).",
    oldPeersMayIgnore: false,
    fingerprint: "f103f7a9cf56ff63306ac2f63e52914fc25f7df8f1a9687c618c739faec92734",
  },
  {
    version: 1,
    minor: 1,
    change:
      "Codec models (kind 6) on topics of their own; a device names its minor before it listens; " +
      "codec 1: deltas with their columns in bits (body key 9), and releases in layers, cut into " +
      "parts (header keys 11 and 12).",
    oldPeersMayIgnore: true,
    fingerprint: "b1ed7e1a818ae29052dc1ecec8a36b901b156983d063a706a0ab85a2092024d9",
  },
];
