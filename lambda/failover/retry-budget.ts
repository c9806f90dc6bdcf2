/**
 * What a process may spend beyond its share, when it has just begun and ever after. Small, for processes are many: what
 * each of them had saved up in quiet times, all would spend on the same outage.
 */
const RESERVE = 2;

/**
 * A token bucket that requests fill and retries empty: however bad an outage, retries and hedges stay a share of the
 * requests, and don't multiply the load on what is failing.
 */
export class RetryBudget {
  #tokens = RESERVE;

  /** @param share what each request puts in, 0.1 for one retry in ten requests */
  deposit(share: number): void {
    this.#tokens = Math.min(RESERVE, this.#tokens + share);
  }

  /** @returns whether there was one to take */
  take(): boolean {
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}
