import type { Connections } from 'aws-cdk-lib/aws-ec2';
import type { Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import type { FunctionNetwork } from './compute-function-props';
import type { HandlerFunctionProps } from './handler-function';
import type { BackendCaller } from './model-registry';
import type { ServingApi } from './serving-api';
import type { ServingConfig } from './serving-config';

/** What a gateway gives to what stands beside it: functions with routes of their own, or that take the same walk. */
export interface GatewayExtension {
  /** Logs, keys and tracing as the gateway's own functions have them. */
  readonly functionProps: Pick<HandlerFunctionProps, 'tracing' | 'logRetention' | 'logRemovalPolicy' | 'encryptionKey'>;
  /** Where a function has to be to reach the same backends. */
  readonly network: FunctionNetwork;
  /** What the gateway's own function reads. To be asked at synthesis. */
  config(): ServingConfig;
  /** Value of `CONSUMERS_ENV`. */
  readonly consumers: string;
  /** Lets a function use the ledger, where there is one. */
  bindLedger(fn: LambdaFunction): void;
  /** Lets a function use the cache, where there is one; `connections` where it is in the VPC. */
  bindCache(fn: LambdaFunction, connections: Connections | undefined): void;
  readonly addRoutes: ServingApi['addRoutes'];
  /** Lets a function call the backends of all models. */
  addCaller(caller: BackendCaller): void;
}
