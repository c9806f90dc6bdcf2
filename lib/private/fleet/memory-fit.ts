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
  /** Tokens of one request of the longest context, as far as it is known, and what they need; undefined as above. */
  readonly contextTokens?: number;
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
  const weightBytes = size.bitsPerParameter === undefined ? memory.weightBytes : size.bitsPerParameter / 8;
  const weightsGiB = (size.parametersBillions * 1e9 * weightBytes) / GIB;
  if (size.kvCacheKiBPerToken === undefined) {
    return { weightsGiB, usableGiB, missingGiB: weightsGiB - usableGiB };
  }
  const tokenGiB = (size.kvCacheKiBPerToken * 1024 * (memory.kvBytes / 2)) / GIB;
  const modelsOwn = memory.needsWholeContext ? size.maxContextLength : undefined;
  const contextTokens = memory.contextLength ?? modelsOwn ?? LEAST_TOKENS;
  const contextGiB = contextTokens * tokenGiB;
  return {
    weightsGiB,
    usableGiB,
    kvTokens: Math.max(0, Math.floor((usableGiB - weightsGiB) / tokenGiB)),
    contextTokens,
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
        : `${gib(fit.weightsGiB)} of weights and ${gib(fit.contextGiB)} of KV cache for ${fit.contextTokens} tokens`;
    return `${weights.modelName} does not fit on ${engine.gpus} GPU(s) of ${instance.type}: it needs ${need}, and the engine has ${gib(fit.usableGiB)}: ${gib(fit.missingGiB)} are missing. ${remedy(engine, weights, fit)}`;
  }
  return undefined;
}

/** The cheapest types on which the same task would fit, and what else may help. */
function remedy(engine: EngineBinding, weights: WeightsBinding, { kvTokens = 0 }: MemoryFit): string {
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
  const context = kvTokens < LEAST_TOKENS ? 'a smaller contextLength' : `contextLength: ${thousands(kvTokens)} fits`;
  return `${types}${context}, fp8 weights or an fp8 KV cache take less`;
}

/** Rounded down: the arithmetic isn't exact to the token. */
const thousands = (tokens: number): number => Math.floor(tokens / 1024) * 1024;

/** What to tell the user of a context that the model wasn't made for, with which engines don't start. */
export function contextProblem(engine: EngineBinding, weights: WeightsBinding): string | undefined {
  const { contextLength } = engine.memory;
  const most = weights.size?.maxContextLength;
  if (contextLength === undefined || most === undefined || contextLength <= most) return undefined;
  return `contextLength (${contextLength}) is more than the ${most} tokens that ${weights.modelName} takes: engines refuse to start with it, unless args tell them how to stretch the model's positions`;
}

/** What is offloaded lies in memory that the task must have. */
export function requireOffloadingFits({ memory: { offloadingGiB } }: EngineBinding, memoryMiB: number): void {
  if (offloadingGiB === undefined || offloadingGiB * 1024 <= memoryMiB) return;
  throw new Error(
    `kvOffloadingSize (${offloadingGiB} GiB) is more than the ${(memoryMiB / 1024).toFixed(1)} GiB of memory that a task has on these instanceTypes: use a smaller size, or larger types`,
  );
}

const gib = (value: number): string => `${value.toFixed(1)} GiB`;
