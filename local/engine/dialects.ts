import { type EngineSettings, parseCommandLine } from './command-line.ts';
import { type EngineError, flatError, openAiError, tgiError } from './errors.ts';
import { type OtherFlags, parseOtherCommand } from './other-command-line.ts';

/** Engines that are told apart; `other` is any container that speaks OpenAI's API. */
export type EngineKind = 'vllm' | 'sglang' | 'tensorrt-llm' | 'tgi' | 'other';

/** What of an `other` engine only the template knows. */
export interface OtherFacts {
  readonly port: number;
  readonly healthPath: string;
  readonly metricsPath: string;
  /** Names of gauges: requests that run, requests that wait, the KV cache's use. */
  readonly gauges: readonly string[];
}

/** How one engine differs from the next, as far as it shows over HTTP. */
export interface Dialect {
  readonly settings: EngineSettings;
  readonly apiKey: string | undefined;
  /** Paths that ask for the key. */
  readonly guarded: RegExp;
  /** Body of a 401; TGI's is empty. */
  readonly unauthorized: object | undefined;
  readonly healthPath: string;
  /** A health check is a request of one token, behind all others. */
  readonly healthGenerates: boolean;
  /** `undefined`: metrics are off. */
  readonly metricsPath: string | undefined;
  /** The engine's own names by vLLM's; what isn't there isn't served. `undefined`: vLLM's. */
  readonly metricNames: Readonly<Record<string, string>> | undefined;
  /** TGI serves one model, whatever a request calls it. */
  readonly checksModelName: boolean;
  readonly higherPriorityFirst: boolean;
  /** Routes beside OpenAI's that an engine leaves open. */
  readonly extras: readonly string[];
  /** Seconds for which the server keeps a connection without traffic; 0: as long as the client does. */
  readonly keepAliveSeconds: number;
  render(error: EngineError): { readonly status: number; readonly body: object };
}

type Environment = Readonly<Record<string, string | undefined>>;

/** uvicorn's default, which the Python servers have. */
const KEEP_ALIVE_SECONDS = 5;

/**
 * @param command entry point and command of the container
 * @throws CommandLineError for what the engine would refuse
 */
export function dialectOf(
  kind: EngineKind,
  command: readonly string[],
  environment: Environment,
  other?: OtherFacts,
): Dialect {
  return DIALECTS[kind](command, environment, other);
}

type DialectOf = (command: readonly string[], environment: Environment, other: OtherFacts | undefined) => Dialect;

const COMMON = {
  unauthorized: { error: 'Unauthorized' },
  healthPath: '/health',
  healthGenerates: false,
  metricNames: undefined,
  checksModelName: true,
  higherPriorityFirst: false,
  extras: [],
  keepAliveSeconds: KEEP_ALIVE_SECONDS,
};

const DIALECTS: Readonly<Record<EngineKind, DialectOf>> = {
  vllm: (command, environment) => {
    const settings = parseCommandLine(command);
    return {
      ...COMMON,
      settings,
      apiKey: settings.apiKey ?? environment.VLLM_API_KEY,
      guarded: /^\/(v1|v2|inference|cohere)(\/|$)/,
      metricsPath: '/metrics',
      extras: ['/tokenize', '/invocations', '/version'],
      keepAliveSeconds: Number(environment.VLLM_HTTP_TIMEOUT_KEEP_ALIVE ?? KEEP_ALIVE_SECONDS),
      render: openAiError,
    };
  },

  // https://docs.sglang.ai/advanced_features/server_arguments.html
  sglang: (command, environment) => {
    const { settings, flags, apiKey } = parseOtherCommand(command, environment, SGLANG);
    return {
      ...COMMON,
      settings,
      apiKey,
      // All but these two, with any method.
      guarded: /^(?!\/(health|metrics))/,
      healthGenerates: true,
      metricsPath: flags.has('enable-metrics') ? '/metrics' : undefined,
      metricNames: SGLANG_METRICS,
      higherPriorityFirst: true,
      keepAliveSeconds: Number(environment.SGLANG_TIMEOUT_KEEP_ALIVE ?? KEEP_ALIVE_SECONDS),
      render: flatError,
    };
  },

  // https://nvidia.github.io/TensorRT-LLM/commands/trtllm-serve/trtllm-serve.html
  'tensorrt-llm': (command, environment) => ({
    ...COMMON,
    settings: parseOtherCommand(command, environment, TENSORRT_LLM).settings,
    apiKey: undefined,
    guarded: /^(?!)/,
    metricsPath: '/prometheus/metrics',
    metricNames: TENSORRT_LLM_METRICS,
    extras: ['/version'],
    render: flatError,
  }),

  // https://huggingface.co/docs/text-generation-inference/reference/launcher
  tgi: (command, environment) => ({
    ...COMMON,
    settings: parseOtherCommand(command, environment, TGI).settings,
    apiKey: environment.API_KEY,
    guarded: /^\/(v1|generate|invocations|$)/,
    unauthorized: undefined,
    metricsPath: '/metrics',
    metricNames: TGI_METRICS,
    checksModelName: false,
    keepAliveSeconds: 0,
    render: tgiError,
  }),

  other: (command, environment, other) => {
    const port = other?.port ?? 8000;
    const [running = '', waiting = '', usage = ''] = other?.gauges ?? [];
    const names = { [RUNNING]: running, [WAITING]: waiting, [KV_USAGE]: usage };
    return {
      ...COMMON,
      settings: { ...parseOtherCommand(command, environment, OTHER).settings, port, reachable: true },
      // The only secret beside Hugging Face's token.
      apiKey: environment[KEY_VARIABLE],
      guarded: /^\/v1(\/|$)/,
      healthPath: other?.healthPath ?? '/health',
      metricsPath: other?.metricsPath,
      metricNames: Object.fromEntries(Object.entries(names).filter(([, name]) => name !== '')),
      checksModelName: false,
      render: openAiError,
    };
  },
};

