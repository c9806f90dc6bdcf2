import { Token } from 'aws-cdk-lib';
import { type Metric, type MetricOptions, Stats } from 'aws-cdk-lib/aws-cloudwatch';
import { Construct } from 'constructs';
import type { CachePolicy } from '../cache/cache-policy';
import { checkCheapBackend } from '../private/routing';
import { ServingMetrics } from '../private/serving-metrics';
import { requireInteger, requireKnown, requireUnique } from '../private/validation';
import type { IBackend } from './backend';
import { FallbackPolicy } from './fallback-policy';
import type { RoutingPolicy } from './routing-policy';

/** `GET /v1/models` says when a model was made. A clock would make every synthesis differ. 2025-01-01T00:00:00Z */
const DEFAULT_CREATED = 1735689600;

/** A name that clients send: also in metrics and in a URL's path. */
const MODEL_NAME = /^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$/;

/** Properties of a model. */
export interface ModelProps {
  /**
   * What clients send as `model`: letters, digits and `._:/-`, at most 128. Unique within a gateway.
   *
   * @default - the construct's id, in lower case
   */
  readonly modelName?: string;

  /**
   * Other names for the same model, for clients that have one built in.
   *
   * @default - none
   */
  readonly aliases?: string[];

  /** What can answer, in the order in which it is tried; at least one. */
  readonly backends: IBackend[];

  /**
   * What is done when a backend fails, is late, or answers badly.
   *
   * @default FallbackPolicy.standard()
   */
  readonly fallback?: FallbackPolicy;

  /**
   * Which requests a cheaper one of the backends gets first.
   *
   * @default - none: each request goes to the backends in their order
   */
  readonly routing?: RoutingPolicy;

  /**
   * What the gateway's cache does for it; without a cache, nothing.
   *
   * @default - the policy of the cache
   */
  readonly cache?: CachePolicy;

  /**
   * How many tokens an answer may have: a request that asks for more is clamped to this.
   *
   * @default - each backend's own maximum
   */
  readonly maxOutputTokens?: number;

  /**
   * Who is said to own it in `GET /v1/models`.
   *
   * @default 'cdk-llm-serving'
   */
  readonly ownedBy?: string;

  /**
   * When it is said to have been made in `GET /v1/models`, as Unix time in seconds.
   *
   * @default 1735689600 - the start of 2025
   */
  readonly createdUnixSeconds?: number;
}

/** A name that clients ask for, and the ordered list of backends behind it. */
export class Model extends Construct {
  /** What clients send as `model`. */
  public readonly modelName: string;

  /** Other names for the same model. */
  public readonly aliases: string[];

  /** What can answer, in the order in which it is tried. */
  public readonly backends: IBackend[];

  /** What is done when a backend fails, is late, or answers badly. */
  public readonly fallback: FallbackPolicy;

  /** Which requests a cheaper one of the backends gets first. */
  public readonly routing?: RoutingPolicy;
  /** What the gateway's cache does for it; undefined for the cache's own policy. */
  public readonly cache?: CachePolicy;

  /** Who is said to own it in `GET /v1/models`. */
  public readonly ownedBy: string;

  /** When it is said to have been made, as Unix time in seconds. */
  public readonly createdUnixSeconds: number;

  /** How many tokens an answer may have. */
  public readonly maxOutputTokens?: number;

  private readonly metrics: ServingMetrics<'model'>;

  constructor(scope: Construct, id: string, props: ModelProps) {
    super(scope, id);
    const modelName = props.modelName ?? id.toLowerCase();
    const names = [modelName, ...(props.aliases ?? [])];
    for (const name of names) {
      const fromId = name === modelName && props.modelName === undefined;
      if (Token.isUnresolved(name) || !MODEL_NAME.test(name)) {
        throw new Error(
          `a model's name must be 1–128 letters, digits or "._:/-" and begin with a letter or digit, got "${name}"${fromId ? ", the construct's id in lower case: pass modelName" : ''}`,
        );
      }
    }
    requireUnique('modelName and aliases', names);
    if (props.backends.length === 0) {
      throw new Error(
        `model "${modelName}" has no backends: pass at least one, such as Backend.bedrock('amazon.nova-lite-v1:0')`,
      );
    }
    requireUnique(
      `the backends of model "${modelName}"`,
      props.backends.map((backend) => backend.backendId),
    );
    requireKnown('maxOutputTokens', props.maxOutputTokens);
    requireInteger('maxOutputTokens', props.maxOutputTokens, 1);
    requireKnown('createdUnixSeconds', props.createdUnixSeconds);
    requireInteger('createdUnixSeconds', props.createdUnixSeconds, 0);
    this.modelName = modelName;
    this.metrics = new ServingMetrics('model', modelName);
    this.aliases = [...(props.aliases ?? [])];
    this.backends = [...props.backends];
    this.fallback = props.fallback ?? FallbackPolicy.standard();
    if (props.routing !== undefined) checkCheapBackend(this, modelName, props.routing.cheap, props.backends);
    this.routing = props.routing;
    this.cache = props.cache;
    this.ownedBy = props.ownedBy ?? 'cdk-llm-serving';
    this.createdUnixSeconds = props.createdUnixSeconds ?? DEFAULT_CREATED;
    this.maxOutputTokens = props.maxOutputTokens;
  }

  /** Chat completions that asked for this model; their sum over 5 minutes unless told otherwise. */
  public metricRequests(options?: MetricOptions): Metric {
    return this.metrics.metric('Requests', options);
  }

