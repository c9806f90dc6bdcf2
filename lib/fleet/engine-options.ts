import type { Duration, Size } from 'aws-cdk-lib';
import type { ContainerImage } from 'aws-cdk-lib/aws-ecs';

/** Options that every engine has. */
export interface EngineOptions {
  /**
   * The image.
   *
   * @default - the engine's own, of a pinned version, from its public registry
   */
  readonly image?: ContainerImage;

  /**
   * How many tokens prompt and answer may have together.
   *
   * @default - the model's own maximum
   */
  readonly contextLength?: number;

  /**
   * GPUs over which the model is spread: those of one task.
   *
   * @default 1
   */
  readonly tensorParallelSize?: number;

  /**
   * Further flags of the engine, added at the end.
   *
   * @default - none
   */
  readonly args?: string[];

  /**
   * Environment variables of the engine. Not for secrets.
   *
   * @default - those that the fleet sets
   */
  readonly environment?: { [name: string]: string };

  /**
   * The user that the engine runs as: `2000`, `2000:0` or a name that the image knows. It must be able to write its home
   * folder; the cache of weights on EC2 instances can be written by the group 0.
   *
   * @default - `2000:0` for vLLM's own image on EC2 instances; the image's, which is root for all others
   */
  readonly user?: string;
}

/** Where the KV cache goes when the GPU's memory is full. */
export enum KvOffloading {
  /** vLLM's own: the instance's memory. */
  NATIVE = 'native',
  /** LMCache: the instance's memory, and a remote store that all tasks share. */
  LMCACHE = 'lmcache',
}

/** Options of vLLM. */
export interface VllmOptions extends EngineOptions {
  /**
   * How the weights are quantized, as vLLM names it: `fp8`, `awq`, `gptq`, ….
   *
   * @default - as the weights say
   */
  readonly quantization?: string;

  /**
   * The type of the numbers in the KV cache: `auto`, `fp8`, `fp8_e4m3`, `fp8_e5m2`.
   *
   * @default 'auto' - the model's
   */
  readonly kvCacheDtype?: string;

  /**
   * The share of the GPU's memory that vLLM takes, 0.1–0.99.
   *
   * @default - vLLM's: 0.92
   */
  readonly gpuMemoryUtilization?: number;

  /**
   * Requests that run at once on a task.
   *
   * @default - vLLM's
   */
  readonly maxSequences?: number;

  /**
   * Requests that a task takes, running or waiting. More are refused with a 503 at once, so that the next backend gets
   * them.
   *
   * @default 128
   */
  readonly maxQueuedRequests?: number;

  /**
   * Prompt tokens that may wait on a task.
   *
   * @default - no limit of their own
   */
  readonly maxQueuedTokens?: number;

  /**
   * Keep prompts' beginnings in the KV cache for the next request.
   *
   * @default true
   */
  readonly prefixCaching?: boolean;

  /**
   * Serve tiers of higher `priority` first.
   *
   * @default true
   */
  readonly priorityScheduling?: boolean;

  /**
   * The parser of tool calls that goes with the model: `hermes`, `mistral`, `llama3_json`, ….
   *
   * @default - no tools
   */
  readonly toolCallParser?: string;

  /**
   * The parser of reasoning that goes with the model: `qwen3`, `deepseek_r1`, ….
   *
   * @default - none
   */
  readonly reasoningParser?: string;

  /**
   * Speculative decoding, as vLLM's JSON: `{"method":"ngram","num_speculative_tokens":4}`.
   *
   * @default - none
   */
  readonly speculativeConfig?: string;

  /**
   * Memory of the instance, for each task, that holds what doesn't fit into the GPU's KV cache any more.
   *
   * @default - none
   */
  readonly kvOffloadingSize?: Size;

  /**
   * What moves it there.
   *
   * @default KvOffloading.NATIVE
   */
  readonly kvOffloadingBackend?: KvOffloading;

  /**
   * A Valkey or Redis that LMCache shares between tasks: `rediss://host:6379`.
   *
   * @default - none
   */
  readonly lmCacheRemoteUrl?: string;

  /**
   * How long requests that run may go on once a task is told to stop, at most 110 seconds. The load balancer has sent
   * it nothing new for the fleet's `deregistrationDelay` by then.
   *
   * @default Duration.seconds(100)
   */
  readonly shutdownTimeout?: Duration;
}

