import { Duration } from 'aws-cdk-lib';
import { KvOffloading, type VllmOptions } from '../../../fleet/engine-options';
import type { IServingEngine } from '../../../fleet/serving-engine';
import { requireDuration, requireInteger, requireNumber } from '../../validation';
import type { EngineBinding, EngineContext } from '../engine-binding';
import { Arguments, OWNED_BY_FLEET } from './arguments';
import { cacheVariables, imageOf, kvBytes, modelArgument, requireCommon, revisionOf, weightBytes } from './common';

const IMAGE = 'vllm/vllm-openai:v0.30.0';

/** Eight times the load that a fleet aims at; vLLM's own limit is none. */
const MAX_IN_FLIGHT = 128;

/** vLLM's own default. */
const MEMORY_UTILIZATION = 0.92;

const OWNED = {
  ...OWNED_BY_FLEET,
  '--tensor-parallel-size': 'use tensorParallelSize',
  '-tp': 'use tensorParallelSize',
  '--max-model-len': 'use contextLength',
  '--shutdown-timeout': 'use shutdownTimeout',
  '--scheduling-policy': 'use priorityScheduling',
  '--enable-log-requests': 'prompts would end in the log',
  '--enable-log-outputs': 'answers would end in the log',
  '--uvicorn-log-level': 'the fleet sets it',
} as const;

/** https://docs.vllm.ai/en/stable/cli/serve/ */
export class VllmEngine implements IServingEngine {
  public readonly engineName = 'vllm';
  private readonly shutdownSeconds: number;

  constructor(private readonly options: VllmOptions) {
    requireCommon(options);
    requireNumber('gpuMemoryUtilization', options.gpuMemoryUtilization, 0.1, 0.99);
    requireInteger('maxSequences', options.maxSequences, 1);
    requireInteger('maxQueuedRequests', options.maxQueuedRequests, 1);
    requireInteger('maxQueuedTokens', options.maxQueuedTokens, 1);
    if ((options.maxSequences ?? 0) > (options.maxQueuedRequests ?? Number.POSITIVE_INFINITY)) {
      throw new Error(
        `maxQueuedRequests (${options.maxQueuedRequests}) must not be less than maxSequences (${options.maxSequences}): it counts those that run as well`,
      );
    }
    // ECS kills a container 120 seconds after SIGTERM at the latest.
    this.shutdownSeconds =
      requireDuration(
        'shutdownTimeout',
        options.shutdownTimeout ?? Duration.seconds(100),
        Duration.seconds(0),
        Duration.seconds(110),
      ) / 1000;
    requireJson('speculativeConfig', options.speculativeConfig);
    if (options.kvOffloadingBackend !== undefined && options.kvOffloadingSize === undefined) {
      throw new Error('kvOffloadingBackend needs kvOffloadingSize: how much memory of the instance it may take');
    }
    if (options.lmCacheRemoteUrl !== undefined) {
      if (options.kvOffloadingBackend !== KvOffloading.LMCACHE) {
        throw new Error('lmCacheRemoteUrl needs kvOffloadingBackend: KvOffloading.LMCACHE');
      }
      if (!/^(redis|rediss|lm):\/\//.test(options.lmCacheRemoteUrl)) {
        throw new Error(
          `lmCacheRemoteUrl must begin with redis://, rediss:// or lm://, got "${options.lmCacheRemoteUrl}"`,
        );
      }
    }
    if (/\/\/[^/]*@/.test(options.lmCacheRemoteUrl ?? '')) {
      throw new Error(
        'lmCacheRemoteUrl must not hold a user or password: it stands in the template; let the security group of the store decide who gets in',
      );
    }
    if (options.prefixCaching === false && options.kvOffloadingSize !== undefined) {
      throw new Error(
        'kvOffloadingSize needs prefixCaching: what is moved out of the GPU is found again by its prefix',
      );
    }
    if (options.kvCacheDtype !== undefined && !/^(auto|fp8(_e4m3|_e5m2)?)$/.test(options.kvCacheDtype)) {
      throw new Error(`kvCacheDtype must be auto, fp8, fp8_e4m3 or fp8_e5m2, got "${options.kvCacheDtype}"`);
    }
    new Arguments().extra(options.args, OWNED);
  }

