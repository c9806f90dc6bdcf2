import { performance } from 'node:perf_hooks';
import type { FallbackConfig } from '../../lib/private/serving-config.ts';
import type { BackendCall, BackendError } from '../backends/backend.ts';
import type { ChatCompletionRequest } from '../contract/openai.ts';
import type { ApiError } from '../serving/errors.ts';
import { Attempt, type AttemptReason } from './attempt.ts';
import { type Candidate, isStandIn } from './candidate.ts';
import type { Health } from './health.ts';
import type { RecentLatency } from './latency.ts';
import type { Plan } from './plan.ts';

/** So long what admission has found out needn't be asked again. */
const ADMITTED_MS = 1000;

export interface SessionOptions {
  readonly requestId: string;
  readonly attribution: Readonly<Record<string, string>>;
  /** Of the tier, for fleets that serve some requests before others. */
  readonly priority?: number;
  /** The client's own id of the conversation, for backends that keep one in one place. */
  readonly session?: string;
  readonly model: string;
  readonly request: ChatCompletionRequest;
  readonly plan: Plan;
  readonly policy: FallbackConfig;
  readonly health: Health;
  /** Aborted when the request's time is up or nobody waits any more. */
  readonly signal: AbortSignal;
  /** Milliseconds until then. */
  leftMs(): number;
  /** Why no further backend may be asked: since it was admitted, the request's consumer or model has been paused. */
  halted?(): Promise<ApiError | undefined>;
  /** The request as this backend gets it. */
  requestFor(candidate: Candidate): ChatCompletionRequest;
}

/** One request's dealings with its backends: every attempt is made, and remembered, here. */
export class Session {
  readonly options: SessionOptions;
  readonly attempts: Attempt[] = [];
  readonly #begun = performance.now();
  /** Why no further backend was asked. */
  haltedBy: ApiError | undefined;

  constructor(options: SessionOptions) {
    this.options = options;
    options.health.budgetOf(options.model).deposit(options.policy.retryBudget);
  }

  begin(candidate: Candidate, reason: AttemptReason): Attempt {
    const call = this.options.health.begin(candidate.config.id);
    const attempt = new Attempt(candidate, reason, this.options.signal, call);
    this.attempts.push(attempt);
    return attempt;
  }

  callOf(attempt: Attempt, request?: ChatCompletionRequest): BackendCall {
    return {
      requestId: this.options.requestId,
      request: request ?? this.options.requestFor(attempt.candidate),
      attribution: this.options.attribution,
      ...(this.options.priority === undefined ? {} : { priority: this.options.priority }),
      ...(this.options.session === undefined ? {} : { session: this.options.session }),
      signal: attempt.signal,
    };
  }

  succeeded(attempt: Attempt): void {
    const { health, policy } = this.options;
    this.latency.add(attempt.firstTokenMs ?? attempt.elapsedMs);
    const { backend, breakerCall, firstTokenMs = 0 } = attempt;
    attempt.openedBreaker = health.succeeded(backend, breakerCall, firstTokenMs, policy);
  }

  failed(attempt: Attempt, error: unknown): BackendError {
    const failure = attempt.failed(error);
    const { health, policy } = this.options;
    attempt.openedBreaker = health.failed(attempt.backend, attempt.breakerCall, failure, policy);
    return failure;
  }

  abandon(attempt: Attempt): void {
    attempt.abandon();
    this.options.health.abandoned(attempt.backend, attempt.breakerCall);
  }

  /** How long answers to such requests took of late: up to the first token, or whole ones, which have none. */
  get latency(): RecentLatency {
    const { health, model, request } = this.options;
    return health.latencyOf(request.stream === true ? model : `${model} (whole)`);
  }

  /** Asked right before a backend is: since the order was made, it may have failed others, or be tried by another one. */
  admits({ config }: Candidate): boolean {
    return isStandIn(config) || this.options.health.admits(config.id);
  }

  /**
   * Whether no further backend may be asked. What has begun goes on, and a first one may be asked right after admission,
   * though not by a request that has followed another one meanwhile.
   */
  async isHalted(): Promise<boolean> {
    const isLate = performance.now() - this.#begun > ADMITTED_MS;
    if (this.attempts.length > 0 || isLate) this.haltedBy ??= await this.options.halted?.();
    return this.haltedBy !== undefined;
  }

  /** Retries and hedges beyond a share of the requests aren't made. */
  mayRepeat(): boolean {
    return this.options.health.budgetOf(this.options.model).take();
  }

  get failures(): readonly BackendError[] {
    return this.attempts.flatMap(({ failure }) => failure ?? []);
  }

  /** How many backends the request passed over, failed or known to be down, before `backend` answered it. */
  fallbacksBefore(backend: string): number {
    const passed = new Set(this.attempts.filter(({ failure }) => failure !== undefined).map((each) => each.backend));
    for (const { config } of this.options.plan.skipped) passed.add(config.id);
    passed.delete(backend);
    return passed.size;
  }
}
