import { setTimeout as sleep } from 'node:timers/promises';
import type { BackendError } from '../backends/backend.ts';
import type { Attempt, AttemptReason } from './attempt.ts';
import { backoffMs } from './backoff.ts';
import type { Candidate } from './candidate.ts';
import { longerThan } from './plan.ts';
import { LowQuality } from './quality.ts';
import type { Session } from './session.ts';
import { isRetryable, verdictOn } from './verdict.ts';

/** How an answer is got from one backend. */
export interface Asking<T> {
  /** @param others how many ways there still are after this one: backends to ask, an answer that is kept */
  ask(attempt: Attempt, others: number): Promise<T>;
  /** Frees an answer that nobody wants any more. */
  discard(answer: T): void;
}

/** Whom to ask. */
export interface Order {
  readonly order: readonly Candidate[];
  readonly lastResort: readonly Candidate[];
  /** Why the first of them is asked. */
  readonly reason: AttemptReason;
}

export interface Answered<T> {
  readonly attempt: Attempt;
  readonly answer: T;
}

/** Every backend that was asked failed, or one refused the request. */
export class DispatchError extends Error {
  override readonly name = 'DispatchError';
  readonly failures: readonly BackendError[];

  constructor(failures: readonly BackendError[]) {
    super(`no backend answered: ${failures.map(({ backend, kind }) => `${backend}: ${kind}`).join(', ')}`, {
      cause: failures.at(-1),
    });
    this.failures = failures;
  }
}

type Outcome<T> =
  | { readonly type: 'answer'; readonly attempt: Attempt; readonly answer: T }
  | { readonly type: 'failure'; readonly attempt: Attempt; readonly failure: BackendError }
  | { readonly type: 'late' };

/**
 * Asks one backend after the other until one has answered; a second one beside the first when that is late and the
 * policy hedges. When the order is at its end, those whose failure may have passed are asked once more, and then the
 * last resort. An answer of low quality is kept: it is better than none.
 *
 * @throws DispatchError
 */
export async function dispatch<T>(
  session: Session,
  asking: Asking<T>,
  order: Order = { ...session.options.plan, reason: 'first' },
): Promise<Answered<T>> {
  const race = new Race(session, asking, order);
  try {
    return await race.run();
  } finally {
    race.close();
  }
}

class Race<T> {
  readonly #session: Session;
  readonly #asking: Asking<T>;
  #queue: Array<{ readonly candidate: Candidate; readonly reason: AttemptReason }>;
  #lastResort: readonly Candidate[];
  readonly #running = new Map<Attempt, Promise<Outcome<T>>>();
  /** By backend, its latest failure. */
  readonly #failed = new Map<Candidate, BackendError>();
  #poor: Answered<T> | undefined;
  #retries = 0;
  #mayHedge = true;
  #hedgeTimer: NodeJS.Timeout | undefined;

  constructor(session: Session, asking: Asking<T>, { order, lastResort, reason }: Order) {
    this.#session = session;
    this.#asking = asking;
    const others = reason === 'first' ? 'failover' : reason;
    this.#queue = order.map((candidate, index) => ({ candidate, reason: index === 0 ? reason : others }));
    this.#lastResort = lastResort;
  }

