import { Duration } from 'aws-cdk-lib';
import { CachePolicy } from '../cache/cache-policy';
import type { CacheOptions } from '../cache/response-cache';
import type { CacheBinding } from './cache-binding';
import { requireDuration } from './validation';

export function cacheOptions(options: CacheOptions): Omit<CacheBinding['config'], 'endpoint' | 'auth'> {
  const { timeout = Duration.millis(100), connectTimeout = Duration.millis(500) } = options;
  return {
    timeoutMs: requireDuration('timeout', timeout, Duration.millis(1), Duration.seconds(5)),
    connectTimeoutMs: requireDuration('connectTimeout', connectTimeout, Duration.millis(10), Duration.seconds(10)),
    policy: (options.policy ?? CachePolicy.standard())._render(),
  };
}
