/**
 * The contract between the constructs (which write it at synth) and the handlers (which read it at start).
 *
 * What is known at synth stands in `serving-config.json` in the handler's asset. What is known only at deploy
 * (URLs, ARNs, names) is an environment variable of the function, and the JSON holds its name as an `EnvRef`.
 * Nothing is fetched at a cold start.
 *
 * `lambda/` imports the types of this file and nothing else from `lib/`.
 */

/** The file's name in the handler's asset, beside the bundle. */
export const SERVING_CONFIG_FILE = 'serving-config.json';

/**
 * Environment variable with the declared consumers: `<api key id>=<consumer>:<tier>`, comma-separated. Key ids are
 * known only at deploy. Lambda's limit is 4 KB for all variables of a function.
 */
export const CONSUMERS_ENV = 'LLM_CONSUMERS';

/** A value that stands in an environment variable, by the variable's name. */
export interface EnvRef {
  readonly env: string;
}

export type ConfigString = string | EnvRef;

export interface ServingConfig {
  readonly version: 1;
  /** In the order in which `GET /v1/models` lists them. Names are unique. */
  readonly models: readonly ModelConfig[];
  /** Names are unique; at least one. */
  readonly tiers: readonly TierConfig[];
  /** Declared features: the only values of the `feature` metric dimension; another one counts as `other`. */
  readonly features: readonly string[];
  readonly limits: LimitsConfig;
  readonly metrics: { readonly namespace: string };
  /** Log prompts and answers. False unless the user asks for it. */
  readonly logContent: boolean;
  /** Absent when browsers of other origins aren't let in. Preflights are answered by API Gateway. */
  readonly cors?: CorsConfig;
}

export interface CorsConfig {
  /** `*` alone, or exact origins: one that asks is echoed with `Vary: Origin`. Credentials are not allowed. */
  readonly allowOrigins: readonly string[];
  /** For `Access-Control-Expose-Headers`. */
  readonly exposeHeaders: readonly string[];
}

export interface LimitsConfig {
  /** A request body larger than this is refused with 413. */
  readonly maxRequestBytes: number;
  /** From the invocation's start to the end of the answer; below the function's time-out. */
  readonly totalTimeoutMs: number;
  /** A whole (not streamed) answer must be there by then: API Gateway cuts a connection that is silent for 5 minutes. */
  readonly wholeAnswerTimeoutMs: number;
  /** A stream's status and headers wait for the first token, but no longer than this. */
  readonly headersWaitMs: number;
  /** While a stream is silent, a comment line goes out this often. */
  readonly keepAliveMs: number;
}

export interface ModelConfig {
  /** What clients send as `model`. */
  readonly name: string;
  readonly aliases: readonly string[];
  /** `owned_by` in `GET /v1/models`. */
  readonly ownedBy: string;
  /** Unix seconds; `created` in `GET /v1/models`. */
  readonly created: number;
  /** Output tokens of one answer are clamped to this. */
  readonly maxOutputTokens?: number;
  /** In the order in which they are tried; at least one. */
  readonly backends: readonly BackendConfig[];
}

/** USD per million tokens. */
export interface PriceConfig {
  readonly input: number;
  readonly output: number;
  readonly cachedInput: number;
  readonly cacheWrite: number;
}

export interface DeadlinesConfig {
  /** DNS, TCP and TLS. */
  readonly connectMs: number;
  /** From the request's dispatch to the first token. */
  readonly firstTokenMs: number;
  /** Between two tokens. */
  readonly betweenTokensMs: number;
}

interface BackendBase {
  /** Unique within a deployment; `x-llm-backend`, a metric dimension. `[a-z0-9][a-z0-9-]*` */
  readonly id: string;
  readonly price: PriceConfig;
  readonly deadlines: DeadlinesConfig;
  /** Tokens of prompt and answer together, where declared. */
  readonly contextWindow?: number;
  readonly maxOutputTokens?: number;
}

