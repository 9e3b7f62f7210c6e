/**
 * A history for people: one line for each event, with the time of day of the world.
 * @module
 */
import { type Dated, type HistoryEvent, type Place, placeName } from "../oracle/events.ts";

/** `12.345 s  acme/tv1  puts 7: p1=8, p2 removed`. */
function traceLine(event: Dated): string {
  const at = `${(event.atMs / 1_000).toFixed(3)} s`.padStart(12);
  return `${at}  ${words(event)}`;
}

function words(event: HistoryEvent): string {
  switch (event.kind) {
    case "fault":
      return `FAULT    ${event.what}`;
    case "boot":
      return `${event.device} starts, memory ${event.memory}`;
    case "put": {
      const items = event.items.map(({ id, weight }) => `${id}=${weight ?? "removed"}`);
      return `${event.device} puts ${event.put}: ${items.join(", ")}`;
    }
    case "stored":
    case "unstored":
      return `${event.device} ${event.kind} ${event.put}`;
    case "dropped":
      return `${event.device} gives up ${event.ids.join(", ")}`;
    case "send":
      return `${placeName(event)} sent (${event.hash})`;
    case "acked":
      return `${placeName(event)} acknowledged`;
    case "told":
      return `${placeName(event)} told as consumed`;
    case "release":
      return `${event.device} takes release ${event.version} (${event.hash})`;
    case "cached":
      return `${event.device} has release ${event.version} on disk`;
    case "holds":
      return `${event.device} holds release ${event.version}`;
    case "session":
      return `${event.gateway} ${event.open ? "opens" : "closes"} connection ${event.connection} of ${event.device}`;
    case "receive":
      return `${event.gateway} receives packet ${event.packet} on connection ${event.connection}`;
    case "puback":
      return `${event.gateway} acknowledges packet ${event.packet} on connection ${event.connection}`;
    case "enqueue":
      return `${event.place === null ? event.device : placeName(event.place)} queued (${event.hash})`;
    case "lease":
      return `lease ${event.name} given with token ${event.token}`;
    case "commit":
      return commitWords(event);
    case "dead-letter": {
      const name = event.place === null ? event.device : placeName(event.place);
      return `${name} dead-lettered: ${event.reason}`;
    }
    case "frame":
      return `the frame ${event.hash}`;
    case "publish":
      return `release ${event.version} published under token ${event.token}`;
  }
}

function commitWords(event: Extract<HistoryEvent, { kind: "commit" }>): string {
  const { shard, number, token, applied, consumed } = event;
  const places = consumed.map((place: Place) => placeName(place)).join(", ");
  return `shard ${shard} commit ${number} under token ${token}: ${applied} applied; ${places}`;
}

/** Leases of seats say little and come often, as do answers about releases held. */
const DULL_LEASE = /^aggregator-seat-/;

/** The last `linesMax` lines of a history, and every fault. */
export function traceOf(history: readonly Dated[], linesMax: number): string[] {
  const told = history.filter((event) => {
    return event.kind !== "holds" && (event.kind !== "lease" || !DULL_LEASE.test(event.name));
  });
  const from = Math.max(0, told.length - linesMax);
  return told.filter((event, index) => index >= from || event.kind === "fault").map(traceLine);
}
