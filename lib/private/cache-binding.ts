import type { Connections } from 'aws-cdk-lib/aws-ec2';
import type { IGrantable } from 'aws-cdk-lib/aws-iam';
import type { CacheConfig } from './serving-config';

/** What a cache is given when a gateway takes it up. */
export interface CacheContext {
  /** The function that connects to it. */
  readonly grantee: IGrantable;
  /** Where the function is in its VPC; absent when it is in none. */
  readonly connections?: Connections;
}

export interface CacheBinding {
  /** Without what is the gateway's own: whose entries they are. */
  readonly config: Omit<CacheConfig, 'deployment'>;
  readonly environment: Readonly<Record<string, string>>;
}

export const CACHE_ENDPOINT_ENV = 'LLM_CACHE_ENDPOINT';
export const CACHE_DEPLOYMENT_ENV = 'LLM_CACHE_DEPLOYMENT';
export const CACHE_SECRET_ENV = 'LLM_CACHE_SECRET_ARN';
