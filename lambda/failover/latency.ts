/** Enough for a 95th percentile that one outlier doesn't make. */
const SAMPLES = 64;
const MINIMUM = 10;
/** Sorting for each request would cost more than it tells. */
const REFRESH_EVERY = 8;

/** A model's recent times to the first token. */
export class RecentLatency {
  readonly #samples: number[] = [];
  #next = 0;
  #sinceSorted = REFRESH_EVERY;
  #p95: number | undefined;

  add(ms: number): void {
    this.#samples[this.#next] = ms;
    this.#next = (this.#next + 1) % SAMPLES;
    this.#sinceSorted += 1;
  }

  /** `undefined` while there are too few. */
  get p95(): number | undefined {
    if (this.#samples.length < MINIMUM) return undefined;
    if (this.#sinceSorted >= REFRESH_EVERY) {
      this.#sinceSorted = 0;
      const sorted = [...this.#samples].sort((a, b) => a - b);
      this.#p95 = sorted[Math.floor((sorted.length - 1) * 0.95)];
    }
    return this.#p95;
  }
}
