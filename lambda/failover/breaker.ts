import type { BreakerConfig } from '../../lib/private/serving-config.ts';

const BUCKETS = 10;
/**
 * A probe that fails costs one request the wait for a dead backend. Among so many requests one may, however often that
 * happened before: where there are many, a backend that is back is noticed soon.
 */
const REQUESTS_A_PROBE = 100;

/** One call to the backend: what its outcome has to be told with. */
export interface BreakerCall {
  /** How many had failed in a row when this one succeeded, as far as it has. */
  failuresBefore?: number;
}

/**
 * A time by the wall clock, for a frozen Lambda environment's monotonic clock stands still. Before its beginning it is
 * over as well: the clock was set back, and nobody knows for how long.
 */
class Pause {
  #from = 0;
  #until = 0;

  set(from: number, until: number): void {
    this.#from = from;
    this.#until = until;
  }

  get until(): number {
    return this.#until;
  }

  isOn(now: number): boolean {
    return now >= this.#from && now < this.#until;
  }
}

/**
 * Whether one backend is worth asking, from what became of the last calls to it.
 *
 * Closed, it admits everyone. It opens at a share of failures within a sliding window, or at a row of failures (a
 * function with one request at a time never sees enough for a share). Open, it admits nobody for a time; then one
 * request at a time as a probe, whose outcome closes it or opens it for twice as long, or until enough requests have
 * passed it over. Apart from that a backend can
 * be skipped for a moment, because it said itself that it is full.
 *
 * A call may succeed and fail: a stream that began and broke off. It is one call then, and a failed one.
 */
export class Breaker {
  readonly #calls = new Array<number>(BUCKETS).fill(0);
  readonly #failures = new Array<number>(BUCKETS).fill(0);
  readonly #open = new Pause();
  readonly #skip = new Pause();
  #bucket = 0;
  #inARow = 0;
  #openings = 0;
  #passedOver = 0;
  #probeFrom = 0;
  #probe: BreakerCall | undefined;
  lastFailureAt = 0;

  /** Asked when a request's order is made, and before a backend is asked; `begin` when it really is. */
  admits(now: number): boolean {
    if (this.#skip.isOn(now)) return false;
    if (this.#open.isOn(now)) {
      this.#passedOver += 1;
      if (this.#passedOver <= REQUESTS_A_PROBE || now < this.#probeFrom) return false;
      this.#open.set(now, now);
    }
    return this.#openings === 0 || this.#probe === undefined;
  }

  begin(now: number): BreakerCall {
    const call: BreakerCall = {};
    if (this.#openings > 0 && !this.#open.isOn(now)) this.#probe = call;
    return call;
  }

  /** The call ended without telling anything about the backend. */
  abandoned(call: BreakerCall): void {
    if (this.#probe === call) this.#probe = undefined;
  }

  /** @returns whether this closed it */
  succeeded(call: BreakerCall, now: number, config: BreakerConfig): boolean {
    this.#count(now, config, 1, 0);
    const wasOpen = this.#openings > 0;
    call.failuresBefore = this.#inARow;
    this.#inARow = 0;
    this.#openings = 0;
    this.#open.set(0, 0);
    this.#skip.set(0, 0);
    this.#probe = undefined;
    return wasOpen;
  }

  /** @returns whether this opened it */
  failed(call: BreakerCall, now: number, config: BreakerConfig): boolean {
    const { failuresBefore } = call;
    this.#count(now, config, failuresBefore === undefined ? 1 : 0, 1);
    this.lastFailureAt = now;
    this.#inARow = Math.max(this.#inARow, failuresBefore ?? 0) + 1;
    this.abandoned(call);
    if (this.#open.isOn(now)) return false;
    const calls = sum(this.#calls);
    const isOver =
      this.#openings > 0 ||
      this.#inARow >= config.consecutiveFailures ||
      (calls >= config.minimumCalls && sum(this.#failures) >= calls * config.failureRate);
    if (!isOver) return false;
    this.openUntil(now + Math.min(config.maxOpenMs, config.openMs * 2 ** this.#openings), now);
    this.#probeFrom = now + config.openMs;
    return true;
  }

  /** Also for what another process has found out. */
  openUntil(time: number, now: number): void {
    this.#open.set(now, time);
    this.#probeFrom = time;
    this.#passedOver = 0;
    this.#openings += 1;
    this.#calls.fill(0);
    this.#failures.fill(0);
  }

  get opensAgainAt(): number {
    return this.#open.until;
  }

  skipUntil(time: number, now: number): void {
    if (!this.#skip.isOn(now) || time > this.#skip.until) this.#skip.set(now, time);
  }

  #count(now: number, config: BreakerConfig, calls: 0 | 1, failures: 0 | 1): void {
    const bucket = Math.floor((now / config.windowMs) * BUCKETS);
    // Those that have left the window; all of them after a long silence, or when the clock was set back.
    const isBack = bucket < this.#bucket - 1;
    const from = isBack ? bucket - BUCKETS + 1 : Math.max(this.#bucket + 1, bucket - BUCKETS + 1);
    for (let b = from; b <= bucket; b++) {
      this.#calls[b % BUCKETS] = 0;
      this.#failures[b % BUCKETS] = 0;
    }
    if (bucket > this.#bucket || isBack) this.#bucket = bucket;
    const at = this.#bucket % BUCKETS;
    this.#calls[at] = (this.#calls[at] ?? 0) + calls;
    this.#failures[at] = (this.#failures[at] ?? 0) + failures;
  }
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
