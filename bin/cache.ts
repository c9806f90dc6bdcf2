import { Size } from 'aws-cdk-lib';
import { CachePolicy, type CachePolicyOptions, CacheScope, type StackCacheProps } from '../lib/index.js';
import { seconds } from './backends.ts';
import { at, boolean, type Decode, type Fields, fields, number, oneOf, text } from './decode.ts';

const policyFields = {
  ttlSeconds: number,
  scope: oneOf(Object.values(CacheScope)),
  maxTemperature: number,
  requireSeed: boolean,
  tools: boolean,
  maxRequestKiB: number,
  maxAnswerKiB: number,
  replayIntervalSeconds: number,
  version: text,
};
const policy = fields(policyFields);
const settings = fields({
  ...policyFields,
  maxStorageGb: number,
  maxEcpuPerSecond: number,
  timeoutSeconds: number,
  connectTimeoutSeconds: number,
});

/** `cache`: `true`, or which answers are kept and how much the cache may hold. `false` is none. */
export const cache: Decode<StackCacheProps | undefined> = (value, path) => {
  if (value === false || value === 'false') return undefined;
  if (value === true || value === 'true') return {};
  const { maxStorageGb, maxEcpuPerSecond, timeoutSeconds, connectTimeoutSeconds, ...rest } = settings(value, path);
  return {
    maxStorageGb,
    maxEcpuPerSecond,
    timeout: seconds(timeoutSeconds),
    connectTimeout: seconds(connectTimeoutSeconds),
    policy: at(path, () => CachePolicy.standard(optionsOf(rest))),
  };
};

/** `models[…].cache`: `false`, or a policy of the model's own. */
export const cachePolicy: Decode<CachePolicy> = (value, path) => {
  if (value === false) return CachePolicy.off();
  return at(path, () => CachePolicy.standard(optionsOf(policy(value, path))));
};

function optionsOf(given: Fields<typeof policyFields>): CachePolicyOptions {
  const { ttlSeconds, replayIntervalSeconds, maxRequestKiB, maxAnswerKiB, ...rest } = given;
  return {
    ...rest,
    ttl: seconds(ttlSeconds),
    replayInterval: seconds(replayIntervalSeconds),
    maxRequestSize: kibibytes(maxRequestKiB),
    maxAnswerSize: kibibytes(maxAnswerKiB),
  };
}

const kibibytes = (value: number | undefined): Size | undefined =>
  value === undefined ? undefined : Size.kibibytes(value);