/** Options of SGLang. */
export interface SglangOptions extends EngineOptions {
  /**
   * How the weights are quantized, as SGLang names it.
   *
   * @default - as the weights say
   */
  readonly quantization?: string;

  /**
   * The type of the numbers in the KV cache: `auto`, `fp8_e4m3`, `fp8_e5m2`.
   *
   * @default 'auto' - the model's
   */
  readonly kvCacheDtype?: string;

  /**
   * The share of the GPU's memory for weights and KV cache, 0.1–0.99.
   *
   * @default - SGLang's own estimate
   */
  readonly memoryFraction?: number;

  /**
   * Requests that run at once on a task.
   *
   * @default - SGLang's
   */
  readonly maxSequences?: number;

  /**
   * Requests that may wait on a task. More are refused with a 503 at once.
   *
   * @default 64
   */
  readonly maxQueuedRequests?: number;

  /**
   * Serve tiers of higher `priority` first.
   *
   * @default true
   */
  readonly priorityScheduling?: boolean;

  /**
   * The parser of tool calls that goes with the model.
   *
   * @default - no tools
   */
  readonly toolCallParser?: string;

  /**
   * The parser of reasoning that goes with the model.
   *
   * @default - none
   */
  readonly reasoningParser?: string;
}

/** Options of TensorRT-LLM. */
export interface TensorRtLlmOptions extends EngineOptions {
  /**
   * Requests that run at once on a task.
   *
   * @default - TensorRT-LLM's
   */
  readonly maxSequences?: number;

  /**
   * The share of the free GPU memory for the KV cache, 0.1–0.99.
   *
   * @default - TensorRT-LLM's: 0.9
   */
  readonly kvCacheMemoryFraction?: number;
}

/** Options of Text Generation Inference, which is in maintenance only since December 2025. */
export interface TgiOptions extends EngineOptions {
  /**
   * How the weights are quantized, as TGI names it.
   *
   * @default - as the weights say
   */
  readonly quantization?: string;

  /**
   * Requests that a task takes, running or waiting. More are refused with a 429 at once.
   *
   * @default - TGI's: 128
   */
  readonly maxConcurrentRequests?: number;
}

/** The names of a container's Prometheus metrics. */
export interface EngineMetricNames {
  /**
   * Where they are.
   *
   * @default '/metrics'
   */
  readonly path?: string;

  /** The gauge of requests that run. */
  readonly running: string;

  /** The gauge of requests that wait. */
  readonly waiting: string;

  /**
   * The gauge of the KV cache's use, 0–1.
   *
   * @default - none
   */
  readonly kvCacheUsage?: string;
}

/** A container with an OpenAI-compatible API. */
export interface OpenAiCompatibleEngineOptions {
  /** The image. */
  readonly image: ContainerImage;

  /**
   * Names the engine in the configuration.
   *
   * @default 'openai-compatible'
   */
  readonly engineName?: string;

  /**
   * The command line. `{model}` stands for the weights' repository or folder, `{name}` for the model's name.
   *
   * @default - the image's own
   */
  readonly command?: string[];

  /** The port that it listens on. */
  readonly port: number;

  /**
   * The path that answers 200 when it is ready to serve, and not before.
   *
   * @default '/health'
   */
  readonly healthPath?: string;

  /**
   * Its Prometheus metrics. Scaling on load needs them.
   *
   * @default - none: the fleet can't scale on load
   */
  readonly metrics?: EngineMetricNames;

  /**
   * The variable from which it reads the API key that it asks for.
   *
   * @default - it has none: the security groups alone keep others out
   */
  readonly apiKeyVariable?: string;

  /**
   * The user that it runs as, as in `EngineOptions`.
   *
   * @default - the image's
   */
  readonly user?: string;

  /**
   * How long it lets requests finish once it is told to stop.
   *
   * @default Duration.seconds(0)
   */
  readonly shutdownTimeout?: Duration;

  /**
   * GPUs of one task.
   *
   * @default 1
   */
  readonly gpus?: number;

  /**
   * Parameters of a chat completion that it refuses or ignores.
   *
   * @default - none
   */
  readonly unsupportedParameters?: string[];

  /**
   * Environment variables. Not for secrets.
   *
   * @default - those that the fleet sets
   */
  readonly environment?: { [name: string]: string };
}
