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
  /** Where usage is kept, and limits are counted. Absent: nothing is, and no tier has limits. */
  readonly ledger?: LedgerConfig;
  /** Of declared consumers, what their tier doesn't say. */
  readonly consumers?: readonly ConsumerConfig[];
  readonly teams?: readonly TeamConfig[];
  /** Answers and hints that processes share; absent when there is no such cache. */
  readonly cache?: CacheConfig;
  /** Absent when browsers of other origins aren't let in. Preflights are answered by API Gateway. */
  readonly cors?: CorsConfig;
}

export interface LedgerConfig {
  /** Name of the table. */
  readonly table: EnvRef;
  /** What a request reserved is given back when it wasn't settled by then: longer than a request can take. */
  readonly reservationMs: number;
  /** How long usage is kept after its month. */
  readonly retentionDays: number;
  /** A call that takes longer counts as failed: a request waits for it. */
  readonly timeoutMs: number;
}

export interface ConsumerConfig {
  readonly name: string;
  readonly team?: string;
  /** Instead of the tier's. */
  readonly monthlyBudgetUsd?: number;
}

/** Consumers that share a budget. */
export interface TeamConfig {
  readonly name: string;
  readonly monthlyBudgetUsd?: number;
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
  /** What happens when one of them fails; the standard policy when absent. */
  readonly fallback?: FallbackConfig;
  /** Which requests a cheaper backend gets first; none when absent. */
  readonly routing?: RoutingConfig;
  /** Which answers are kept; the cache's own policy when absent. */
  readonly cache?: CachePolicyConfig;
}

/** Which requests a cheaper backend gets first. Whole in the file: no defaults here. */
export interface RoutingConfig {
  /** The id of that backend, one of the model's and not the first of them. */
  readonly cheap: string;
  /** Whether a client's `x-llm-priority` counts. */
  readonly clientPriority: boolean;
  readonly simple: SimpleRequestConfig;
  /** The first that applies decides. */
  readonly rules: readonly RoutingRuleConfig[];
}

/** What a request may at most have to be a simple one. */
export interface SimpleRequestConfig {
  /** 0: no request is simple. */
  readonly maxPromptTokens: number;
  /** Messages of the user's. */
  readonly maxTurns: number;
  readonly tools: boolean;
  readonly jsonSchema: boolean;
  readonly images: boolean;
  readonly reasoning: boolean;
}

export type RouteName = 'cheap' | 'standard';

/** Applies where each condition that it has is met. */
export interface RoutingRuleConfig {
  /** `[a-z0-9][a-z0-9-]*`: in a header and in the log. */
  readonly name: string;
  readonly route: RouteName;
  /** One of these regular expressions matches what the user said. */
  readonly patterns?: readonly string[];
  readonly features?: readonly string[];
  readonly tiers?: readonly string[];
  readonly consumers?: readonly string[];
  /** Each of these keys of the request's `metadata` has one of these values. A list: keys are the user's own words. */
  readonly metadata?: ReadonlyArray<{ readonly key: string; readonly values: readonly string[] }>;
}

/** Who gets whose answers. */
export type CacheScope = 'consumer' | 'tier' | 'global';

/** A Valkey (or Redis) that the handlers reach. */
export interface CacheConfig {
  /** `rediss://host:port` with TLS, `redis://host:port` without; credentials go over TLS only. */
  readonly endpoint: ConfigString;
  readonly auth: CacheAuthConfig;
  /** Whose entries they are: several deployments may share a cache, and have nothing to do with each other. */
  readonly deployment: ConfigString;
  /** A command that takes longer is given up, and the request goes on without the cache. */
  readonly timeoutMs: number;
  /** The same for a connection that isn't there yet. */
  readonly connectTimeoutMs: number;
  /** For models without a policy of their own. */
  readonly policy: CachePolicyConfig;
}

export type CacheAuthConfig =
  | { readonly type: 'none' }
  /** A token that the function's role signs, for each connection. */
  | {
      readonly type: 'iam';
      readonly userId: ConfigString;
      readonly cacheName: ConfigString;
      /** Of nodes: a token says which of the two it is for. Absent: serverless. */
      readonly nodeBased?: boolean;
    }
  | {
      readonly type: 'secret';
      readonly username?: string;
      readonly secretArn: EnvRef;
      readonly jsonField?: string;
    };

