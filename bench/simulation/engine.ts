import type { StepPace } from '../../local/engine/scheduler.ts';

export interface SimulatedRequest {
  /** Seconds. */
  readonly arrival: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
}

/** What became of a request; times in seconds. */
export interface Outcome<R extends SimulatedRequest = SimulatedRequest> {
  readonly request: R;
  /** `undefined`: refused, or lost. */
  readonly firstToken: number | undefined;
  readonly end: number | undefined;
}

export interface EngineLimits {
  readonly pace: StepPace;
  /** Sequences in one step. */
  readonly maxNumSeqs: number;
  /** Tokens in one step. */
  readonly maxNumBatchedTokens: number;
  /** Requests that wait or run; more are refused. */
  readonly maxInFlight: number;
  /** Of the KV cache. */
  readonly kvTokens: number;
}

interface Sequence<R extends SimulatedRequest> {
  readonly request: R;
  prefillLeft: number;
  firstToken: number | undefined;
}

/**
 * An engine that batches continuously, in simulated time: the model of `local/engine/scheduler.ts`, whose steps take as
 * long as there (`StepPace`), without its preemption: a sequence has the KV blocks of its whole length from the start.
 */
export class SimulatedEngine<R extends SimulatedRequest = SimulatedRequest> {
  readonly #limits: EngineLimits;
  readonly #done: (outcome: Outcome<R>) => void;
  readonly #waiting: Sequence<R>[] = [];
  #prefilling: Sequence<R>[] = [];
  /** By the number of the step that yields their last token. */
  readonly #decoding = new Map<number, Sequence<R>[]>();
  #decodingCount = 0;
  #kvTokens = 0;
  #steps = 0;
  #now: number;

  constructor(limits: EngineLimits, now: number, done: (outcome: Outcome<R>) => void) {
    this.#limits = limits;
    this.#now = now;
    this.#done = done;
  }

  get running(): number {
    return this.#prefilling.length + this.#decodingCount;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  get inFlight(): number {
    return this.running + this.waiting;
  }

  /** @param prefillTokens of the prompt, those that no cache holds @returns whether it was taken */
  add(request: R, prefillTokens = request.inputTokens): boolean {
    if (this.inFlight >= this.#limits.maxInFlight) return false;
    if (this.inFlight === 0) this.#now = Math.max(this.#now, request.arrival);
    this.#waiting.push({ request, prefillLeft: Math.max(1, prefillTokens), firstToken: undefined });
    return true;
  }

  /** Runs until then; a step that has begun is finished. */
  advance(to: number): void {
    while (this.#now < to) {
      this.#admit();
      if (this.running === 0) {
        this.#now = to;
        return;
      }
      this.#step();
    }
  }

  #admit(): void {
    const { maxNumSeqs, kvTokens } = this.#limits;
    for (;;) {
      const [next] = this.#waiting;
      if (next === undefined || this.running >= maxNumSeqs) return;
      const needed = next.request.inputTokens + next.request.outputTokens;
      if (this.running > 0 && this.#kvTokens + needed > kvTokens) return;
      this.#waiting.shift();
      this.#kvTokens += needed;
      this.#prefilling.push(next);
    }
  }

  #step(): void {
    const { pace, maxNumBatchedTokens } = this.#limits;
    const count = this.running;
    let budget = Math.max(1, maxNumBatchedTokens - this.#decodingCount);
    let tokens = 0;
    for (const sequence of this.#prefilling) {
      const share = Math.min(sequence.prefillLeft, budget);
      sequence.prefillLeft -= share;
      budget -= share;
      tokens += share;
      if (budget === 0) break;
    }
    const ms = pace.baseMs + pace.perSequenceMs * (count - 1) + (tokens / pace.prefillTokensPerSecond) * 1000;
    this.#now += ms / 1000;
    this.#steps += 1;
    for (const sequence of this.#decoding.get(this.#steps) ?? []) {
      this.#decodingCount -= 1;
      this.#end(sequence);
    }
    this.#decoding.delete(this.#steps);
    if (tokens > 0) this.#startDecoding();
  }

  /** The step that ends a prefill yields the first token. */
  #startDecoding(): void {
    const still: Sequence<R>[] = [];
    for (const sequence of this.#prefilling) {
      if (sequence.prefillLeft > 0) {
        still.push(sequence);
        continue;
      }
      sequence.firstToken = this.#now;
      const left = sequence.request.outputTokens - 1;
      if (left <= 0) {
        this.#end(sequence);
        continue;
      }
      const last = this.#steps + left;
      const ending = this.#decoding.get(last);
      if (ending === undefined) this.#decoding.set(last, [sequence]);
      else ending.push(sequence);
      this.#decodingCount += 1;
    }
    this.#prefilling = still;
  }

  #end({ request, firstToken }: Sequence<R>): void {
    this.#kvTokens -= request.inputTokens + request.outputTokens;
    this.#done({ request, firstToken, end: this.#now });
  }
}
