/** Trying again what may pass. */

import { Problem } from "/lab/api.js";

const LONGEST_WAIT_S = 10;

/**
 * Try until it succeeds, fails for good, or is cancelled.
 * @param {Function} attempt Returns a promise; called again after a problem that passes.
 * @param {AbortSignal} signal Cancels.
 * @param {Function} onWait Told the problem and the seconds until the next attempt: as many as the
 *   service asks for, else 1, 2, 4 … up to 10.
 */
export async function patiently(attempt, signal, onWait = () => {}) {
  for (let failures = 0; ; failures += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof Problem) || !error.passes) throw error;
      const waitS = error.retryAfterS ?? Math.min(2 ** failures, LONGEST_WAIT_S);
      onWait(error, waitS);
      await sleep(waitS * 1000, signal);
    }
  }
}

/** Wait; rejects with the signal's reason when it is aborted. */
export function sleep(ms, signal) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const abort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, ms);
    signal?.addEventListener("abort", abort, { once: true });
  });
}
