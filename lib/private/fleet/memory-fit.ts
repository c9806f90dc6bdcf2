import type { EngineBinding, WeightsBinding } from './engine-binding';
import { type GpuInstance, gpuInstances } from './gpu-instances';

const GIB = 2 ** 30;

/** Of each GPU, for what is neither weights nor KV cache: CUDA's context, activations, graphs. */
const OVERHEAD_GIB = 2;

/** What a KV cache holds at least, where the context isn't limited: fewer tokens serve nobody. */
const LEAST_TOKENS = 4096;

export interface MemoryFit {
  readonly weightsGiB: number;
  /** Of all GPUs of a task, what the engine may use less overhead. */
  readonly usableGiB: number;
  /** Tokens that fit beside the weights; undefined when a token's size isn't known. */
  readonly kvTokens?: number;
  /** Needed for one request of the longest context; undefined as above. */
  readonly contextGiB?: number;
  /** How much more it would take; 0 or less when it fits. */
  readonly missingGiB: number;
}

/** Arithmetic, not measurement: weights = parameters × bytes; KV cache = tokens × bytes of a token. */
export function memoryFit(
  instance: GpuInstance,
  engine: EngineBinding,
  weights: WeightsBinding,
): MemoryFit | undefined {
  const { size } = weights;
  if (size === undefined) return undefined;
  const { memory, gpus } = engine;
  const usableGiB = gpus * (((instance.gpuMemoryGb * 1e9) / GIB) * memory.utilization - OVERHEAD_GIB);
  const weightsGiB = (size.parametersBillions * 1e9 * memory.weightBytes) / GIB;
  if (size.kvCacheKiBPerToken === undefined) {
    return { weightsGiB, usableGiB, missingGiB: weightsGiB - usableGiB };
  }
  const tokenGiB = (size.kvCacheKiBPerToken * 1024 * (memory.kvBytes / 2)) / GIB;
  const contextGiB = (memory.contextLength ?? LEAST_TOKENS) * tokenGiB;
  return {
    weightsGiB,
    usableGiB,
    kvTokens: Math.max(0, Math.floor((usableGiB - weightsGiB) / tokenGiB)),
    contextGiB,
    missingGiB: weightsGiB + contextGiB - usableGiB,
  };
}

/** What to tell the user, when it doesn't fit. */
export function fitProblem(
  instances: readonly GpuInstance[],
  engine: EngineBinding,
  weights: WeightsBinding,
): string | undefined {
  for (const instance of instances) {
    const fit = memoryFit(instance, engine, weights);
    if (fit === undefined || fit.missingGiB <= 0) continue;
    const need =
      fit.contextGiB === undefined
        ? `${gib(fit.weightsGiB)} of weights`
        : `${gib(fit.weightsGiB)} of weights and ${gib(fit.contextGiB)} of KV cache for ${engine.memory.contextLength ?? LEAST_TOKENS} tokens`;
    return `${weights.modelName} does not fit on ${engine.gpus} GPU(s) of ${instance.type}: it needs ${need}, and the engine has ${gib(fit.usableGiB)}: ${gib(fit.missingGiB)} are missing. ${remedy(engine, weights)}`;
  }
  return undefined;
}

/** The cheapest types on which the same task would fit, and what else may help. */
function remedy(engine: EngineBinding, weights: WeightsBinding): string {
  const fitting = gpuInstances
    .flatMap((instance) =>
      [1, 2, 4, 8]
        .filter((gpus) => gpus >= engine.gpus && gpus <= instance.gpus)
        .filter((gpus) => (memoryFit(instance, { ...engine, gpus }, weights)?.missingGiB ?? 1) <= 0)
        .slice(0, 1)
        .map((gpus) => ({ instance, gpus, usd: ((instance.hourlyUsd ?? 1000) * gpus) / instance.gpus })),
    )
    .sort((a, b) => a.usd - b.usd)
    .slice(0, 2)
    .map(({ instance, gpus }) => (gpus === 1 ? instance.type : `${instance.type} with tensorParallelSize: ${gpus}`));
  const types = fitting.length === 0 ? '' : `It would fit on ${fitting.join(' or ')}; `;
  return `${types}a smaller contextLength, fp8 weights or an fp8 KV cache take less`;
}

const gib = (value: number): string => `${value.toFixed(1)} GiB`;
