import { Stack } from 'aws-cdk-lib';
import type { Connections } from 'aws-cdk-lib/aws-ec2';
import type { Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import type { Construct } from 'constructs';
import type { IResponseCache } from '../cache/response-cache';
import { CACHE_DEPLOYMENT_ENV } from './cache-binding';
import type { CacheConfig } from './serving-config';

/** Joins a cache to a gateway's function. Entries are the gateway's own: another one may use the same cache. */
export function bindCache(
  gateway: Construct,
  cache: IResponseCache,
  handler: LambdaFunction,
  connections: Connections | undefined,
): CacheConfig {
  const { config, environment } = cache._bind({ grantee: handler, connections });
  for (const [name, value] of Object.entries(environment)) handler.addEnvironment(name, value);
  handler.addEnvironment(CACHE_DEPLOYMENT_ENV, `${Stack.of(gateway).stackId}/${gateway.node.addr}`);
  return { ...config, deployment: { env: CACHE_DEPLOYMENT_ENV } };
}
