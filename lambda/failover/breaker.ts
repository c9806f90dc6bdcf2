import type { BreakerConfig } from '../../lib/private/serving-config.ts';

const BUCKETS = 10;
/**
 * A probe that fails costs one request the wait for a dead backend. Among so many requests one may, however often that
 * happened before: where there are many, a backend that is back is noticed soon.
 */
const REQUESTS_A_PROBE = 100;

/**
 * Whether one backend is worth asking, from what became of the last calls to it.
 *
 * Closed, it admits everyone. It opens at a share of failures within a sliding window, or at a row of failures (a
 * function with one request at a time never sees enough for a share). Open, it admits nobody for a time; then one
 * request at a time as a probe, whose outcome closes it or opens it for twice as long, or until enough requests have
 * passed it over. Apart from that a backend can
 * be skipped for a moment, because it said itself that it is full.
 *
 * Times are the wall clock's: a frozen Lambda environment's monotonic clock stands still.
 */
export class Breaker {
  readonly #calls = new Array<number>(BUCKETS).fill(0);
  readonly #failures = new Array<number>(BUCKETS).fill(0);
  #bucket = 0;
  #inARow = 0;
  #openings = 0;
  #openUntil = 0;
  #skipUntil = 0;
  #passedOver = 0;
  #probeFrom = 0;
  #isProbing = false;
  lastFailureAt = 0;

  /** Asked when a request's order is made; `begin` is called when a backend really is asked. */
  admits(now: number): boolean {
    if (now < this.#skipUntil) return false;
    if (now < this.#openUntil) {
      this.#passedOver += 1;
      if (this.#passedOver <= REQUESTS_A_PROBE || now < this.#probeFrom) return false;
      this.#openUntil = now;
    }
    return this.#openings === 0 || !this.#isProbing;
  }

  begin(now: number): void {
    if (this.#openings > 0 && now >= this.#openUntil) this.#isProbing = true;
  }

  /** The call ended without telling anything about the backend. */
  abandoned(): void {
    this.#isProbing = false;
  }

  /** @returns whether this closed it */
  succeeded(now: number, config: BreakerConfig): boolean {
    this.#count(now, config, 0);
    const wasOpen = this.#openings > 0;
    this.#inARow = 0;
    this.#openings = 0;
    this.#openUntil = 0;
    this.#skipUntil = 0;
    this.#isProbing = false;
    return wasOpen;
  }

  /** @returns whether this opened it */
  failed(now: number, config: BreakerConfig): boolean {
    this.#count(now, config, 1);
    this.lastFailureAt = now;
    this.#inARow += 1;
    if (now < this.#openUntil) return false;
    const calls = sum(this.#calls);
    const isOver =
      this.#openings > 0 ||
      this.#inARow >= config.consecutiveFailures ||
      (calls >= config.minimumCalls && sum(this.#failures) >= calls * config.failureRate);
    this.#isProbing = false;
    if (!isOver) return false;
    this.openUntil(now + Math.min(config.maxOpenMs, config.openMs * 2 ** this.#openings));
    this.#probeFrom = now + config.openMs;
    return true;
  }

  /** Also for what another process has found out. */
  openUntil(time: number): void {
    this.#openUntil = time;
    this.#probeFrom = time;
    this.#passedOver = 0;
    this.#openings += 1;
    this.#calls.fill(0);
    this.#failures.fill(0);
  }

  get opensAgainAt(): number {
    return this.#openUntil;
  }

  skipUntil(time: number): void {
    this.#skipUntil = Math.max(this.#skipUntil, time);
  }

  #count(now: number, config: BreakerConfig, failures: 0 | 1): void {
    const bucket = Math.floor((now / config.windowMs) * BUCKETS);
    // Those that have left the window, all of them after a long silence.
    for (let b = Math.max(this.#bucket + 1, bucket - BUCKETS + 1); b <= bucket; b++) {
      this.#calls[b % BUCKETS] = 0;
      this.#failures[b % BUCKETS] = 0;
    }
    if (bucket > this.#bucket) this.#bucket = bucket;
    const at = this.#bucket % BUCKETS;
    this.#calls[at] = (this.#calls[at] ?? 0) + 1;
    this.#failures[at] = (this.#failures[at] ?? 0) + failures;
  }
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
