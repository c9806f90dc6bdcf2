import { Duration } from 'aws-cdk-lib';
import { CachePolicy } from '../cache/cache-policy';
import type { CacheOptions } from '../cache/response-cache';
import type { CacheBinding, CacheContext } from './cache-binding';
import { requireDuration } from './validation';

/** What of a cache's configuration is the same whatever it is reached by. */
export type CacheSettings = Omit<CacheBinding['config'], 'endpoint' | 'auth'>;

/** @param searches whether it can find similar requests */
export function cacheOptions(options: CacheOptions, searches: boolean): CacheSettings {
  const { timeout = Duration.millis(100), connectTimeout = Duration.millis(500) } = options;
  const policy = (options.policy ?? CachePolicy.standard())._render();
  if (policy.semantic !== undefined && !searches) {
    throw new Error(`semantic in the cache's policy ${SEARCH_REMEDY}`);
  }
  return {
    timeoutMs: requireDuration('timeout', timeout, Duration.millis(1), Duration.seconds(5)),
    connectTimeoutMs: requireDuration('connectTimeout', connectTimeout, Duration.millis(10), Duration.seconds(10)),
    policy,
  };
}

export const SEARCH_REMEDY =
  'needs a cache that can search vectors, which a serverless one can not: pass a NodeResponseCache, or ResponseCache.fromEndpoint with vectorSearch: true';

/** Lets a function do what the cache's own policy needs. @returns variables of the function */
export const bindCachePolicy = (options: CacheOptions, context: CacheContext): Readonly<Record<string, string>> =>
  options.policy?._bind(context) ?? {};
