import type { ContainerImage } from 'aws-cdk-lib/aws-ecs';
import type { IRole } from 'aws-cdk-lib/aws-iam';
import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager';
import type { ModelSize } from '../../fleet/model-weights';

/** Where an engine finds its weights. */
export type WeightsSource =
  | { readonly type: 'hugging-face'; readonly repository: string; readonly revision?: string }
  | { readonly type: 's3'; readonly uri: string };

export interface WeightsBinding {
  readonly source: WeightsSource;
  /** What the gateway calls the model, when it is told nothing else. */
  readonly modelName: string;
  /** `HF_TOKEN`. */
  readonly token?: ISecret;
  /** Of the secret, when it is JSON. */
  readonly tokenField?: string;
  readonly size?: ModelSize;
  grantRead(grantee: IRole): void;
}

export interface EngineContext {
  readonly weights: WeightsSource;
  /** What requests call the model. */
  readonly servedName: string;
  /** Folder in the container for what is downloaded; kept on the instance. */
  readonly cacheFolder: string;
  /** Longest time that the load balancer keeps a connection open without traffic: the engine must keep it longer. */
  readonly keepAliveSeconds: number;
}

/** Names of the engine's own Prometheus metrics. */
export interface EngineMetrics {
  readonly path: string;
  /** Gauges. */
  readonly running: string;
  readonly waiting: string;
  /** Gauge, 0–1. */
  readonly kvCacheUsage?: string;
  /** Counters. */
  readonly prefixQueries?: string;
  readonly prefixHits?: string;
}

/** What an engine takes of the gateway's own request fields. */
export interface EngineRequestFields {
  /** `cache_salt`: tenants don't share the prefix cache. */
  readonly cacheSalt: boolean;
  /** What keeps KV cache beside the engine without heeding `cache_salt`. */
  readonly unsalted?: string;
  readonly priority?: 'lower-first' | 'higher-first';
}

/** How a task runs an engine. */
export interface EngineBinding {
  readonly image: ContainerImage;
  /** The image is on the internet, not in a registry of the account. */
  readonly publicImage: boolean;
  /** The user that the engine's option names. */
  readonly user?: string;
  /** A user of the image that isn't root, and writes to nothing but its home and what group 0 may write. */
  readonly unprivilegedUser?: string;
  readonly entryPoint?: string[];
  readonly command: string[];
  readonly port: number;
  readonly healthPath: string;
  /** A health check that generates a token takes its time under load. */
  readonly healthTimeoutSeconds: number;
  readonly environment: Readonly<Record<string, string>>;
  /** Variable that holds the API key; the engine has none when absent. */
  readonly apiKeyVariable?: string;
  readonly gpus: number;
  /** Weights of S3 are copied to the cache folder before the engine starts: it can't stream them. */
  readonly copyWeights: boolean;
  readonly metrics?: EngineMetrics;
  readonly fields: EngineRequestFields;
  /** From SIGTERM on, what runs may finish within this time; 0 when the engine has no such setting. */
  readonly shutdownSeconds: number;
  readonly unsupportedParameters: readonly string[];
  /** For the check whether it fits. */
  readonly memory: EngineMemory;
}

export interface EngineMemory {
  /** Bytes of one weight. */
  readonly weightBytes: number;
  /** Bytes of one number in the KV cache. */
  readonly kvBytes: number;
  readonly utilization: number;
  readonly contextLength?: number;
  /** It doesn't start unless a request of the longest context fits. */
  readonly needsWholeContext?: boolean;
  /** Of the instance's memory, for the KV cache that doesn't fit on the GPU. */
  readonly offloadingGiB?: number;
}
