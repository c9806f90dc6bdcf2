import { performance } from 'node:perf_hooks';
import { ApiError } from './errors.ts';

/**
 * What is kept back of the invocation's remaining time: for the last events, the log line and the runtime. A function
 * that runs into its time-out ends without any of them.
 */
const RESERVE_MS = 1000;

/** The time that a request has. Its signal is aborted when the time is up or the client is gone. */
export class Deadline {
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #end: number;
  readonly #gone: AbortSignal;
  readonly #onGone = (): void => this.#controller.abort(this.#gone.reason);

  constructor(ms: number, remainingMs: number, advice: string, gone: AbortSignal) {
    const left = Math.max(1, Math.min(ms, remainingMs - RESERVE_MS));
    const message = `The answer was not finished within ${Math.round(left / 1000)} seconds.${advice}`;
    this.#end = performance.now() + left;
    this.#timer = setTimeout(() => this.#controller.abort(new ApiError(504, message, { code: 'timeout' })), left);
    this.#gone = gone;
    if (gone.aborted) this.#onGone();
    else gone.addEventListener('abort', this.#onGone, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get leftMs(): number {
    return Math.max(0, this.#end - performance.now());
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#gone.removeEventListener('abort', this.#onGone);
  }
}
