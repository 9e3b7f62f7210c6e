/**
 * Store calls that are made again until the store has answered.
 * @module
 */
import {
  type BackoffPolicy,
  backoffDelayMs,
  type Clock,
  messageOf,
  OmegaError,
  type Random,
  sleep,
} from "../core/index.ts";

const POLICY: BackoffPolicy = { delayMsBase: 50, delayMsMax: 2_000 };
const ATTEMPTS_MAX = 10;
/** No answer, or none that says what became of the call: asking again is safe and may help. */
const UNSETTLED: readonly string[] = ["store.unavailable", "store.timeout", "store.unreplicated"];

/**
 * `call()`, made again with backoff while it fails as unavailable or timed out, until `signal`
 * aborts or ten attempts have failed. Every other error is an answer and is thrown at once.
 */
export async function persist<T>(
  call: () => Promise<T>,
  context: {
    readonly clock: Clock;
    readonly random: Random;
    readonly signal: AbortSignal;
    readonly onRetry: (message: string) => void;
  },
): Promise<T> {
  const { clock, random, signal, onRetry } = context;
  for (let attempt = 0; ; attempt += 1) {
    signal.throwIfAborted();
    try {
      return await call();
    } catch (error) {
      const unsettled = error instanceof OmegaError && UNSETTLED.includes(error.reason);
      if (!unsettled || attempt + 1 >= ATTEMPTS_MAX) throw error;
      onRetry(messageOf(error));
      await sleep(clock, backoffDelayMs(POLICY, attempt, random), signal);
    }
  }
}