/** Which answers are kept, for how long, for whom. Whole in the file: no defaults here. */
export interface CachePolicyConfig {
  readonly enabled: boolean;
  readonly ttlMs: number;
  readonly scope: CacheScope;
  /** Requests above it don't qualify, unless they have a `seed`. */
  readonly maxTemperature?: number;
  /** Only requests with a `seed` qualify. */
  readonly requireSeed: boolean;
  /** Whether requests with tools qualify. */
  readonly tools: boolean;
  /** Of the request's body. */
  readonly maxRequestBytes: number;
  /** Of an answer, before compression. */
  readonly maxAnswerBytes: number;
  readonly compressAboveBytes: number;
  /** Between two events of a replayed stream; 0: all at once. */
  readonly paceMs: number;
  /** The user's own: a new one leaves all older answers behind. */
  readonly version: string;
  /** Whether answers to similar requests are given, too; absent: only those to the same one. */
  readonly semantic?: SemanticCacheConfig;
}

/** Which answers to similar requests are given. Whole in the file: no defaults here. */
export interface SemanticCacheConfig {
  readonly embedding: EmbeddingConfig;
  /** Least cosine of two prompts' vectors. */
  readonly threshold: number;
  /**
   * What has to be the same beside the vectors being near. `strict`: marks (numbers, negations, names, …) and words;
   * `standard`: marks, and no words exchanged for as many others; `none`: nothing.
   */
  readonly guards: 'strict' | 'standard' | 'none';
  /** Embedding and search together; after that the request goes on without them. */
  readonly timeoutMs: number;
  /** Of the last message: shorter ones mean too much, longer ones hide a difference. */
  readonly minCharacters: number;
  readonly maxCharacters: number;
  /** Messages of the user's. */
  readonly maxTurns: number;
  /** Whether requests with tools qualify. */
  readonly tools: boolean;
  /** Whether requests for JSON qualify. */
  readonly structuredOutput: boolean;
}

interface EmbeddingBase {
  /** In logs, metrics and the ledger, where a backend's id stands for others. */
  readonly id: string;
  /** Numbers of a vector. */
  readonly dimensions: number;
  /** USD per million tokens. */
  readonly price: number;
}

export interface BedrockEmbeddingConfig extends EmbeddingBase {
  readonly kind: 'bedrock';
  readonly modelId: string;
  /** How the model is asked. */
  readonly format: 'titan-1' | 'titan-2' | 'cohere';
  /** Region to call; the function's own when absent. */
  readonly region?: string;
}

export interface OpenAiCompatibleEmbeddingConfig extends EmbeddingBase {
  readonly kind: 'openai-compatible';
  /** Without a trailing slash; `/embeddings` is appended. */
  readonly baseUrl: ConfigString;
  readonly model: string;
  readonly auth: BackendAuthConfig;
  readonly headers: Readonly<Record<string, string>>;
  /** Whether the server is asked for that number of dimensions, or has them anyway. */
  readonly sendDimensions: boolean;
}

export type EmbeddingConfig = BedrockEmbeddingConfig | OpenAiCompatibleEmbeddingConfig;

/**
 * Ways for a backend to fail that a policy decides about. Of the others, `invalid-request` is the client's fault and
 * `aborted` means that nobody waits any more: they are answered at once.
 */
export type FailureKind =
  | 'connection'
  | 'timeout'
  | 'throttled'
  | 'overloaded'
  | 'server'
  | 'protocol'
  | 'auth'
  | 'not-found'
  | 'low-quality';

/** What the path does when a backend of a model fails, is late, or answers badly. Whole in the file: no defaults here. */
export interface FallbackConfig {
  /** After these the next backend is asked. After others the client gets the error. */
  readonly failOverOn: readonly FailureKind[];
  /** After these, when no backend is left, those that failed so are asked once more. */
  readonly retryOn: readonly FailureKind[];
  /** How often that happens in one request, at most. */
  readonly retries: number;
  /** Retries and hedges of a process, as a share of its requests. */
  readonly retryBudget: number;
  /** A retry waits for a random time between 0 and this, doubled for each further one. */
  readonly backoffBaseMs: number;
  readonly backoffMaxMs: number;
  /** A backend that asks for a longer pause (`Retry-After`) isn't waited for. */
  readonly maxRetryAfterMs: number;
  /** A first token later than this sends the request to the next backend, while there is one. */
  readonly firstTokenMs?: number;
  /** A first token later than the model's recent 95th percentile, and than this, starts the next backend as well. */
  readonly hedgeAfterMs?: number;
  /** Absent: no backend is ever skipped. */
  readonly breaker?: BreakerConfig;
  readonly quality: QualityConfig;
  /** Whether a stream that broke off is resumed on another backend. */
  readonly resume: boolean;
}

