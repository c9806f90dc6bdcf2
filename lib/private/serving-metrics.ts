import { Duration, Lazy } from 'aws-cdk-lib';
import { Metric, type MetricOptions, Stats } from 'aws-cdk-lib/aws-cloudwatch';

/** The metrics that the handler writes of a gateway as a whole, without a dimension. */
export const METRICS_OF_GATEWAY = ['CostUsd', 'UsageEstimated', 'ConsumersPaused'] as const;

/** The metrics that a queue of jobs writes of its gateway, without a dimension. */
export const METRICS_OF_JOBS = ['JobsSucceeded', 'JobsFailed', 'JobsCancelled', 'JobsExpired'] as const;

/** The metrics that the handler writes for each dimension; a test holds them equal to the handler's own list. */
export const METRICS_BY_DIMENSION = {
  model: [
    'Requests',
    'Errors',
    'ClientErrors',
    'InputTokens',
    'OutputTokens',
    'CachedInputTokens',
    'CostUsd',
    'TimeToFirstToken',
    'Duration',
    'Fallbacks',
    'AllBackendsFailed',
    'CredentialErrors',
    'BreakersOpened',
    'RoutedToCheap',
    'CacheHits',
    'CacheMisses',
    'CacheErrors',
    'SemanticHits',
    'SemanticErrors',
    'SemanticScore',
    'SavedUsd',
  ],
  tier: ['Requests', 'Errors', 'InputTokens', 'OutputTokens', 'CostUsd', 'LedgerErrors', 'BudgetThresholds'],
  feature: ['Requests', 'InputTokens', 'OutputTokens', 'CostUsd'],
} as const;

/** A sum over 5 minutes, unless told otherwise. */
export function servingSum(
  namespace: string,
  metricName: string,
  dimensionsMap: Record<string, string>,
  options: MetricOptions = {},
): Metric {
  return new Metric({
    namespace,
    metricName,
    dimensionsMap,
    statistic: Stats.SUM,
    period: Duration.minutes(5),
    ...options,
  });
}

export type MetricDimension = keyof typeof METRICS_BY_DIMENSION;

/**
 * The metrics of a model or a tier. They are in the namespace of the gateway that has it, which may not be known before
 * synthesis.
 */
export class ServingMetrics<D extends MetricDimension> {
  private readonly namespaces = new Set<string>();

  constructor(
    private readonly dimension: D,
    private readonly value: string,
  ) {}

  /** Says that a gateway with this namespace has the model or the tier. */
  public addNamespace(namespace: string): void {
    this.namespaces.add(namespace);
  }

  /** Sums of counts, medians of times, unless told otherwise; over 5 minutes. */
  public metric(metricName: (typeof METRICS_BY_DIMENSION)[D][number], options: MetricOptions = {}): Metric {
    const isTime = metricName === 'TimeToFirstToken' || metricName === 'Duration';
    return new Metric({
      namespace: Lazy.uncachedString({ produce: () => this.namespace() }),
      metricName,
      dimensionsMap: { [this.dimension]: this.value },
      statistic: isTime ? Stats.p(50) : Stats.SUM,
      period: Duration.minutes(5),
      ...options,
    });
  }

  private namespace(): string {
    const [namespace, another] = this.namespaces;
    if (namespace === undefined) {
      throw new Error(
        `${this.dimension} "${this.value}" has no metrics, for it is in no gateway: pass it in the gateway's ${this.dimension}s`,
      );
    }
    if (another !== undefined) {
      throw new Error(
        `${this.dimension} "${this.value}" is in gateways with different metricsNamespace, "${namespace}" and "${another}": give both the same one`,
      );
    }
    return namespace;
  }
}
