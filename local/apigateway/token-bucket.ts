import { performance } from 'node:perf_hooks';
import type { Throttle } from './definition.ts';

/** Fills with `rateLimit` tokens a second up to `burstLimit`; a request takes one. */
export class TokenBucket {
  readonly #throttle: Throttle;
  readonly #now: () => number;
  #tokens: number;
  #filledAt: number;

  /** @param now milliseconds of a clock that never goes back */
  constructor(throttle: Throttle, now: () => number = () => performance.now()) {
    this.#throttle = throttle;
    this.#now = now;
    this.#tokens = throttle.burstLimit;
    this.#filledAt = now();
  }

  take(): boolean {
    const now = this.#now();
    const earned = ((now - this.#filledAt) / 1000) * this.#throttle.rateLimit;
    this.#filledAt = now;
    // Without a rate limit the bucket is always full; Infinity × 0 would be no number.
    this.#tokens = Number.isFinite(this.#throttle.rateLimit)
      ? Math.min(this.#throttle.burstLimit, this.#tokens + earned)
      : this.#throttle.burstLimit;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}