export interface BreakerConfig {
  /** Outcomes count for this long. */
  readonly windowMs: number;
  /** Fewer outcomes than this in the window say nothing about a rate. */
  readonly minimumCalls: number;
  /** Opens at this share of failures among them. */
  readonly failureRate: number;
  /** Opens at so many failures in a row as well: a process with few requests never sees a rate. */
  readonly consecutiveFailures: number;
  /** How long it is open before one request may try again; twice as long each time that fails. */
  readonly openMs: number;
  readonly maxOpenMs: number;
  /** A first token later than this counts as a failure. */
  readonly slowFirstTokenMs?: number;
  /** A backend that refused (503, connection refused) is skipped for this long, or for its `Retry-After`. */
  readonly skipMs: number;
}

/** Which answers are too bad to hand out while another backend may do better. */
export interface QualityConfig {
  readonly empty: boolean;
  readonly contentFilter: boolean;
  readonly invalidJson: boolean;
  readonly schemaViolation: boolean;
  readonly invalidToolArguments: boolean;
  readonly repetition: boolean;
  readonly truncation: boolean;
  /** Regular expressions; an answer that matches one is a bad one. */
  readonly patterns: readonly string[];
  /** So many characters of a stream are held back to look for the patterns; 0: only whole answers are looked at. */
  readonly holdBackCharacters: number;
}

/** USD per million tokens. */
export interface PriceConfig extends TokenPricesConfig {
  /** Of prompts that are longer, for all of their tokens and their answer's; by rising length. */
  readonly longContext?: ReadonlyArray<TokenPricesConfig & { readonly aboveInputTokens: number }>;
}

export interface TokenPricesConfig {
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
  /** Of an answer that isn't streamed. Absent: an equal share of what is left, with each backend that is still there. */
  readonly wholeAnswerMs?: number;
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
  /** The server goes on with an unfinished last message when it is asked with `continue_final_message` (vLLM, SGLang). */
  readonly continueFinalMessage?: boolean;
}

export interface FleetConfig {
  /** The `fleet` metric dimension. */
  readonly name: string;
  /** Namespace of the fleet's metrics: its own, for a fleet may serve several gateways and scales on their sum. */
  readonly metricsNamespace: string;
  /** `vllm`, `sglang`, … */
  readonly engine: string;
  /** The engine keeps prefixes of consumers apart by `cache_salt`. */
  readonly cacheSalt: boolean;
  /** The engine takes `priority`, and which of two values it serves first; absent when it takes none. */
  readonly priority?: 'lower-first' | 'higher-first';
  /** Seconds for which the load balancer's cookie keeps a conversation on a task. */
  readonly stickySeconds: number;
  /** The most tasks that there may be; a task's share of the load is taken over these. 1 when absent. */
  readonly maxTasks?: number;
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

/** Fixed replies by regular expressions (case-insensitive, Unicode) on the last user message; the first that matches. */
export interface RulesBackendConfig extends BackendBase {
  readonly kind: 'rules';
  readonly rules: ReadonlyArray<{ readonly pattern: string; readonly reply: string }>;
  /** When none matches; absent: the backend isn't asked. */
  readonly otherwise?: string;
}

export type BackendConfig =
  | BedrockBackendConfig
  | OpenAiCompatibleBackendConfig
  | StaticReplyBackendConfig
  | RulesBackendConfig;

export interface TierConfig {
  readonly name: string;
  /** Names of models; all when absent. */
  readonly allowedModels?: readonly string[];
  /** Output tokens of one answer are clamped to this. */
  readonly maxOutputTokens?: number;
  /** Whom fleets serve first when requests wait: higher first, 0 when absent. */
  readonly priority?: number;
  /** What each of its consumers may use. */
  readonly limits?: TierLimitsConfig;
}

export interface TierLimitsConfig {
  readonly tokensPerMinute?: number;
  readonly requestsPerMinute?: number;
  /** USD in a calendar month, UTC. */
  readonly monthlyBudgetUsd?: number;
  /** What becomes of a request that a budget has no room for. */
  readonly onExceeded: 'block' | 'downgrade' | 'notify';
  /** Name of the model that answers instead, for `downgrade`. */
  readonly downgradeTo?: string;
  /** Percentages of a budget that are told of once each. */
  readonly thresholds: readonly number[];
  /** What becomes of requests while the ledger is out of reach; absent: refused where a budget holds. */
  readonly ledgerUnavailable?: 'refuse' | 'allow';
  /** What pauses a consumer; nothing does when absent. */
  readonly hardLimits?: HardLimitsConfig;
}

/** What a consumer may spend before it is paused. At least one of the two. */
export interface HardLimitsConfig {
  /** In a clock hour, UTC. */
  readonly hourlyUsd?: number;
  /** In a day, UTC. */
  readonly dailyUsd?: number;
  /** How long it is paused; absent: until somebody resumes it. */
  readonly pauseMs?: number;
}
