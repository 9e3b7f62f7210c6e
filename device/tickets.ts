/**
 * Who waits for which change to be acknowledged.
 *
 * A `sync()` is done when each of its changes was acknowledged, or a newer
 * change to the same pattern that replaced it in the queue was.
 * @module
 */
import type { Position } from "../src/wire/index.ts";
import type { SentItem } from "./session-state.ts";

interface Ticket {
  readonly generation: number;
  readonly remaining: Set<string>;
  readonly positions: Position[];
  readonly resolve: (positions: readonly Position[]) => void;
  readonly reject: (error: unknown) => void;
}

export interface OpenTicket {
  readonly settled: Promise<readonly Position[]>;
  /** Stops waiting; the promise rejects with `error`. */
  cancel(error: unknown): void;
}

export class Tickets {
  readonly #open = new Set<Ticket>();

  /** Waits for the changes to `ids` (at least one) that came with put number `generation`, or later ones. */
  open(generation: number, ids: readonly string[]): OpenTicket {
    let ticket: Ticket | undefined;
    const settled = new Promise<readonly Position[]>((resolve, reject) => {
      ticket = { generation, remaining: new Set(ids), positions: [], resolve, reject };
      this.#open.add(ticket);
    });
    return {
      settled,
      cancel: (error) => {
        if (ticket !== undefined && this.#open.delete(ticket)) ticket.reject(error);
      },
    };
  }

  /** A frame was acknowledged. */
  acked(position: Position, items: readonly SentItem[]): void {
    for (const ticket of this.#open) {
      if (!concerns(ticket, items)) continue;
      ticket.positions.push(position);
      for (const item of items) {
        if (item.generation >= ticket.generation) ticket.remaining.delete(item.id);
      }
      if (ticket.remaining.size > 0) continue;
      this.#open.delete(ticket);
      ticket.resolve(ticket.positions);
    }
  }

  /** Changes were given up. */
  lost(items: readonly SentItem[], error: unknown): void {
    for (const ticket of this.#open) {
      if (concerns(ticket, items) && this.#open.delete(ticket)) ticket.reject(error);
    }
  }

  cancelAll(error: unknown): void {
    for (const ticket of this.#open) ticket.reject(error);
    this.#open.clear();
  }
}

function concerns(ticket: Ticket, items: readonly SentItem[]): boolean {
  return items.some(
    (item) => item.generation >= ticket.generation && ticket.remaining.has(item.id),
  );
}
