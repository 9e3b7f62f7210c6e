/**
 * What is put off to the end of a turn: one microtask for all of it, where one
 * each would cost as much as what most of them do.
 * @module
 */

/** Returns a function that runs what it is given in the next microtask, in order. */
export function endOfTurn(): (act: () => void) => void {
  let acts: (() => void)[] = [];
  const run = () => {
    const due = acts;
    acts = [];
    for (const act of due) act();
  };
  return (act) => {
    if (acts.push(act) === 1) queueMicrotask(run);
  };
}
