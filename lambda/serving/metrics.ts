/**
 * The metrics of a request, in CloudWatch's embedded metric format: fields of the request's log line, out of which
 * CloudWatch makes metrics. Each metric name with each combination of dimension values is a metric to pay for, so that
 * a dimension has few values (models, backends, tiers, declared features), and a set has only the metrics that
 * somebody looks at by it.
 *
 * | metric | unit | counts |
 * |---|---|---|
 * | Requests | Count | chat completions, refused ones too |
 * | Errors | Count | those that failed by our or a backend's fault: 5xx, or an answer that broke off |
 * | ClientErrors | Count | those refused with 4xx, 429 of a backend included |
 * | InputTokens, OutputTokens, CachedInputTokens | Count | as billed; cached ones are among the input ones |
 * | CostUsd | None | USD |
 * | LedgerErrors | Count | requests that the ledger didn't admit or settle in time |
 * | BudgetThresholds | Count | shares of budgets (50, 80, 100 %) that spending just passed |
 * | ConsumersPaused | Count | consumers that were paused, for they crossed a hard limit |
 * | TimeToFirstToken | Milliseconds | of streams, from the invocation's start |
 * | Duration | Milliseconds | from the invocation's start to the answer's end |
 * | Fallbacks | Count | backends that were passed over before one answered: failed, or known to be down |
 * | AllBackendsFailed | Count | requests that no model answered: they ended with an error, or a fixed reply |
 * | CredentialErrors | Count | refusals for a credential or a model's name of ours: somebody has to mend it |
 * | BreakersOpened | Count | times that a process stopped asking a backend for a while |
 * | BackendErrors | Count | failures of one backend, also those that another one made good |
 * | RoutedToCheap | Count | requests that the routing policy sent to the cheap backend first |
 * | UsageEstimated | Count | requests that a backend told no usage for: what they cost is an estimate |
 * | CacheHits, CacheMisses | Count | requests that qualify for the cache, answered from it or not |
 * | CacheErrors | Count | those for which the cache wasn't there in time |
 * | SemanticHits | Count | requests that similar ones were looked for, and those that got such an answer |
 * | SemanticErrors | Count | those whose embedding or search failed or was late |
 * | SemanticScore | None | cosine to the request whose answer was given |
 * | SavedUsd | None | what answers out of the cache had cost, USD |
 * | Demand | Count | requests that wanted a fleet, also one without a task: what wakes it and keeps it awake |
 * | Unserved | Count | those among them that the fleet didn't answer |
 *
 * @see https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
 */
export const UNITS = {
  Requests: 'Count',
  Errors: 'Count',
  ClientErrors: 'Count',
  InputTokens: 'Count',
  OutputTokens: 'Count',
  CachedInputTokens: 'Count',
  CostUsd: 'None',
  LedgerErrors: 'Count',
  BudgetThresholds: 'Count',
  ConsumersPaused: 'Count',
  TimeToFirstToken: 'Milliseconds',
  Duration: 'Milliseconds',
  Fallbacks: 'Count',
  BackendErrors: 'Count',
  Demand: 'Count',
  Unserved: 'Count',
  AllBackendsFailed: 'Count',
  CredentialErrors: 'Count',
  BreakersOpened: 'Count',
  RoutedToCheap: 'Count',
  UsageEstimated: 'Count',
  CacheHits: 'Count',
  CacheMisses: 'Count',
  CacheErrors: 'Count',
  SemanticHits: 'Count',
  SemanticErrors: 'Count',
  SemanticScore: 'None',
  SavedUsd: 'None',
} as const;

export type MetricName = keyof typeof UNITS;
export type MetricValues = Partial<Record<MetricName, number>>;

type DimensionName = 'model' | 'backend' | 'tier' | 'feature' | 'fleet';

/** Which metrics exist by which dimensions. */
export const DIMENSION_SETS: ReadonlyArray<{
  readonly dimensions: ReadonlyArray<DimensionName>;
  readonly metrics: readonly MetricName[];
}> = [
  // The whole gateway: what alarms and the month's budget are about.
  { dimensions: [], metrics: ['CostUsd', 'UsageEstimated', 'ConsumersPaused'] },
  {
    dimensions: ['model'],
    metrics: [
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
  },
  {
    dimensions: ['model', 'backend'],
    metrics: [
      'Requests',
      'BackendErrors',
      'InputTokens',
      'OutputTokens',
      'CostUsd',
      'TimeToFirstToken',
      'CredentialErrors',
      'BreakersOpened',
    ],
  },
  {
    dimensions: ['tier'],
    metrics: ['Requests', 'Errors', 'InputTokens', 'OutputTokens', 'CostUsd', 'LedgerErrors', 'BudgetThresholds'],
  },
  // The engine's own metrics have the same dimension.
  { dimensions: ['fleet'], metrics: ['Demand', 'Unserved'] },
  { dimensions: ['feature'], metrics: ['Requests', 'InputTokens', 'OutputTokens', 'CostUsd'] },
];

/** A dimension's value when there is none: a model that doesn't exist, a key without a tier. */
export const NO_VALUE = 'none';

type Dimensions = Partial<Record<DimensionName, string>>;

/** Counted by a line of a backend's own, although they are metrics of the model as well. */
const OF_BACKENDS: ReadonlySet<MetricName> = new Set(['CredentialErrors', 'BreakersOpened']);

/**
 * Fields to put into a log line: the dimensions, the values, and `_aws`, which says what is a metric.
 *
 * @param of `backend` for a line about one backend, whose request has a line of its own
 */
export function embeddedMetrics(
  namespace: string,
  timestamp: number,
  dimensions: Dimensions,
  values: MetricValues,
  of: 'request' | 'backend' = 'request',
): Record<string, unknown> {
  const isCounted = (set: (typeof DIMENSION_SETS)[number], name: MetricName): boolean =>
    values[name] !== undefined && (of === 'request' || set.dimensions.includes('backend') || OF_BACKENDS.has(name));
  const directives = DIMENSION_SETS.filter((set) => set.dimensions.every((name) => dimensions[name] !== undefined))
    .map((set) => ({
      Namespace: namespace,
      Dimensions: [set.dimensions],
      Metrics: set.metrics.filter((name) => isCounted(set, name)).map((Name) => ({ Name, Unit: UNITS[Name] })),
    }))
    .filter((directive) => directive.Metrics.length > 0);
  return { _aws: { Timestamp: timestamp, CloudWatchMetrics: directives }, ...dimensions, ...values };
}
