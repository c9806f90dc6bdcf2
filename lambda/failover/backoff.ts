import type { FallbackConfig } from '../../lib/private/serving-config.ts';
import type { BackendError } from '../backends/backend.ts';

/**
 * How long to wait before retry number `retry` (from 0) of backends that failed like this; `undefined` when it isn't
 * worth waiting.
 *
 * Full jitter: clients that failed together don't come back together. A backend that says when it wants to be asked
 * again is asked no sooner, with some jitter on top, for it says the same to all.
 *
 * @see https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
 */
export function backoffMs(
  failures: readonly BackendError[],
  retry: number,
  policy: FallbackConfig,
  leftMs: number,
  random: () => number = Math.random,
): number | undefined {
  const jitter = random() * Math.min(policy.backoffMaxMs, policy.backoffBaseMs * 2 ** retry);
  // The soonest of them: the others are asked after it.
  const asked = Math.min(...failures.map((failure) => failure.retryAfterMs ?? 0));
  const wait = asked + jitter;
  if (asked > policy.maxRetryAfterMs || wait >= leftMs) return undefined;
  return wait;
}
