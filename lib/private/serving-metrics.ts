import { Duration } from 'aws-cdk-lib';
import { Metric, type MetricOptions, Stats } from 'aws-cdk-lib/aws-cloudwatch';

/** Namespace of the metrics that the handler writes in its log (embedded metric format). */
export const METRICS_NAMESPACE = 'LlmServing';

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
  ],
  tier: ['Requests', 'Errors', 'InputTokens', 'OutputTokens', 'CostUsd'],
} as const;

export type MetricDimension = keyof typeof METRICS_BY_DIMENSION;

/** Sums of counts, medians of times, unless told otherwise; over 5 minutes. */
export function servingMetric<D extends MetricDimension>(
  dimension: D,
  value: string,
  metricName: (typeof METRICS_BY_DIMENSION)[D][number],
  options: MetricOptions = {},
): Metric {
  const isTime = metricName === 'TimeToFirstToken' || metricName === 'Duration';
  return new Metric({
    namespace: METRICS_NAMESPACE,
    metricName,
    dimensionsMap: { [dimension]: value },
    statistic: isTime ? Stats.p(50) : Stats.SUM,
    period: Duration.minutes(5),
    ...options,
  });
}
