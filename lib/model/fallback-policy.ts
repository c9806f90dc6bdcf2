import type { Duration } from 'aws-cdk-lib';
import { renderFallback } from '../private/fallback';
import type { FallbackConfig } from '../private/serving-config';

/** Ways for a backend to fail. What the client did wrong is none: it gets the error at once, and no other backend is asked. */
export enum FailureKind {
  /** Refused, reset, DNS, TLS. */
  CONNECTION = 'connection',
  /** A deadline passed, or the backend said so itself (408, 504). */
  TIMEOUT = 'timeout',
  /** 429. */
  THROTTLED = 'throttled',
  /** 503, 529, a model that isn't ready. */
  OVERLOADED = 'overloaded',
  /** Another 5xx. */
  SERVER = 'server',
  /** An answer that isn't what its protocol says. */
  PROTOCOL = 'protocol',
  /** 401, 403: a credential of the deployment's, not the client's. The metric `CredentialErrors` counts it. */
  AUTH = 'auth',
  /** The backend doesn't know the model. The metric `CredentialErrors` counts it. */
  NOT_FOUND = 'not-found',
  /** An answer that `AnswerQuality` doesn't take. */
  LOW_QUALITY = 'low-quality',
}

/** When a backend isn't asked for a while. Each process of the gateway decides for itself and, with a cache, tells the others. */
export interface CircuitBreakerOptions {
  /**
   * How long an outcome counts, 1 second to 10 minutes.
   *
   * @default Duration.seconds(30)
   */
  readonly window?: Duration;

  /**
   * How many calls there must be in the window before their share of failures counts, at least 1.
   *
   * @default 10
   */
  readonly minimumCalls?: number;

  /**
   * The share of failures, above 0 and up to 1, at which the backend isn't asked any more.
   *
   * @default 0.5
   */
  readonly failureRate?: number;

  /**
   * How many failures in a row do the same, a stream that breaks off being one; a function that serves one request at a time never sees a share.
   *
   * @default 3
   */
  readonly consecutiveFailures?: number;

  /**
   * How long it isn't asked before one request may try; twice as long each time that fails. 100 milliseconds to 10 minutes.
   *
   * @default Duration.seconds(5)
   */
  readonly openTime?: Duration;

  /**
   * The longest such time, up to 1 hour: also how long a backend that is back may go unnoticed where there are few
   * requests. After `openTime` one in a hundred requests may try whatever this says.
   *
   * @default - 15 seconds, or `openTime` where that is longer
   */
  readonly maxOpenTime?: Duration;

  /**
   * A first token later than this counts as a failure, although the answer is used.
   *
   * @default - slowness alone opens nothing
   */
  readonly slowFirstToken?: Duration;

  /**
   * How long a backend is skipped that is full (503) or refuses connections; its `Retry-After` where it sends one.
   *
   * @default Duration.seconds(1)
   */
  readonly skipTime?: Duration;
}

/**
 * Which answers are too bad to hand out while another backend may do better. Is none better, the first one is handed out.
 * Whole answers are judged by all of this; streams, whose beginning is out before the end is known, by `empty`,
 * `contentFilter`, and `patterns` with `holdBackCharacters`.
 */
export interface AnswerQuality {
  /**
   * No text and no tool call.
   *
   * @default true
   */
  readonly empty?: boolean;

  /**
   * The provider's content filter stopped it. Never applied to a Bedrock backend with a guardrail of yours: another
   * backend would be a way around it.
   *
   * @default true
   */
  readonly contentFilter?: boolean;

  /**
   * No valid JSON where the request has `response_format` `json_object` or `json_schema`.
   *
   * @default true
   */
  readonly invalidJson?: boolean;

  /**
   * JSON that breaks the schema of the request's `json_schema`, as far as that is certain: the schema is the client's, so
   * that none of its regular expressions is run (`pattern`) and no reference is followed to elsewhere.
   *
   * @default true
   */
  readonly schemaViolation?: boolean;