  /** @internal */
  public _bind(context: EngineContext): EngineBinding {
    const { options } = this;
    const streams = context.weights.type === 's3';
    const prefixCaching = options.prefixCaching ?? true;
    const priority = options.priorityScheduling ?? true;
    const gpus = options.tensorParallelSize ?? 1;
    const lmCache = options.kvOffloadingBackend === KvOffloading.LMCACHE;
    const command = new Arguments()
      .value('--host', '0.0.0.0')
      .value('--port', 8000)
      .value('--served-model-name', context.servedName)
      .value('--revision', revisionOf(context))
      .value('--load-format', streams ? 'runai_streamer' : undefined)
      .value('--tensor-parallel-size', gpus)
      .value('--max-model-len', options.contextLength)
      .value('--gpu-memory-utilization', options.gpuMemoryUtilization)
      .value('--quantization', options.quantization)
      .value('--kv-cache-dtype', options.kvCacheDtype)
      .value('--max-num-seqs', options.maxSequences)
      .value('--max-num-queued-reqs', options.maxQueuedRequests ?? MAX_IN_FLIGHT)
      .value('--max-num-queued-tokens', options.maxQueuedTokens)
      .flag('--no-enable-prefix-caching', !prefixCaching)
      .value('--scheduling-policy', priority ? 'priority' : undefined)
      .flag('--enable-auto-tool-choice', options.toolCallParser !== undefined)
      .value('--tool-call-parser', options.toolCallParser)
      .value('--reasoning-parser', options.reasoningParser)
      .value('--speculative-config', options.speculativeConfig)
      .value('--kv-offloading-size', options.kvOffloadingSize?.toGibibytes())
      .value('--kv-offloading-backend', options.kvOffloadingSize && (options.kvOffloadingBackend ?? 'native'))
      .value('--kv-transfer-config', lmCache ? '{"kv_connector":"LMCacheConnectorV1","kv_role":"kv_both"}' : undefined)
      // For usage.prompt_tokens_details.cached_tokens.
      .flag('--enable-prompt-tokens-details', true)
      .flag('--enable-request-id-headers', true)
      // Health checks and scrapes would fill the log.
      .flag('--disable-uvicorn-access-log', true)
      .value('--shutdown-timeout', this.shutdownSeconds)
      .extra(options.args, OWNED)
      .list();
    return {
      ...imageOf(options.image, IMAGE),
      user: options.user,
      // Prepared in the image: https://docs.vllm.ai/en/stable/deployment/docker/#run-as-a-non-root-user
      ...(options.image === undefined && { unprivilegedUser: '2000:0' }),
      command: [context.weights.type === 's3' ? context.weights.uri : modelArgument(context), ...command],
      port: 8000,
      healthPath: '/health',
      healthTimeoutSeconds: 5,
      environment: {
        ...cacheVariables(context),
        VLLM_NO_USAGE_STATS: '1',
        // The server's 5 s would close connections that the load balancer is about to use: sporadic 502s.
        VLLM_HTTP_TIMEOUT_KEEP_ALIVE: String(context.keepAliveSeconds),
        ...(lmCache && {
          LMCACHE_LOCAL_CPU: 'True',
          // Of each process, of which there is one for each GPU.
          LMCACHE_MAX_LOCAL_CPU_SIZE: String((options.kvOffloadingSize?.toGibibytes() ?? 0) / gpus),
          // Keys are hashes: a task finds what another one has stored if Python seeds them alike, not at random.
          PYTHONHASHSEED: '0',
          ...(options.lmCacheRemoteUrl !== undefined && { LMCACHE_REMOTE_URL: options.lmCacheRemoteUrl }),
        }),
        ...options.environment,
      },
      apiKeyVariable: 'VLLM_API_KEY',
      gpus,
      copyWeights: false,
      metrics: {
        path: '/metrics',
        running: 'vllm:num_requests_running',
        waiting: 'vllm:num_requests_waiting',
        kvCacheUsage: 'vllm:kv_cache_usage_perc',
        prefixQueries: 'vllm:prefix_cache_queries_total',
        prefixHits: 'vllm:prefix_cache_hits_total',
      },
      fields: {
        cacheSalt: prefixCaching,
        ...(lmCache && { unsalted: 'LMCache' }),
        ...(priority && { priority: 'lower-first' }),
      },
      shutdownSeconds: this.shutdownSeconds,
      unsupportedParameters: options.toolCallParser === undefined ? ['tools', 'tool_choice'] : [],
      memory: {
        weightBytes: weightBytes(options.quantization),
        kvBytes: kvBytes(options.kvCacheDtype),
        utilization: options.gpuMemoryUtilization ?? MEMORY_UTILIZATION,
        contextLength: options.contextLength,
        needsWholeContext: true,
        offloadingGiB: options.kvOffloadingSize?.toGibibytes(),
      },
    };
  }
}

function requireJson(prop: string, value: string | undefined): void {
  if (value === undefined) return;
  try {
    const parsed: unknown = JSON.parse(value);
    if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)) return;
  } catch {
    // Said below.
  }
  throw new Error(`${prop} must be a JSON object, got "${value}"`);
}
