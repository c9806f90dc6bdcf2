import { Duration } from 'aws-cdk-lib';
import type { AnswerQuality, CircuitBreakerOptions, FallbackPolicyOptions } from '../model/fallback-policy';
import { requirePattern } from './patterns';
import type { BreakerConfig, FailureKind, FallbackConfig, QualityConfig } from './serving-config';
import { requireDuration, requireInteger, requireNumber, requireUnique } from './validation';

const ALL_KINDS: FailureKind[] = [
  'connection',
  'timeout',
  'throttled',
  'overloaded',
  'server',
  'protocol',
  'auth',
  'not-found',
  'low-quality',
];
/** The backend said no: nothing that it had begun is ordered twice. */
const RETRYABLE: FailureKind[] = ['throttled', 'overloaded'];

/** The longest pause before a retry, however many there were. */
const BACKOFF_MAX = Duration.seconds(5);

export function renderFallback(options: FallbackPolicyOptions): FallbackConfig {
  requireInteger('retries', options.retries, 0, 5);
  requireNumber('retryBudget', options.retryBudget, 0, 1);
  requireUnique('failOverOn', options.failOverOn ?? []);
  requireUnique('retryOn', options.retryOn ?? []);
  const backoffBaseMs = within('backoff', options.backoff ?? Duration.millis(200), 1, Duration.seconds(10));
  return {
    failOverOn: options.failOverOn ?? ALL_KINDS,
    retryOn: options.retryOn ?? RETRYABLE,
    retries: options.retries ?? 1,
    retryBudget: options.retryBudget ?? 0.1,
    backoffBaseMs,
    backoffMaxMs: Math.max(backoffBaseMs, BACKOFF_MAX.toMilliseconds()),
    maxRetryAfterMs: within('maxRetryAfter', options.maxRetryAfter ?? Duration.seconds(2), 0, Duration.minutes(1)),
    ...(options.firstTokenTimeout && {
      firstTokenMs: within('firstTokenTimeout', options.firstTokenTimeout, 100, Duration.minutes(15)),
    }),
    ...(options.hedgeAfter && { hedgeAfterMs: within('hedgeAfter', options.hedgeAfter, 10, Duration.minutes(5)) }),
    breaker: renderBreaker(options.circuitBreaker ?? {}),
    quality: renderQuality(options.quality ?? {}),
    resume: options.resumeStreams ?? true,
  };
}

function renderBreaker(options: CircuitBreakerOptions): BreakerConfig {
  requireInteger('minimumCalls', options.minimumCalls, 1);
  requireInteger('consecutiveFailures', options.consecutiveFailures, 1);
  requireNumber('failureRate', options.failureRate, 0.01, 1);
  const openMs = within('openTime', options.openTime ?? Duration.seconds(5), 100, Duration.minutes(10));
  const longest = options.maxOpenTime ?? Duration.millis(Math.max(openMs, 15_000));
  const maxOpenMs = within('maxOpenTime', longest, 100, Duration.hours(1));
  if (maxOpenMs < openMs) {
    throw new Error(`maxOpenTime (${maxOpenMs} ms) must not be shorter than openTime (${openMs} ms)`);
  }
  return {
    windowMs: within('window', options.window ?? Duration.seconds(30), 1000, Duration.minutes(10)),
    minimumCalls: options.minimumCalls ?? 10,
    failureRate: options.failureRate ?? 0.5,
    consecutiveFailures: options.consecutiveFailures ?? 3,
    openMs,
    maxOpenMs,
    ...(options.slowFirstToken && {
      slowFirstTokenMs: within('slowFirstToken', options.slowFirstToken, 10, Duration.minutes(15)),
    }),
    skipMs: within('skipTime', options.skipTime ?? Duration.seconds(1), 0, Duration.minutes(10)),
  };
}

function renderQuality(options: AnswerQuality): QualityConfig {
  requireInteger('holdBackCharacters', options.holdBackCharacters, 0, 1000);
  const patterns = options.patterns ?? [];
  for (const pattern of patterns) requirePattern('patterns', pattern);
  if ((options.holdBackCharacters ?? 0) > 0 && patterns.length === 0) {
    throw new Error('holdBackCharacters needs patterns: without them there is nothing to hold a stream back for');
  }
  return {
    empty: options.empty ?? true,
    contentFilter: options.contentFilter ?? true,
    invalidJson: options.invalidJson ?? true,
    schemaViolation: options.schemaViolation ?? true,
    invalidToolArguments: options.invalidToolArguments ?? true,
    repetition: options.repetition ?? true,
    truncation: options.truncation ?? false,
    patterns,
    holdBackCharacters: options.holdBackCharacters ?? 0,
  };
}

const within = (prop: string, value: Duration, minMs: number, max: Duration): number =>
  requireDuration(prop, value, Duration.millis(minMs), max);
