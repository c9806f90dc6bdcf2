import { BackendError } from '../backend.ts';

/**
 * One call's abort signal: the caller's, or a deadline's. There is at most one timer, and none after `clear()`.
 */
export class CallDeadline {
  readonly #backend: string;
  readonly #caller: AbortSignal;
  readonly #controller = new AbortController();
  readonly #onAbort = (): void => this.#controller.abort(this.#caller.reason);
  #timer: NodeJS.Timeout | undefined;
  #missed: string | undefined;

  constructor(backend: string, caller: AbortSignal) {
    this.#backend = backend;
    this.#caller = caller;
    if (caller.aborted) this.#onAbort();
    else caller.addEventListener('abort', this.#onAbort, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Replaces the timer. */
  arm(ms: number, awaited: string): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#missed = `${awaited} did not come within ${ms} ms`;
      this.#controller.abort();
    }, ms);
  }

  disarm(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Stops what is still under way and forgets the caller. */
  clear(): void {
    this.disarm();
    this.#caller.removeEventListener('abort', this.#onAbort);
    this.#controller.abort();
  }

  /** What the end of the call really was, whatever error it surfaced as. */
  reason(error: unknown): BackendError | undefined {
    if (this.#missed !== undefined) return new BackendError(this.#backend, 'timeout', this.#missed, { cause: error });
    if (!this.#caller.aborted) return undefined;
    return new BackendError(this.#backend, 'aborted', 'the request was aborted', { cause: error });
  }
}
