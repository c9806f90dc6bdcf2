import type { FallbackConfig } from '../../lib/private/serving-config.ts';
import type { ModelConfig } from '../contract/config.ts';

/** What a model gets that has no policy of its own; equal to what `FallbackPolicy.standard()` renders (a test holds it so). */
export const STANDARD_POLICY: FallbackConfig = {
  failOverOn: [
    'connection',
    'timeout',
    'throttled',
    'overloaded',
    'server',
    'protocol',
    'auth',
    'not-found',
    'low-quality',
  ],
  retryOn: ['throttled', 'overloaded'],
  retries: 1,
  retryBudget: 0.1,
  backoffBaseMs: 200,
  backoffMaxMs: 5000,
  maxRetryAfterMs: 2000,
  breaker: {
    windowMs: 30_000,
    minimumCalls: 10,
    failureRate: 0.5,
    consecutiveFailures: 3,
    openMs: 5000,
    maxOpenMs: 15_000,
    skipMs: 1000,
  },
  quality: {
    empty: true,
    contentFilter: true,
    invalidJson: true,
    schemaViolation: true,
    invalidToolArguments: true,
    repetition: true,
    truncation: false,
    patterns: [],
    holdBackCharacters: 0,
  },
  resume: true,
};

export const policyOf = (model: ModelConfig): FallbackConfig => model.fallback ?? STANDARD_POLICY;
