import { setTimeout as wait } from 'node:timers/promises';

/**
 * The time of what AWS does by the clock: start-up, alarm periods, cooldowns, health check intervals, schedules. It may
 * run faster than the wall's. What waits for requests that run (draining, a container's stop time-out, an idle
 * connection) doesn't: tokens flow in real time.
 */
export class Clock {
  /** Seconds of this clock in a real one. */
  readonly speed: number;
  readonly #start: number;
  readonly #startedAt = performance.now();

  constructor(speed = 1, start = Date.now()) {
    if (!(speed > 0) || !Number.isFinite(speed)) throw new Error(`a clock's speed must be more than 0, not ${speed}`);
    this.speed = speed;
    this.#start = start;
  }

  /** Milliseconds since 1970. */
  now(): number {
    return this.#start + (performance.now() - this.#startedAt) * this.speed;
  }

  /** Real milliseconds that so many of this clock's take. */
  real(ms: number): number {
    return ms / this.speed;
  }

  /** @throws AbortError */
  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    await wait(this.real(ms), undefined, signal === undefined ? {} : { signal });
  }

  /** Calls again and again, never two at once, until it is stopped. */
  every(ms: number, call: () => Promise<void> | void): () => void {
    const abort = new AbortController();
    const loop = async (): Promise<void> => {
      for (;;) {
        await this.sleep(ms, abort.signal);
        await call();
      }
    };
    loop().catch((error: unknown) => {
      if (!abort.signal.aborted) throw error;
    });
    return () => abort.abort();
  }
}
