import { performance } from 'node:perf_hooks';
import { BackendError, type Frame, type Usage } from '../backends/backend.ts';
import { OutputEstimate } from '../serving/estimate.ts';
import type { BreakerCall } from './breaker.ts';
import type { Candidate } from './candidate.ts';
import { deltaOf } from './frame-delta.ts';

/** Why a backend was asked. */
export type AttemptReason = 'first' | 'failover' | 'retry' | 'hedge' | 'resume';

/**
 * One call to one backend: its abort signal, its deadline, what became of it, and what it has to be paid for. A request
 * has one attempt when all goes well.
 */
export class Attempt {
  readonly candidate: Candidate;
  readonly reason: AttemptReason;
  readonly breakerCall: BreakerCall;
  readonly #start = performance.now();
  readonly #controller = new AbortController();
  readonly #request: AbortSignal;
  readonly #onRequestAbort = (): void => this.#controller.abort(this.#request.reason);
  #timer: NodeJS.Timeout | undefined;
  #missed: string | undefined;
  #isAbandoned = false;
  /** The backend has taken the request: what it generated from then on may be billed, whoever reads it. */
  accepted = false;
  failure: BackendError | undefined;
  /** Its failure opened its backend's breaker. */
  openedBreaker = false;
  firstTokenMs: number | undefined;
  usage: Usage | undefined;
  finishReason: string | undefined;
  /** Usage that came in an event of its own, which is held back. */
  usageFrame: Frame | undefined;
  /** An output event, for the id and the model's name of events of our making. */
  sample: Frame | undefined;
  /** Of what no usage has told yet. */
  output = new OutputEstimate();

  constructor(candidate: Candidate, reason: AttemptReason, request: AbortSignal, breakerCall: BreakerCall = {}) {
    this.candidate = candidate;
    this.reason = reason;
    this.breakerCall = breakerCall;
    this.#request = request;
    if (request.aborted) this.#onRequestAbort();
    else request.addEventListener('abort', this.#onRequestAbort, { once: true });
  }

  get backend(): string {
    return this.candidate.config.id;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get elapsedMs(): number {
    return performance.now() - this.#start;
  }

  get isAbandoned(): boolean {
    return this.#isAbandoned;
  }

  /** Gives the call so long; its failure is then a time-out of the backend's. Replaces an earlier deadline. */
  expect(what: string, ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#missed = `${what} took longer than ${Math.round(ms)} ms`;
      this.#controller.abort();
    }, ms);
  }

  /** What was expected has come. */
  arrived(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Another backend was faster. */
  abandon(): void {
    this.#isAbandoned = true;
    this.#controller.abort();
    this.end();
  }

  /** Nothing more will come of it; lets go of the request. */
  end(): void {
    this.arrived();
    this.#request.removeEventListener('abort', this.#onRequestAbort);
  }

  /** Whatever a backend throws counts as its failure: a fault in one translator must not keep the next from answering. */
  failed(error: unknown): BackendError {
    this.failure = this.#failureOf(error);
    // A bad answer may yet be handed out, when there is no better one.
    if (this.failure.kind === 'low-quality') this.arrived();
    else this.end();
    return this.failure;
  }

  #failureOf(error: unknown): BackendError {
    if (this.#missed !== undefined && !this.#request.aborted) {
      return new BackendError(this.backend, 'timeout', this.#missed, { cause: error });
    }
    if (error instanceof BackendError) return error;
    return new BackendError(this.backend, 'server', 'unexpected failure in the backend module', { cause: error });
  }

  /** Keeps what metering needs; false for a frame that isn't the client's. */
  note(frame: Frame): boolean {
    const isTold = frame.usage !== undefined;
    if (frame.usage !== undefined) {
      this.usage = frame.usage;
      this.output = new OutputEstimate();
    }
    if (frame.finishReason !== undefined) this.finishReason = frame.finishReason;
    if (frame.usageOnly) {
      this.usageFrame = frame;
      return false;
    }
    if (frame.output) {
      this.sample ??= frame;
      // Behind a usage there is seldom more than the finish reason, which is no token.
      if (this.usage === undefined || (!isTold && !deltaOf(frame).isEmpty)) this.output.add(frame.bytes.length);
    }
    return true;
  }
}
