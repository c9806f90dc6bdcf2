import type { Resource } from '../cloudformation/stack.ts';
import { isArray, isObject, type Json } from '../cloudformation/template.ts';
import type { MetricStore } from './metric-store.ts';
import { type MetricQuery, metricQueries, metricQuery, metricsQuery } from './query.ts';

export type AlarmState = 'OK' | 'ALARM' | 'INSUFFICIENT_DATA';

export interface AlarmDefinition {
  readonly name: string;
  readonly query: MetricQuery;
  readonly threshold: number;
  /** Instead of the threshold: so many standard deviations around what the metric was before. */
  readonly bandDeviations?: number;
  /** What its message says. */
  readonly description?: string;
  readonly comparison: string;
  readonly evaluationPeriods: number;
  readonly datapointsToAlarm: number;
  readonly treatMissingData: 'missing' | 'notBreaching' | 'breaching' | 'ignore';
  /** ARNs of what happens. */
  readonly actions: { readonly [state in AlarmState]: readonly string[] };
}

const COMPARISONS: Readonly<Record<string, (value: number, threshold: number) => boolean>> = {
  GreaterThanOrEqualToThreshold: (value, threshold) => value >= threshold,
  GreaterThanThreshold: (value, threshold) => value > threshold,
  LessThanThreshold: (value, threshold) => value < threshold,
  LessThanOrEqualToThreshold: (value, threshold) => value <= threshold,
};

/** Of alarms on an anomaly band. */
const BAND_COMPARISONS: Readonly<Record<string, (value: number, band: Band) => boolean>> = {
  GreaterThanUpperThreshold: (value, { upper }) => value > upper,
  LessThanLowerThreshold: (value, { lower }) => value < lower,
  LessThanLowerOrGreaterThanUpperThreshold: (value, { lower, upper }) => value < lower || value > upper,
};

/** @throws Error for what isn't stood in for */
export function alarmOf(resource: Resource): AlarmDefinition {
  const comparison = String(resource.required('ComparisonOperator'));
  const isBand = BAND_COMPARISONS[comparison] !== undefined;
  if (COMPARISONS[comparison] === undefined && !isBand) {
    throw new Error(`${resource.logicalId}: the local run doesn't know alarms that compare by ${comparison}`);
  }
  const metrics = resource.property('Metrics');
  const periodSeconds = Number(resource.property('Period') ?? 60);
  const statistic = String(resource.property('Statistic') ?? resource.property('ExtendedStatistic') ?? 'Average');
  const source = {
    Namespace: resource.property('Namespace') ?? '',
    MetricName: resource.property('MetricName') ?? '',
    Dimensions: resource.property('Dimensions') ?? [],
  };
  const band = isBand && isArray(metrics) ? bandOf(resource, metrics) : undefined;
  const description = resource.property('AlarmDescription');
  const evaluationPeriods = Number(resource.required('EvaluationPeriods'));
  const actions = (name: string): string[] => {
    const value = resource.property(name);
    return isArray(value) && resource.property('ActionsEnabled') !== false ? value.map(String) : [];
  };
  return {
    name: resource.ref,
    query:
      band?.query ??
      (isArray(metrics) ? metricsQuery(metrics, periodSeconds) : metricQuery(source, statistic, periodSeconds)),
    threshold: band === undefined ? Number(resource.required('Threshold')) : Number.NaN,
    ...(band === undefined ? {} : { bandDeviations: band.deviations }),
    ...(description === undefined ? {} : { description: String(description) }),
    comparison,
    evaluationPeriods,
    datapointsToAlarm: Number(resource.property('DatapointsToAlarm') ?? evaluationPeriods),
    treatMissingData: missingOf(resource.property('TreatMissingData')),
    actions: {
      ALARM: actions('AlarmActions'),
      OK: actions('OKActions'),
      INSUFFICIENT_DATA: actions('InsufficientDataActions'),
    },
  };
}

