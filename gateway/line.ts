/**
 * Those who wait, the first to come in front; leaving from anywhere costs the same however long the
 * line is. Pure.
 * @module
 */

/** Somebody who can stand in one line at a time. */
export class Place {
  line: object | null = null;
  ahead: Place | null = null;
  behind: Place | null = null;
}

export class Line<Member extends Place> {
  #first: Place | null = null;
  #last: Place | null = null;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Who came first; `null` when nobody is here. */
  get first(): Member | null {
    return this.#first as Member | null;
  }

  has(member: Member): boolean {
    return member.line === this;
  }

  /** Behind all others. `member` must stand in no line. */
  add(member: Member): void {
    member.line = this;
    member.ahead = this.#last;
    if (this.#last === null) this.#first = member;
    else this.#last.behind = member;
    this.#last = member;
    this.#size += 1;
  }

  /** Nothing happens when `member` is not here. */
  remove(member: Member): void {
    if (!this.has(member)) return;
    const { ahead, behind } = member;
    if (ahead === null) this.#first = behind;
    else ahead.behind = behind;
    if (behind === null) this.#last = ahead;
    else behind.ahead = ahead;
    member.line = member.ahead = member.behind = null;
    this.#size -= 1;
  }
}
