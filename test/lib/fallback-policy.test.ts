import { Duration } from 'aws-cdk-lib';
import { expect, test } from 'vitest';
import { Backend, FailureKind, FallbackPolicy, type FallbackPolicyOptions, Model } from '../../lib';
import { synthesize } from './fixture.ts';

test('every option reaches the handler', () => {
  const fallback = FallbackPolicy.of({
    failOverOn: [FailureKind.CONNECTION, FailureKind.TIMEOUT],
    retryOn: [FailureKind.OVERLOADED],
    retries: 2,
    retryBudget: 0.2,
    backoff: Duration.millis(50),
    maxRetryAfter: Duration.seconds(3),
    firstTokenTimeout: Duration.seconds(8),
    hedgeAfter: Duration.seconds(2),
    circuitBreaker: {
      window: Duration.seconds(60),
      minimumCalls: 4,
      failureRate: 0.25,
      consecutiveFailures: 2,
      openTime: Duration.seconds(1),
      maxOpenTime: Duration.seconds(9),
      slowFirstToken: Duration.seconds(5),
      skipTime: Duration.seconds(3),
    },
    quality: {
      empty: false,
      contentFilter: false,
      invalidJson: false,
      schemaViolation: false,
      invalidToolArguments: false,
      repetition: false,
      truncation: true,
      patterns: ['^sorry'],
      holdBackCharacters: 40,
    },
    resumeStreams: false,
  });
  const { config } = synthesize({}, (stack) => ({
    models: [new Model(stack, 'Chat', { backends: [Backend.staticReply('x')], fallback })],
  }));
  expect(config.models[0]?.fallback).toEqual({
    failOverOn: ['connection', 'timeout'],
    retryOn: ['overloaded'],
    retries: 2,
    retryBudget: 0.2,
    backoffBaseMs: 50,
    backoffMaxMs: 5000,
    maxRetryAfterMs: 3000,
    firstTokenMs: 8000,
    hedgeAfterMs: 2000,
    breaker: {
      windowMs: 60_000,
      minimumCalls: 4,
      failureRate: 0.25,
      consecutiveFailures: 2,
      openMs: 1000,
      maxOpenMs: 9000,
      slowFirstTokenMs: 5000,
      skipMs: 3000,
    },
    quality: {
      empty: false,
      contentFilter: false,
      invalidJson: false,
      schemaViolation: false,
      invalidToolArguments: false,
      repetition: false,
      truncation: true,
      patterns: ['^sorry'],
      holdBackCharacters: 40,
    },
    resume: false,
  });
});

test.each<[FallbackPolicyOptions, RegExp]>([
  [{ retries: 6 }, /^retries must be a whole number between 0 and 5, got 6/],
  [{ retryBudget: 2 }, /^retryBudget must be a number between 0 and 1, got 2/],
  [{ failOverOn: [FailureKind.AUTH, FailureKind.AUTH] }, /^failOverOn must not repeat/],
  [{ backoff: Duration.minutes(1) }, /^backoff must be between/],
  [{ maxRetryAfter: Duration.minutes(2) }, /^maxRetryAfter must be between/],
  [{ firstTokenTimeout: Duration.millis(1) }, /^firstTokenTimeout must be between/],
  [{ hedgeAfter: Duration.millis(1) }, /^hedgeAfter must be between/],
  [{ circuitBreaker: { failureRate: 0 } }, /^failureRate must be a number between/],
  [{ circuitBreaker: { minimumCalls: 0 } }, /^minimumCalls must be/],
  [{ circuitBreaker: { consecutiveFailures: 0.5 } }, /^consecutiveFailures must be/],
  [{ circuitBreaker: { window: Duration.millis(5) } }, /^window must be between/],
  [
    { circuitBreaker: { openTime: Duration.seconds(9), maxOpenTime: Duration.seconds(8) } },
    /^maxOpenTime \(8000 ms\) must not be shorter than openTime \(9000 ms\)/,
  ],
  [{ quality: { patterns: ['('] } }, /^patterns has "\(", which is no regular expression/],
  [{ quality: { patterns: ['x*'] } }, /^patterns has "x\*", which matches every text/],
  [{ quality: { holdBackCharacters: 1001, patterns: ['x'] } }, /^holdBackCharacters must be/],
  [{ quality: { holdBackCharacters: 10 } }, /^holdBackCharacters needs patterns/],
])('refuses %j', (options, message) => {
  expect(() => FallbackPolicy.of(options)).toThrow(message);
});
