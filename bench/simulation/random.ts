/** Random numbers that are the same for the same seed (mulberry32), and the distributions that loads are made of. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** At least 0, less than 1. */
  uniform(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  }

  /** A whole number from 0 on, less than `count`. */
  below(count: number): number {
    return Math.floor(this.uniform() * count);
  }

  exponential(mean: number): number {
    return -Math.log(1 - this.uniform()) * mean;
  }

  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.uniform())) * Math.cos(2 * Math.PI * this.uniform());
  }

  /** @param spread standard deviation of the logarithm */
  logNormal(median: number, spread: number): number {
    return median * Math.exp(spread * this.normal());
  }

  /** Marsaglia and Tsang. @param shape below 1: bursts */
  gamma(shape: number, mean: number): number {
    if (shape < 1) return this.gamma(shape + 1, 1) * (shape + 1) * (this.uniform() ** (1 / shape) / shape) * mean;
    const d = shape - 1 / 3;
    for (;;) {
      const x = this.normal();
      const v = (1 + x / Math.sqrt(9 * d)) ** 3;
      if (v > 0 && Math.log(1 - this.uniform()) < (x * x) / 2 + d * (1 - v + Math.log(v)))
        return (d * v * mean) / shape;
    }
  }

  /** Ranks from 0 on, the first ones more often: Zipf's law. */
  zipf(count: number, exponent: number): () => number {
    const sums: number[] = [];
    let sum = 0;
    for (let rank = 1; rank <= count; rank += 1) {
      sum += 1 / rank ** exponent;
      sums.push(sum);
    }
    return () => {
      const at = this.uniform() * sum;
      let low = 0;
      let high = count - 1;
      while (low < high) {
        const middle = (low + high) >> 1;
        if ((sums[middle] ?? 0) < at) low = middle + 1;
        else high = middle;
      }
      return low;
    };
  }
}