  /** Those that failed by a fault of ours or of a backend; their sum over 5 minutes unless told otherwise. */
  public metricErrors(options?: MetricOptions): Metric {
    return this.metrics.metric('Errors', options);
  }

  /** Those that were refused with a 4xx; their sum over 5 minutes unless told otherwise. */
  public metricClientErrors(options?: MetricOptions): Metric {
    return this.metrics.metric('ClientErrors', options);
  }

  /**
   * Backends that were passed over before one answered, failed or known to be down; their sum over 5 minutes unless told
   * otherwise.
   */
  public metricFallbacks(options?: MetricOptions): Metric {
    return this.metrics.metric('Fallbacks', options);
  }

  /** Requests that no model answered, only an error or a fixed reply; their sum over 5 minutes unless told otherwise. */
  public metricAllBackendsFailed(options?: MetricOptions): Metric {
    return this.metrics.metric('AllBackendsFailed', options);
  }

  /** Refusals for a credential or a model's name of yours; their sum over 5 minutes unless told otherwise. */
  public metricCredentialErrors(options?: MetricOptions): Metric {
    return this.metrics.metric('CredentialErrors', options);
  }

  /**
   * How often a process of the gateway stopped asking a backend for a while; the sum over 5 minutes unless told otherwise.
   */
  public metricBreakersOpened(options?: MetricOptions): Metric {
    return this.metrics.metric('BreakersOpened', options);
  }

  /**
   * Requests that the routing policy sent to the cheap backend first; their sum over 5 minutes unless told otherwise. A
   * model without such a policy has none.
   */
  public metricRoutedToCheap(options?: MetricOptions): Metric {
    return this.metrics.metric('RoutedToCheap', options);
  }

  /** Input tokens, cached ones among them; their sum over 5 minutes unless told otherwise. */
  public metricInputTokens(options?: MetricOptions): Metric {
    return this.metrics.metric('InputTokens', options);
  }

  /** Output tokens; their sum over 5 minutes unless told otherwise. */
  public metricOutputTokens(options?: MetricOptions): Metric {
    return this.metrics.metric('OutputTokens', options);
  }

  /** What the answers cost, in USD; the sum over 5 minutes unless told otherwise. */
  public metricCostUsd(options?: MetricOptions): Metric {
    return this.metrics.metric('CostUsd', options);
  }

  /**
   * What the answers of one of the model's backends cost, in USD; the sum over 5 minutes unless told otherwise.
   *
   * @throws when the model doesn't have that backend
   */
  public metricBackendCostUsd(backendId: string, options?: MetricOptions): Metric {
    if (!this.backends.some((backend) => backend.backendId === backendId)) {
      throw new Error(
        `model "${this.modelName}" has no backend "${backendId}": it has ${this.backends.map((backend) => backend.backendId).join(', ')}`,
      );
    }
    return this.metrics.metric('CostUsd', { dimensionsMap: { model: this.modelName, backend: backendId }, ...options });
  }

  /** Input tokens from a prompt cache; their sum over 5 minutes unless told otherwise. */
  public metricCachedInputTokens(options?: MetricOptions): Metric {
    return this.metrics.metric('CachedInputTokens', options);
  }

  /** Answers out of the cache; their sum over 5 minutes unless told otherwise. */
  public metricCacheHits(options?: MetricOptions): Metric {
    return this.metrics.metric('CacheHits', options);
  }

  /** Requests that qualified for the cache and were answered anew; their sum over 5 minutes unless told otherwise. */
  public metricCacheMisses(options?: MetricOptions): Metric {
    return this.metrics.metric('CacheMisses', options);
  }

  /** Requests for which the cache wasn't there in time; their sum over 5 minutes unless told otherwise. */
  public metricCacheErrors(options?: MetricOptions): Metric {
    return this.metrics.metric('CacheErrors', options);
  }

  /**
   * Answers that were given to requests that are only similar, among those out of the cache; their sum over 5 minutes
   * unless told otherwise.
   */
  public metricSemanticHits(options?: MetricOptions): Metric {
    return this.metrics.metric('SemanticHits', options);
  }

  /**
   * Requests for which similar ones couldn't be looked for: the embedding or the search failed or was late; their sum over
   * 5 minutes unless told otherwise.
   */
  public metricSemanticErrors(options?: MetricOptions): Metric {
    return this.metrics.metric('SemanticErrors', options);
  }

  /** How near the requests were whose answers were given, as a cosine; the least over 5 minutes unless told otherwise. */
  public metricSemanticScore(options?: MetricOptions): Metric {
    return this.metrics.metric('SemanticScore', { statistic: Stats.MINIMUM, ...options });
  }

  /** What answers out of the cache had cost, in USD; the sum over 5 minutes unless told otherwise. */
  public metricSavedUsd(options?: MetricOptions): Metric {
    return this.metrics.metric('SavedUsd', options);
  }

  /** Milliseconds to the first token of a stream; the median over 5 minutes unless told otherwise. */
  public metricTimeToFirstToken(options?: MetricOptions): Metric {
    return this.metrics.metric('TimeToFirstToken', options);
  }

  /** Milliseconds to the end of an answer; the median over 5 minutes unless told otherwise. */
  public metricDuration(options?: MetricOptions): Metric {
    return this.metrics.metric('Duration', options);
  }

  /** @internal */
  public _addedToGateway(metricsNamespace: string): void {
    this.metrics.addNamespace(metricsNamespace);
  }
}
