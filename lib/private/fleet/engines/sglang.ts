import type { SglangOptions } from '../../../fleet/engine-options';
import type { IServingEngine } from '../../../fleet/serving-engine';
import { requireInteger, requireNumber } from '../../validation';
import type { EngineBinding, EngineContext } from '../engine-binding';
import { Arguments, OWNED_BY_FLEET } from './arguments';
import { cacheVariables, imageOf, kvBytes, modelArgument, requireCommon, revisionOf, weightBytes } from './common';

const IMAGE = 'lmsysorg/sglang:v0.5.18';

/** The variable that the fleet puts the key into. SGLang takes it as a flag only. */
const KEY = 'SGLANG_FLEET_API_KEY';

/**
 * The key stays out of the template: the shell puts it behind the flags. And out of the log, to which SGLang prints its
 * arguments (https://github.com/sgl-project/sglang/issues/37457): its output passes `sed`, while it replaces the shell
 * and gets ECS's signals.
 */
const HIDE_KEY = `exec > >(exec sed -u "s/$${KEY}/***/g") 2>&1; `;

const OWNED = {
  ...OWNED_BY_FLEET,
  '--tp': 'use tensorParallelSize',
  '--tp-size': 'use tensorParallelSize',
  '--tensor-parallel-size': 'use tensorParallelSize',
  '--context-length': 'use contextLength',
  '--log-requests': 'prompts would end in the log',
} as const;

/** https://docs.sglang.ai/advanced_features/server_arguments.html */
export class SglangEngine implements IServingEngine {
  public readonly engineName = 'sglang';

  constructor(private readonly options: SglangOptions) {
    requireCommon(options);
    requireNumber('memoryFraction', options.memoryFraction, 0.1, 0.99);
    requireInteger('maxSequences', options.maxSequences, 1);
    requireInteger('maxQueuedRequests', options.maxQueuedRequests, 1);
    if (options.kvCacheDtype !== undefined && !/^(auto|fp8_e4m3|fp8_e5m2)$/.test(options.kvCacheDtype)) {
      throw new Error(`kvCacheDtype must be auto, fp8_e4m3 or fp8_e5m2, got "${options.kvCacheDtype}"`);
    }
    new Arguments().extra(options.args, OWNED);
  }

  /** @internal */
  public _bind(context: EngineContext): EngineBinding {
    const { options } = this;
    const priority = options.priorityScheduling ?? true;
    const command = new Arguments()
      .value('--model-path', modelArgument(context))
      .value('--served-model-name', context.servedName)
      .value('--revision', revisionOf(context))
      .value('--host', '0.0.0.0')
      .value('--port', 30000)
      .value('--tp', options.tensorParallelSize ?? 1)
      .value('--context-length', options.contextLength)
      .value('--mem-fraction-static', options.memoryFraction)
      .value('--quantization', options.quantization)
      .value('--kv-cache-dtype', options.kvCacheDtype)
      .value('--max-running-requests', options.maxSequences)
      .value('--max-queued-requests', options.maxQueuedRequests ?? 64)
      .flag('--enable-priority-scheduling', priority)
      .value('--tool-call-parser', options.toolCallParser)
      .value('--reasoning-parser', options.reasoningParser)
      .flag('--enable-metrics', true)
      .flag('--enable-cache-report', true)
      .value('--log-level-http', 'warning')
      .extra(options.args, OWNED)
      .list();
    return {
      ...imageOf(options.image, IMAGE),
      user: options.user,
      entryPoint: ['/bin/bash', '-c', `${HIDE_KEY}exec "$@" --api-key "$${KEY}"`, 'sglang'],
      command: ['python3', '-m', 'sglang.launch_server', ...command],
      port: 30000,
      healthPath: '/health',
      // It generates a token, behind long prefills.
      healthTimeoutSeconds: 20,
      environment: {
        ...cacheVariables(context),
        SGLANG_TIMEOUT_KEEP_ALIVE: String(context.keepAliveSeconds),
        ...options.environment,
      },
      apiKeyVariable: KEY,
      gpus: options.tensorParallelSize ?? 1,
      copyWeights: context.weights.type === 's3',
      metrics: {
        path: '/metrics',
        running: 'sglang:num_running_reqs',
        waiting: 'sglang:num_queue_reqs',
        kvCacheUsage: 'sglang:token_usage',
      },
      // Since https://github.com/sgl-project/sglang/pull/23300 it keeps them apart in truth.
      fields: { cacheSalt: true, ...(priority && { priority: 'higher-first' }) },
      shutdownSeconds: 0,
      unsupportedParameters: options.toolCallParser === undefined ? ['tools', 'tool_choice'] : [],
      memory: {
        weightBytes: weightBytes(options.quantization),
        kvBytes: kvBytes(options.kvCacheDtype),
        utilization: options.memoryFraction ?? 0.88,
        contextLength: options.contextLength,
      },
    };
  }
}