  async run(): Promise<Answered<T>> {
    // A stream that broke off is resumed by asking anew.
    if (await this.#session.isHalted()) this.#stop();
    for (;;) {
      if (this.#running.size === 0 && !this.#startNext() && !(await this.#refill())) return this.#giveUp();
      const outcome = await this.#nextOutcome();
      if (outcome.type === 'answer') return this.#won(outcome);
      if (outcome.type === 'failure') this.#lost(outcome.attempt, outcome.failure);
      if (await this.#session.isHalted()) this.#stop();
      if (outcome.type === 'late') this.#mayHedge = this.#startNext('hedge');
    }
  }

  /** Ends what still runs: the losers of a race, or all when the client's own fault ended it. */
  close(): void {
    clearTimeout(this.#hedgeTimer);
    for (const [attempt, outcome] of this.#running) {
      this.#session.abandon(attempt);
      // It may have answered in the same moment.
      void outcome.then((late) => late.type === 'answer' && this.#asking.discard(late.answer));
    }
    if (this.#poor !== undefined) this.#drop(this.#poor);
  }

  #drop({ attempt, answer }: Answered<T>): void {
    this.#asking.discard(answer);
    attempt.abandon();
  }

  #startNext(reason?: AttemptReason): boolean {
    // One that is down or tried by another request comes last: it is asked before nobody is.
    const admitted = this.#queue.findIndex(({ candidate }) => this.#session.admits(candidate));
    if (reason === 'hedge' && admitted < 0) return false;
    const [next] = this.#queue.splice(Math.max(0, admitted), 1);
    if (next === undefined) return false;
    const attempt = this.#session.begin(next.candidate, reason ?? next.reason);
    // A poor answer that is kept needs time to be handed out.
    const others = this.#queue.length + (this.#poor === undefined ? 0 : 1);
    const outcome = this.#asking.ask(attempt, others).then(
      (answer): Outcome<T> => ({ type: 'answer', attempt, answer }),
      (error): Outcome<T> => ({ type: 'failure', attempt, failure: this.#keepPoor(attempt, error) }),
    );
    this.#running.set(attempt, outcome);
    return true;
  }

  /** An attempt that was abandoned has no failure of its own: its end is our doing. */
  #keepPoor(attempt: Attempt, error: unknown): BackendError {
    if (error instanceof LowQuality) {
      const poor = { attempt, answer: error.answer as T };
      if (this.#poor === undefined && !attempt.isAbandoned) this.#poor = poor;
      else this.#drop(poor);
      return error;
    }
    return error as BackendError;
  }

  async #nextOutcome(): Promise<Outcome<T>> {
    const running = [...this.#running.values()];
    const [only] = running;
    const hedgeMs = this.#hedgeMs();
    if (hedgeMs === undefined) return running.length === 1 && only !== undefined ? only : Promise.race(running);
    const { promise, resolve } = Promise.withResolvers<Outcome<T>>();
    this.#hedgeTimer = setTimeout(() => {
      resolve(this.#session.mayRepeat() ? { type: 'late' } : Promise.race(running));
    }, hedgeMs);
    try {
      return await Promise.race([promise, ...running]);
    } finally {
      clearTimeout(this.#hedgeTimer);
    }
  }

  /** How long the only running attempt may take before the next backend is started beside it. */
  #hedgeMs(): number | undefined {
    const { hedgeAfterMs } = this.#session.options.policy;
    const [attempt] = this.#running.keys();
    if (hedgeAfterMs === undefined || !this.#mayHedge || this.#running.size > 1 || this.#queue.length === 0) {
      return undefined;
    }
    const after = Math.max(hedgeAfterMs, this.#session.latency.p95 ?? 0);
    return Math.max(0, after - (attempt?.elapsedMs ?? 0));
  }

  #won({ attempt, answer }: Answered<T>): Answered<T> {
    this.#running.delete(attempt);
    this.#session.succeeded(attempt);
    return { attempt, answer };
  }

  /** @throws DispatchError when no other backend would do better */
  #lost(attempt: Attempt, error: BackendError): void {
    this.#running.delete(attempt);
    const failure = this.#session.failed(attempt, error);
    const { policy, request } = this.#session.options;
    const verdict = verdictOn(failure, policy);
    if (verdict === 'return' && this.#poor === undefined) throw new DispatchError(this.#session.failures);
    if (verdict === 'return') {
      // One backend took the request, whatever this one says of it: that one's answer is better than none.
      this.#stop();
      return;
    }
    if (verdict === 'longer') {
      const queue = this.#queue.map(({ candidate }) => candidate);
      const longer = longerThan(attempt.candidate, queue, request);
      if (longer.length === 0 && this.#running.size === 0) throw new DispatchError(this.#session.failures);
      this.#queue = longer.map((candidate) => ({ candidate, reason: 'failover' }));
      // Nothing else has a chance with this prompt.
      this.#lastResort = [];
      this.#failed.clear();
      return;
    }
    this.#failed.set(attempt.candidate, failure);
  }

  /** Nobody else is asked. */
  #stop(): void {
    this.#queue = [];
    this.#lastResort = [];
    this.#failed.clear();
  }

  /** Starts a retry, or the last resort, when the order is at its end. */
  async #refill(): Promise<boolean> {
    if (await this.#retry()) return this.#startNext();
    if (this.#poor !== undefined) return false;
    // Here as in `route`: a fixed reply doesn't stand in for what the models can't do.
    const { failures } = this.#session;
    if (failures.length > 0 && failures.every(({ kind }) => kind === 'invalid-request')) return false;
    this.#queue = this.#lastResort.map((candidate) => ({ candidate, reason: 'failover' }));
    this.#lastResort = [];
    return this.#startNext();
  }

  async #retry(): Promise<boolean> {
    const { policy, signal, leftMs } = this.#session.options;
    const again = [...this.#failed].filter(([, failure]) => isRetryable(failure, policy));
    if (again.length === 0 || this.#retries >= policy.retries) return false;
    const failures = again.map(([, failure]) => failure);
    const waitMs = backoffMs(failures, this.#retries, policy, leftMs());
    if (waitMs === undefined || !this.#session.mayRepeat()) return false;
    this.#retries += 1;
    await sleep(waitMs, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return false;
    if (await this.#session.isHalted()) {
      this.#stop();
      return false;
    }
    this.#queue = again
      .filter(([, failure]) => (failure.retryAfterMs ?? 0) <= waitMs)
      .map(([candidate]) => ({ candidate, reason: 'retry' }));
    this.#failed.clear();
    return true;
  }

  #giveUp(): Answered<T> {
    const poor = this.#poor;
    if (poor === undefined || this.#session.options.signal.aborted) throw new DispatchError(this.#session.failures);
    this.#poor = undefined;
    return poor;
  }
}
