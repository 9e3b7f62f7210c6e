/**
 * Loaded before a process's own code (`--import`): its wall clock is wrong by CLOCK_SHIFT_MS.
 * @module
 */
const shiftMs = Number(process.env.CLOCK_SHIFT_MS ?? 0);
const RightDate = Date;
const nowMs = () => RightDate.now() + shiftMs;

class WrongDate extends RightDate {
  constructor(...args: readonly unknown[]) {
    super(...((args.length === 0 ? [nowMs()] : args) as []));
  }

  static override now(): number {
    return nowMs();
  }
}

globalThis.Date = WrongDate as DateConstructor;
