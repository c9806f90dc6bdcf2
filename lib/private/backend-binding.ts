import type { Connections } from 'aws-cdk-lib/aws-ec2';
import type { IGrantable } from 'aws-cdk-lib/aws-iam';
import type { Construct } from 'constructs';
import type { BackendConfig } from './serving-config';

/** What a backend is given when a gateway takes it up: the right to be called goes to `grantee`. */
export interface BackendContext {
  /** The gateway. */
  readonly scope: Construct;
  /** The function that calls the backend. */
  readonly grantee: IGrantable;
  /** Where the function is in its VPC; absent when it is in none. */
  readonly connections?: Connections;
}

export interface BackendBinding {
  readonly config: BackendConfig;
  /** Environment variables of the function: what is known only at deploy. */
  readonly environment: Readonly<Record<string, string>>;
}

/** The name of an environment variable of a backend. Ids hold no `_`, so that two ids never share a name. */
export function backendVariable(backendId: string, suffix: string): string {
  return `LLM_${backendId.toUpperCase().replaceAll('-', '_')}_${suffix}`;
}