/** The local run puts an `other` engine's key there, whatever its own variable is called. */
export const KEY_VARIABLE = 'LOCAL_ENGINE_API_KEY';

const SGLANG: OtherFlags = {
  program: ['python3', '-m', 'sglang.launch_server'],
  model: 'model-path',
  port: 30_000,
  // It binds 127.0.0.1 unless it is told otherwise.
  host: 'host',
  servedName: 'served-model-name',
  contextLength: 'context-length',
  maxNumSeqs: 'max-running-requests',
  maxWaiting: 'max-queued-requests',
  priority: 'enable-priority-scheduling',
  cacheReport: 'enable-cache-report',
  apiKey: 'api-key',
};

const TENSORRT_LLM: OtherFlags = {
  program: ['trtllm-serve'],
  port: 8000,
  host: 'host',
  contextLength: 'max-seq-len',
  maxNumSeqs: 'max-batch-size',
};

const TGI: OtherFlags = {
  program: [],
  model: 'model-id',
  port: 80,
  contextLength: 'max-total-tokens',
  maxInFlight: { flag: 'max-concurrent-requests', fallback: 128 },
};

const OTHER: OtherFlags = { program: [], port: 8000 };

const RUNNING = 'vllm:num_requests_running';
const WAITING = 'vllm:num_requests_waiting';
const KV_USAGE = 'vllm:kv_cache_usage_perc';

/** https://docs.sglang.io/references/production_metrics.html */
const SGLANG_METRICS = {
  [RUNNING]: 'sglang:num_running_reqs',
  [WAITING]: 'sglang:num_queue_reqs',
  [KV_USAGE]: 'sglang:token_usage',
  'vllm:prompt_tokens_total': 'sglang:prompt_tokens_total',
  'vllm:generation_tokens_total': 'sglang:generation_tokens_total',
  'vllm:time_to_first_token_seconds': 'sglang:time_to_first_token_seconds',
  'vllm:inter_token_latency_seconds': 'sglang:inter_token_latency_seconds',
  'vllm:e2e_request_latency_seconds': 'sglang:e2e_request_latency_seconds',
};

/** https://nvidia.github.io/TensorRT-LLM/examples/prometheus_metrics.html; names vary by version. */
const TENSORRT_LLM_METRICS = {
  'vllm:time_to_first_token_seconds': 'trtllm_time_to_first_token_seconds',
  'vllm:e2e_request_latency_seconds': 'trtllm_e2e_request_latency_seconds',
  'vllm:request_queue_time_seconds': 'trtllm_request_queue_time_seconds',
};

/** https://huggingface.co/docs/text-generation-inference/reference/metrics */
const TGI_METRICS = {
  [RUNNING]: 'tgi_batch_current_size',
  [WAITING]: 'tgi_queue_size',
  'vllm:e2e_request_latency_seconds': 'tgi_request_duration',
  'vllm:request_queue_time_seconds': 'tgi_request_queue_duration',
};