export interface BedrockBackendConfig extends BackendBase {
  readonly kind: 'bedrock';
  /** A foundation model's id, an inference profile's id or its ARN: Converse's `modelId`. */
  readonly modelId: ConfigString;
  /** The foundation model, where `modelId` doesn't say it: an application inference profile's ARN, a custom model's. */
  readonly foundationModelId?: string;
  /** Region to call; the function's own when absent. */
  readonly region?: string;
  readonly guardrail?: {
    readonly id: ConfigString;
    readonly version: ConfigString;
    readonly streamProcessingMode?: 'sync' | 'async';
  };
  readonly serviceTier?: 'default' | 'flex' | 'priority' | 'reserved';
  /** Where cache points are placed. */
  readonly promptCaching: boolean;
  /** How a JSON schema is asked for. */
  readonly jsonSchema: 'tool' | 'output-config';
  /** Whether `reasoning_effort` can be passed on, and how. */
  readonly reasoning?: 'anthropic-budget' | 'effort';
  /** Image input. */
  readonly images: boolean;
  /** Tool use. */
  readonly tools: boolean;
}

export interface OpenAiCompatibleBackendConfig extends BackendBase {
  readonly kind: 'openai-compatible';
  /** Without a trailing slash; `/chat/completions` is appended. */
  readonly baseUrl: ConfigString;
  /** The backend's own name of the model; the public name when absent. */
  readonly model?: string;
  readonly auth: BackendAuthConfig;
  /** Fixed request headers. Not for secrets. */
  readonly headers: Readonly<Record<string, string>>;
  /** Parameters of a chat completion that it refuses or ignores: a request with one of them doesn't go there. */
  readonly unsupportedParameters: readonly string[];
  /** What the backend calls the limit of output tokens; both names are accepted from clients. */
  readonly maxTokensParameter: 'max_tokens' | 'max_completion_tokens';
  /** Whether `stream_options.include_usage` is understood. */
  readonly streamUsage: boolean;
  /** Present when the backend is a fleet of the deployment: the gateway steers its engine. */
  readonly fleet?: FleetConfig;
}

export interface FleetConfig {
  /** The `fleet` metric dimension. */
  readonly name: string;
  /** Where its metrics are: scaling reads them there, whichever gateway asks. */
  readonly metricsNamespace: string;
  /** `vllm`, `sglang`, … */
  readonly engine: string;
  /** The engine keeps prefixes of consumers apart by `cache_salt`. */
  readonly cacheSalt: boolean;
  /** The engine takes `priority`, and which of two values it serves first; absent when it takes none. */
  readonly priority?: 'lower-first' | 'higher-first';
  /** Seconds for which the load balancer's cookie keeps a conversation on a task. */
  readonly stickySeconds: number;
  /** What a client is told to wait when there is no task at all: a start takes minutes. */
  readonly retryAfterMs: number;
}

export type BackendAuthConfig =
  | { readonly type: 'none' }
  /** `Authorization: Bearer <secret>`, or `<header>: <secret>`. */
  | { readonly type: 'secret'; readonly secretArn: EnvRef; readonly jsonField?: string; readonly header?: string }
  /** An OAuth access token made from a service account's JSON key, or a workload identity configuration. */
  | { readonly type: 'google'; readonly secretArn: EnvRef; readonly jsonField?: string };

export interface StaticReplyBackendConfig extends BackendBase {
  readonly kind: 'static-reply';
  readonly text: string;
}

export type BackendConfig = BedrockBackendConfig | OpenAiCompatibleBackendConfig | StaticReplyBackendConfig;

export interface TierConfig {
  readonly name: string;
  /** Names of models; all when absent. */
  readonly allowedModels?: readonly string[];
  /** Output tokens of one answer are clamped to this. */
  readonly maxOutputTokens?: number;
  /** Whom fleets serve first when requests wait: higher first, 0 when absent. */
  readonly priority?: number;
}
