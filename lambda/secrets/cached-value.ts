export interface CachedValueOptions<T> {
  /** Gets a new value and says how long it is good for, ms. */
  readonly load: () => Promise<{ readonly value: T; readonly freshMs: number }>;
  /** An expired value is served for so long while loading fails, ms; 0: never. */
  readonly staleMs: number;
  /** Whether an expired value may be served after this failure. */
  readonly isTransient: (error: unknown) => boolean;
  /** The wall clock: it goes on while a Lambda environment is frozen. */
  readonly now: () => number;
}

/** After a failure with an old value at hand, or an `invalidate()`: not asked again for so long. */
const PAUSE_MS = 30_000;

/**
 * A value from elsewhere that is good for a while. Concurrent readers share one load, and none of them can cancel it
 * for the others.
 */
export class CachedValue<T> {
  readonly #options: CachedValueOptions<T>;
  #held: { readonly value: T; readonly freshUntil: number; readonly staleUntil: number } | undefined;
  #loading: Promise<T> | undefined;
  #pausedUntil = Number.NEGATIVE_INFINITY;
  #loadedAt = Number.NEGATIVE_INFINITY;

  constructor(options: CachedValueOptions<T>) {
    this.#options = options;
  }

  async get(signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    const now = this.#options.now();
    const held = this.#held;
    if (held && now < held.freshUntil) return held.value;
    if (held && now < this.#pausedUntil && now < held.staleUntil) return held.value;
    this.#loading ??= this.#load().finally(() => {
      this.#loading = undefined;
    });
    return signal ? untilAborted(this.#loading, signal) : this.#loading;
  }

  /** The value turned out to be bad. One that was only just loaded is kept: the same would come again. */
  invalidate(): void {
    if (!this.#held || this.#options.now() - this.#loadedAt < PAUSE_MS) return;
    this.#held = { ...this.#held, freshUntil: Number.NEGATIVE_INFINITY };
  }

  async #load(): Promise<T> {
    try {
      const { value, freshMs } = await this.#options.load();
      const now = this.#options.now();
      this.#loadedAt = now;
      this.#held = { value, freshUntil: now + freshMs, staleUntil: now + freshMs + this.#options.staleMs };
      return value;
    } catch (error) {
      const now = this.#options.now();
      if (!this.#held || now >= this.#held.staleUntil || !this.#options.isTransient(error)) throw error;
      this.#pausedUntil = now + PAUSE_MS;
      return this.#held.value;
    }
  }
}

function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
