import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';

export interface Pace {
  /** `Infinity`: as fast as they are taken. */
  readonly tokensPerSecond: number;
  readonly timeToFirstTokenMs: number;
}

/** A token's share of jitter: real engines' inter-token times vary with the batch. */
const JITTER = 0.15;
/** Timers are no finer than this; a token that is due sooner goes at once. */
const TIMER_RESOLUTION_MS = 1;

/** At full speed, the event loop gets its turn this often: a reader that left must be noticed. */
const MAX_BURST_MS = 5;

/**
 * Waits before the n-th token. Tokens are due at fixed times from the start, so that a slow consumer or a coarse timer
 * doesn't slow the whole answer down.
 */
export class Pacer {
  readonly #pace: Pace;
  readonly #random: () => number;
  readonly #signal: AbortSignal;
  #due: number;
  #first = true;
  #lastTurn = performance.now();

  constructor(pace: Pace, random: () => number, signal: AbortSignal) {
    this.#pace = pace;
    this.#random = random;
    this.#signal = signal;
    this.#due = performance.now();
  }

  /** @throws AbortError */
  async next(): Promise<void> {
    const jitter = 1 + (this.#random() * 2 - 1) * JITTER;
    const wait = this.#first ? this.#pace.timeToFirstTokenMs : 1000 / this.#pace.tokensPerSecond;
    this.#first = false;
    this.#due += wait * jitter;
    const now = performance.now();
    const ms = this.#due - now;
    this.#signal.throwIfAborted();
    if (ms >= TIMER_RESOLUTION_MS) await sleep(ms, undefined, { signal: this.#signal });
    else if (now - this.#lastTurn < MAX_BURST_MS) return;
    else await turn();
    this.#lastTurn = performance.now();
  }
}

/** A small deterministic generator (mulberry32): the same prompt and seed give the same answer at the same pace. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** FNV-1a. */
export function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return value >>> 0;
}
