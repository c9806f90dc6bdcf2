import type { TgiOptions } from '../../../fleet/engine-options';
import type { IServingEngine } from '../../../fleet/serving-engine';
import { requireInteger } from '../../validation';
import type { EngineBinding, EngineContext } from '../engine-binding';
import { Arguments, OWNED_BY_FLEET } from './arguments';
import { cacheVariables, imageOf, modelArgument, requireCommon, revisionOf, weightBytes } from './common';

const IMAGE = 'ghcr.io/huggingface/text-generation-inference:3.3.5';

const OWNED = {
  ...OWNED_BY_FLEET,
  '--num-shard': 'use tensorParallelSize',
  '--max-total-tokens': 'use contextLength',
  '--max-concurrent-requests': 'use maxConcurrentRequests',
} as const;

/** https://huggingface.co/docs/text-generation-inference/reference/launcher */
export class TgiEngine implements IServingEngine {
  public readonly engineName = 'tgi';

  constructor(private readonly options: TgiOptions) {
    requireCommon(options);
    requireInteger('maxConcurrentRequests', options.maxConcurrentRequests, 1);
    new Arguments().extra(options.args, OWNED);
  }

  /** @internal */
  public _bind(context: EngineContext): EngineBinding {
    const { options } = this;
    const command = new Arguments()
      .value('--model-id', modelArgument(context))
      .value('--revision', revisionOf(context))
      .value('--hostname', '0.0.0.0')
      .value('--port', 80)
      .value('--num-shard', options.tensorParallelSize ?? 1)
      .value('--max-total-tokens', options.contextLength)
      .value('--max-concurrent-requests', options.maxConcurrentRequests ?? 128)
      .value('--quantize', options.quantization)
      .flag('--json-output', true)
      .extra(options.args, OWNED)
      .list();
    return {
      ...imageOf(options.image, IMAGE),
      user: options.user,
      command,
      port: 80,
      healthPath: '/health',
      healthTimeoutSeconds: 10,
      environment: { ...cacheVariables(context), DISABLE_TELEMETRY: '1', USAGE_STATS: 'off', ...options.environment },
      apiKeyVariable: 'API_KEY',
      gpus: options.tensorParallelSize ?? 1,
      copyWeights: context.weights.type === 's3',
      metrics: { path: '/metrics', running: 'tgi_batch_current_size', waiting: 'tgi_queue_size' },
      fields: { cacheSalt: false },
      shutdownSeconds: 0,
      unsupportedParameters: [],
      memory: {
        weightBytes: weightBytes(options.quantization),
        kvBytes: 2,
        utilization: 0.9,
        contextLength: options.contextLength,
      },
    };
  }
}