  /**
   * A tool call whose arguments are no valid JSON.
   *
   * @default true
   */
  readonly invalidToolArguments?: boolean;

  /**
   * It ends in one passage over and over.
   *
   * @default true
   */
  readonly repetition?: boolean;

  /**
   * It was cut off at a limit of tokens that the client didn't set.
   *
   * @default false
   */
  readonly truncation?: boolean;

  /**
   * Regular expressions (JavaScript's, case-insensitive, Unicode) for texts that are no answer: `^I can't help with`.
   * The first 2,000 characters are searched.
   *
   * @default - none
   */
  readonly patterns?: string[];

  /**
   * How many characters of a stream are held back to look for `patterns`, at most 1,000. The first token is later by
   * the time that these take.
   *
   * @default 0 - streams aren't searched
   */
  readonly holdBackCharacters?: number;
}

/** What a fallback policy says; what it doesn't say is as in the standard one. */
export interface FallbackPolicyOptions {
  /**
   * Failures after which the next backend is asked. After others the client gets an error.
   *
   * @default - all kinds
   */
  readonly failOverOn?: FailureKind[];

  /**
   * Failures after which a backend is asked once more, when no other is left to ask.
   *
   * @default - THROTTLED, OVERLOADED: the backend said no, so that no work is ordered twice
   */
  readonly retryOn?: FailureKind[];

  /**
   * How often that happens in one request, 0 to 5.
   *
   * @default 1
   */
  readonly retries?: number;

  /**
   * Retries and hedges of one process as a share of its requests, 0 to 1: they can't multiply an outage. It has two more
   * at its beginning, and saves up no more than that.
   *
   * @default 0.1
   */
  readonly retryBudget?: number;

  /**
   * A retry waits for a random time up to this, doubled for each further one. 1 millisecond to 10 seconds.
   *
   * @default Duration.millis(200)
   */
  readonly backoff?: Duration;

  /**
   * The longest `Retry-After` of a backend that is waited for, up to 1 minute. Clients honor it, too.
   *
   * @default Duration.seconds(2)
   */
  readonly maxRetryAfter?: Duration;

  /**
   * How long a stream's first token may take while there is another backend to ask; 100 milliseconds to 15 minutes.
   *
   * @default - each backend's `firstTokenTimeout`
   */
  readonly firstTokenTimeout?: Duration;

  /**
   * Starts the next backend beside the first one when there is no first token after this time, or after the 95th
   * percentile of the model's recent ones, whichever is longer; of a whole answer, which has no first token, when it
   * isn't there after the time of recent whole ones. The first to answer wins; the other one is stopped, and
   * what it has read and written is paid and metered. 10 milliseconds to 5 minutes.
   *
   * @default - no hedging
   */
  readonly hedgeAfter?: Duration;

  /**
   * When a backend isn't asked for a while.
   *
   * @default - as `CircuitBreakerOptions` says
   */
  readonly circuitBreaker?: CircuitBreakerOptions;

  /**
   * Which answers are too bad to hand out.
   *
   * @default - as `AnswerQuality` says
   */
  readonly quality?: AnswerQuality;

  /**
   * Whether a stream that breaks off is resumed on another backend. Never inside a tool call or a refusal, with several
   * choices, log probabilities, JSON or another grammar.
   *
   * @default true
   */
  readonly resumeStreams?: boolean;
}

/** What is done when a backend of a model fails, is late, or answers badly. */
export class FallbackPolicy {
  /** The policy of a model that has none of its own: fails over on everything that isn't the client's fault. */
  public static standard(): FallbackPolicy {
    return new FallbackPolicy({});
  }

  /** A policy of your own. Errors name the option, its value and what it may be. */
  public static of(options: FallbackPolicyOptions): FallbackPolicy {
    return new FallbackPolicy(options);
  }

  private readonly config: FallbackConfig;

  private constructor(options: FallbackPolicyOptions) {
    this.config = renderFallback(options);
  }

  /** @internal */
  public _render(): FallbackConfig {
    return this.config;
  }
}
