import type { TensorRtLlmOptions } from '../../../fleet/engine-options';
import type { IServingEngine } from '../../../fleet/serving-engine';
import { requireInteger, requireNumber } from '../../validation';
import type { EngineBinding, EngineContext } from '../engine-binding';
import { Arguments, OWNED_BY_FLEET } from './arguments';
import { cacheVariables, imageOf, modelArgument, requireCommon, revisionOf } from './common';

const IMAGE = 'nvcr.io/nvidia/tensorrt-llm/release:1.2.1';

const OWNED = {
  ...OWNED_BY_FLEET,
  '--tp_size': 'use tensorParallelSize',
  '--max_seq_len': 'use contextLength',
} as const;

/** https://nvidia.github.io/TensorRT-LLM/commands/trtllm-serve/trtllm-serve.html */
export class TensorRtLlmEngine implements IServingEngine {
  public readonly engineName = 'tensorrt-llm';

  constructor(private readonly options: TensorRtLlmOptions) {
    requireCommon(options);
    requireInteger('maxSequences', options.maxSequences, 1);
    requireNumber('kvCacheMemoryFraction', options.kvCacheMemoryFraction, 0.1, 0.99);
    new Arguments().extra(options.args, OWNED);
  }

  /** @internal */
  public _bind(context: EngineContext): EngineBinding {
    const { options } = this;
    if (revisionOf(context) !== undefined) {
      throw new Error(
        'revision of the weights has no flag in trtllm-serve: leave it out, or copy that revision into a bucket (ModelWeights.s3)',
      );
    }
    const command = new Arguments()
      .value('--host', '0.0.0.0')
      .value('--port', 8000)
      .value('--tp_size', options.tensorParallelSize ?? 1)
      .value('--max_seq_len', options.contextLength)
      .value('--max_batch_size', options.maxSequences)
      .value('--kv_cache_free_gpu_memory_fraction', options.kvCacheMemoryFraction)
      .extra(options.args, OWNED)
      .list();
    return {
      ...imageOf(options.image, IMAGE),
      user: options.user,
      command: ['trtllm-serve', modelArgument(context), ...command],
      port: 8000,
      healthPath: '/health',
      healthTimeoutSeconds: 5,
      environment: { ...cacheVariables(context), ...options.environment },
      gpus: options.tensorParallelSize ?? 1,
      copyWeights: context.weights.type === 's3',
      // Names of its metrics vary by version: `ServingEngine.openAiCompatible` takes those of yours.
      fields: { cacheSalt: false },
      shutdownSeconds: 0,
      unsupportedParameters: [],
      memory: { weightBytes: 2, kvBytes: 2, utilization: 0.9, contextLength: options.contextLength },
    };
  }
}