/** `ANOMALY_DETECTION_BAND(metric, deviations)`, and the metric that is held against it. */
function bandOf(
  resource: Resource,
  metrics: readonly Json[],
): { readonly query: MetricQuery; readonly deviations: number } {
  const id = String(resource.required('ThresholdMetricId'));
  const band = metrics.find((metric) => isObject(metric) && metric.Id === id);
  const expression = isObject(band) ? String(band.Expression) : '';
  const [, metricId = '', deviations = '2'] =
    /^ANOMALY_DETECTION_BAND\((\w+)(?:,\s*([\d.]+))?\)$/.exec(expression) ?? [];
  const query = metricQueries(
    metrics.filter((metric) => metric !== band),
    300,
  ).get(metricId);
  if (query === undefined) throw new Error(`${resource.logicalId}: the local run can't read the band ${expression}`);
  return { query, deviations: Number(deviations) };
}

interface Band {
  readonly lower: number;
  readonly upper: number;
}

/** CloudWatch learns for up to two weeks; here a band needs some periods with data, too. */
const BAND_MS = 14 * 24 * 3_600_000;
const BAND_PERIODS = 5;
/** Of the mean: what never varied isn't alarmed by the first cent. */
const LEAST_DEVIATION = 0.1;

/**
 * An approximation of CloudWatch's anomaly band: mean and standard deviation of the metric's earlier periods, without
 * the hours of a day and the days of a week that CloudWatch knows. `undefined` before there are enough.
 */
export function anomalyBand(query: MetricQuery, deviations: number, store: MetricStore, end: number): Band | undefined {
  const values: number[] = [];
  for (let at = end - query.periodMs; at > end - BAND_MS; at -= query.periodMs) {
    const value = query.value(store, at);
    if (value !== undefined) values.push(value);
  }
  if (values.length < BAND_PERIODS) return undefined;
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  const width = deviations * Math.max(Math.sqrt(variance), LEAST_DEVIATION * Math.abs(mean));
  return { lower: mean - width, upper: mean + width };
}

function missingOf(value: unknown): AlarmDefinition['treatMissingData'] {
  return value === 'notBreaching' || value === 'breaching' || value === 'ignore' ? value : 'missing';
}

export interface AlarmEvaluation {
  readonly state: AlarmState;
  /** The latest value that there is. */
  readonly value: number | undefined;
  /** What it was held against; `undefined` while there is no band yet. */
  readonly limit?: number | undefined;
}

/** What state an alarm would be in, by the periods before `now`. */
export function evaluateAlarm(
  alarm: AlarmDefinition,
  store: MetricStore,
  now: number,
  previous: AlarmState,
): AlarmEvaluation {
  const { query, threshold, evaluationPeriods, datapointsToAlarm, treatMissingData } = alarm;
  const band = alarm.bandDeviations === undefined ? undefined : anomalyBand(query, alarm.bandDeviations, store, now);
  if (alarm.bandDeviations !== undefined && band === undefined) {
    return { state: 'INSUFFICIENT_DATA', value: query.value(store, now) };
  }
  const compare =
    band === undefined
      ? (candidate: number) => COMPARISONS[alarm.comparison]?.(candidate, threshold) ?? false
      : (candidate: number) => BAND_COMPARISONS[alarm.comparison]?.(candidate, band) ?? false;
  const limit = band === undefined ? threshold : band.upper;
  const values = Array.from({ length: evaluationPeriods }, (_, i) => query.value(store, now - i * query.periodMs));
  const present = values.filter((value) => value !== undefined);
  const value = present[0];
  if (present.length === 0 && treatMissingData === 'missing') return { state: 'INSUFFICIENT_DATA', value };
  if (present.length === 0 && treatMissingData === 'ignore') return { state: previous, value };
  const breaching = values.filter((candidate) =>
    candidate === undefined ? treatMissingData === 'breaching' : compare(candidate),
  ).length;
  return { state: breaching >= datapointsToAlarm ? 'ALARM' : 'OK', value, limit };
}
