import type { Resource } from '../cloudformation/stack.ts';
import { isArray } from '../cloudformation/template.ts';
import type { MetricStore } from './metric-store.ts';
import { type MetricQuery, metricQuery, metricsQuery } from './query.ts';

export type AlarmState = 'OK' | 'ALARM' | 'INSUFFICIENT_DATA';

export interface AlarmDefinition {
  readonly name: string;
  readonly query: MetricQuery;
  readonly threshold: number;
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

/** @throws Error for what isn't stood in for */
export function alarmOf(resource: Resource): AlarmDefinition {
  const comparison = String(resource.required('ComparisonOperator'));
  if (COMPARISONS[comparison] === undefined) {
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
  const evaluationPeriods = Number(resource.required('EvaluationPeriods'));
  const actions = (name: string): string[] => {
    const value = resource.property(name);
    return isArray(value) && resource.property('ActionsEnabled') !== false ? value.map(String) : [];
  };
  return {
    name: resource.ref,
    query: isArray(metrics) ? metricsQuery(metrics, periodSeconds) : metricQuery(source, statistic, periodSeconds),
    threshold: Number(resource.required('Threshold')),
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

function missingOf(value: unknown): AlarmDefinition['treatMissingData'] {
  return value === 'notBreaching' || value === 'breaching' || value === 'ignore' ? value : 'missing';
}

export interface AlarmEvaluation {
  readonly state: AlarmState;
  /** The latest value that there is. */
  readonly value: number | undefined;
}

/** What state an alarm would be in, by the periods before `now`. */
export function evaluateAlarm(
  alarm: AlarmDefinition,
  store: MetricStore,
  now: number,
  previous: AlarmState,
): AlarmEvaluation {
  const { query, threshold, evaluationPeriods, datapointsToAlarm, treatMissingData } = alarm;
  const compare = COMPARISONS[alarm.comparison] ?? (() => false);
  const values = Array.from({ length: evaluationPeriods }, (_, i) => query.value(store, now - i * query.periodMs));
  const present = values.filter((value) => value !== undefined);
  const value = present[0];
  if (present.length === 0 && treatMissingData === 'missing') return { state: 'INSUFFICIENT_DATA', value };
  if (present.length === 0 && treatMissingData === 'ignore') return { state: previous, value };
  const breaching = values.filter((candidate) =>
    candidate === undefined ? treatMissingData === 'breaching' : compare(candidate, threshold),
  ).length;
  return { state: breaching >= datapointsToAlarm ? 'ALARM' : 'OK', value };
}
