/** A process that has just begun may retry once or twice; one that had much traffic can't save up more than this. */
const INITIAL = 2;
const MAXIMUM = 10;

/**
 * A token bucket that requests fill and retries empty: however bad an outage, retries and hedges stay a share of the
 * requests, and don't multiply the load on what is failing.
 */
export class RetryBudget {
  #tokens = INITIAL;

  /** @param share what each request puts in, 0.1 for one retry in ten requests */
  deposit(share: number): void {
    this.#tokens = Math.min(MAXIMUM, this.#tokens + share);
  }

  /** @returns whether there was one to take */
  take(): boolean {
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}
