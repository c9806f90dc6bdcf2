import { BLOCK_TOKENS } from './command-line.ts';

/** How long a step takes. */
export interface StepPace {
  /** Milliseconds of a step with a batch of one. */
  readonly baseMs: number;
  /** Milliseconds more for each further sequence. */
  readonly perSequenceMs: number;
  readonly prefillTokensPerSecond: number;
}

export interface SchedulerOptions {
  readonly maxNumSeqs: number;
  readonly maxNumBatchedTokens: number;
  readonly kvBlocks: number;
  readonly byPriority: boolean;
  /** `undefined`: a real model generates at its own pace, and only the number at once is bounded. */
  readonly pace: StepPace | undefined;
}

export interface SequenceOptions {
  /** Prompt tokens that must be computed: those that the prefix cache doesn't hold. */
  readonly prefillTokens: number;
  readonly promptTokens: number;
  /** The lower, the sooner. */
  readonly priority: number;
}

/** One request in the engine. */
export class Sequence {
  readonly priority: number;
  readonly promptTokens: number;
  readonly arrivedAt = performance.now();
  startedAt: number | undefined;
  prefillLeft: number;
  generated = 0;
  readonly #waiters: Array<() => void> = [];
  #credit = 0;

  constructor(options: SequenceOptions) {
    this.priority = options.priority;
    this.promptTokens = options.promptTokens;
    this.prefillLeft = options.prefillTokens;
  }

  /** Resolves when the next token is there. */
  token(): Promise<void> {
    if (this.#credit > 0) {
      this.#credit -= 1;
      return Promise.resolve();
    }
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  emit(): void {
    this.generated += 1;
    const waiter = this.#waiters.shift();
    if (waiter === undefined) this.#credit += 1;
    else waiter();
  }

  /** From here on nothing waits: the model has its own pace. */
  release(): void {
    this.#credit = Number.POSITIVE_INFINITY;
    for (const waiter of this.#waiters.splice(0)) waiter();
  }

  get blocks(): number {
    return Math.ceil((this.promptTokens + this.generated) / BLOCK_TOKENS);
  }
}

/**
 * Continuous batching: a step computes a token for each running sequence, and a share of the prompts that are new. It
 * takes the longer, the more sequences there are; who doesn't fit waits.
 */
export class Scheduler {
  preemptions = 0;
  readonly #options: SchedulerOptions;
  readonly #waiting: Sequence[] = [];
  readonly #running: Sequence[] = [];
  #stepping = false;
  #due = 0;

  constructor(options: SchedulerOptions) {
    this.#options = options;
  }

  get running(): number {
    return this.#running.length;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Prompt tokens of those that have no token yet. */
  get queuedTokens(): number {
    const early = [...this.#waiting, ...this.#running].filter((sequence) => sequence.generated === 0);
    return early.reduce((sum, sequence) => sum + sequence.promptTokens, 0);
  }

  /** 0 to 1 */
  get kvUsage(): number {
    return Math.min(1, this.#usedBlocks() / this.#options.kvBlocks);
  }

  add(options: SequenceOptions): Sequence {
    const sequence = new Sequence(options);
    this.#enqueue(sequence);
    this.#admit();
    this.#run();
    return sequence;
  }

  /** Done, or its client has left. */
  remove(sequence: Sequence): void {
    for (const list of [this.#waiting, this.#running]) {
      const at = list.indexOf(sequence);
      if (at >= 0) list.splice(at, 1);
    }
    this.#admit();
    this.#run();
  }

  #enqueue(sequence: Sequence): void {
    if (!this.#options.byPriority) {
      this.#waiting.push(sequence);
      return;
    }
    const at = this.#waiting.findIndex((other) => other.priority > sequence.priority);
    this.#waiting.splice(at < 0 ? this.#waiting.length : at, 0, sequence);
  }

  #usedBlocks(): number {
    return this.#running.reduce((sum, sequence) => sum + sequence.blocks, 0);
  }

  #admit(): void {
    const { maxNumSeqs, kvBlocks, pace } = this.#options;
    while (this.#running.length < maxNumSeqs) {
      const [next] = this.#waiting;
      if (next === undefined) return;
      // One alone always runs: its prompt was checked against the context length.
      if (this.#running.length > 0 && this.#usedBlocks() + next.blocks > kvBlocks) return;
      this.#waiting.shift();
      this.#running.push(next);
      next.startedAt ??= performance.now();
      if (pace === undefined) next.release();
    }
  }

  #run(): void {
    const { pace } = this.#options;
    if (pace === undefined || this.#stepping || this.#running.length === 0) return;
    this.#stepping = true;
    const { prefilled, ms } = this.#plan(pace);
    const now = performance.now();
    // Steps are due at fixed times, so that a coarse timer doesn't slow all of them down; one that is late isn't made up.
    this.#due = Math.max(this.#due, now - ms) + ms;
    setTimeout(() => {
      this.#stepping = false;
      this.#complete(prefilled);
      this.#admit();
      this.#run();
    }, this.#due - now);
  }

  /** Decoding comes first, prompts get what is left of the step's tokens. */
  #plan(pace: StepPace): { readonly prefilled: ReadonlyMap<Sequence, number>; readonly ms: number } {
    const decoding = this.#running.filter((sequence) => sequence.prefillLeft === 0).length;
    let budget = Math.max(1, this.#options.maxNumBatchedTokens - decoding);
    const prefilled = new Map<Sequence, number>();
    for (const sequence of this.#running) {
      const tokens = Math.min(sequence.prefillLeft, budget);
      if (tokens === 0) continue;
      prefilled.set(sequence, tokens);
      budget -= tokens;
    }
    const tokens = [...prefilled.values()].reduce((sum, count) => sum + count, 0);
    const ms =
      pace.baseMs + pace.perSequenceMs * (this.#running.length - 1) + (tokens / pace.prefillTokensPerSecond) * 1000;
    return { prefilled, ms };
  }

  #complete(prefilled: ReadonlyMap<Sequence, number>): void {
    for (const [sequence, tokens] of prefilled) sequence.prefillLeft -= tokens;
    // Those that joined during the step have had no part in it.
    const ready = this.#running.filter(
      (sequence) => sequence.prefillLeft === 0 && (prefilled.has(sequence) || sequence.generated > 0),
    );
    for (const sequence of ready) sequence.emit();
    while (this.#running.length > 1 && this.#usedBlocks() > this.#options.kvBlocks) this.#preempt();
  }

  /** The last one gives its blocks back, and computes all of its tokens again later. */
  #preempt(): void {
    const last = this.#running.pop();
    if (last === undefined) return;
    this.preemptions += 1;
    last.prefillLeft = last.promptTokens + last.generated;
    this.#waiting.unshift(last);
  }
}
