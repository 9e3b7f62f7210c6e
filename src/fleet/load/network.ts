/**
 * Networks between a TV and the server, played at the TV's side of the socket.
 *
 * The whole round trip is put on what the device sends, so that nothing that
 * arrives has to wait in the generator. Loss looks to an application as TCP
 * shows it: a stall of a retransmission time. The numbers are orders of
 * magnitude for tests, not measurements; a geostationary round trip is
 * 4 × 35,786 km at the speed of light, 477 ms, before anybody has processed it,
 * and the shortest retransmission time of Linux is 200 ms, that of RFC 6298 1 s.
 * @module
 */

export interface NetworkProfile {
  /** Least round trip, milliseconds. */
  readonly roundTripMs: number;
  /** At most this much more, uniformly. */
  readonly jitterMs: number;
  /** Share of the sent chunks that are lost once. */
  readonly stallShare: number;
  /** How long such a one is late. */
  readonly stallMs: number;
  /** How often the connection is cut without a word, in the mean. */
  readonly cutsPerHour: number;
}

export const NETWORKS = {
  none: { roundTripMs: 0, jitterMs: 0, stallShare: 0, stallMs: 0, cutsPerHour: 0 },
  home: { roundTripMs: 20, jitterMs: 15, stallShare: 0.002, stallMs: 200, cutsPerHour: 0.1 },
  congested: { roundTripMs: 120, jitterMs: 180, stallShare: 0.02, stallMs: 1_000, cutsPerHour: 1 },
  satellite: { roundTripMs: 600, jitterMs: 60, stallShare: 0.005, stallMs: 1_200, cutsPerHour: 1 },
  flaky: { roundTripMs: 60, jitterMs: 100, stallShare: 0.03, stallMs: 3_000, cutsPerHour: 60 },
} as const satisfies Readonly<Record<string, NetworkProfile>>;

export type NetworkName = keyof typeof NETWORKS;

/** How long a chunk takes on this network; `next` is uniform in [0, 1). */
export function transitMs(profile: NetworkProfile, next: () => number): number {
  if (profile === NETWORKS.none) return 0;
  const stall = next() < profile.stallShare ? profile.stallMs : 0;
  return profile.roundTripMs + profile.jitterMs * next() + stall;
}

/** The wait for an event that comes `perHour` times an hour by chance (exponential); Infinity for 0. */
export function waitMs(perHour: number, next: () => number): number {
  return perHour === 0 ? Number.POSITIVE_INFINITY : (-Math.log(1 - next()) * 3_600_000) / perHour;
}
