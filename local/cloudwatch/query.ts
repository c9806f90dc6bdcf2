import { isArray, isObject, type Json, type JsonObject } from '../cloudformation/template.ts';
import { evaluateExpression, type Value } from './expression.ts';
import type { MetricStore } from './metric-store.ts';

/** One value a period: of a metric, or of metric math over several. */
export interface MetricQuery {
  readonly periodMs: number;
  /** Of the period that ends at `end`; `undefined` without data. */
  value(store: MetricStore, end: number): Value;
}

/** A metric and a statistic, as alarms and target tracking name them. */
export function metricQuery(source: JsonObject, statistic: string, periodSeconds: number): MetricQuery {
  const periodMs = periodSeconds * 1000;
  const dimensions = Object.fromEntries(
    (isArray(source.Dimensions) ? source.Dimensions : []).map((dimension) => {
      const { Name, Value } = object(dimension);
      return [String(Name), String(Value)];
    }),
  );
  const key = { namespace: String(source.Namespace), name: String(source.MetricName), dimensions };
  return { periodMs, value: (store, end) => store.statistic(key, statistic, end - periodMs, end) };
}

/**
 * `Metrics` of an alarm or of target tracking.
 * @param periodSeconds for those that name none
 */
export function metricsQuery(metrics: readonly Json[], periodSeconds: number): MetricQuery {
  const returned = metrics.map(object).filter((entry) => entry.ReturnData !== false);
  const [result] = returned;
  if (result === undefined || returned.length > 1) throw new Error('one of the metrics must return data');
  const query = metricQueries(metrics, periodSeconds).get(String(result.Id));
  if (query === undefined) throw new Error(`the metric ${String(result.Id)} has neither a statistic nor an expression`);
  return query;
}

/**
 * Metrics, and metric math over them, by their ids.
 * @param periodSeconds for those that name none
 */
export function metricQueries(metrics: readonly Json[], periodSeconds: number): Map<string, MetricQuery> {
  const entries = metrics.map(object);
  const periods = entries.map((entry) => Number(entry.Period ?? object(entry.MetricStat).Period ?? periodSeconds));
  const periodMs = Math.max(...periods) * 1000;
  const queries = new Map<string, (store: MetricStore, end: number) => Value>();
  for (const entry of entries) {
    const stat = object(entry.MetricStat);
    if (entry.MetricStat !== undefined) {
      const query = metricQuery(object(stat.Metric), String(stat.Stat), Number(stat.Period ?? periodSeconds));
      queries.set(String(entry.Id), query.value);
    }
  }
  for (const entry of entries) {
    if (entry.Expression === undefined) continue;
    const expression = String(entry.Expression);
    const named = new Set(expression.match(/[A-Za-z_]\w*/g));
    queries.set(String(entry.Id), (store, end) => {
      const values = new Map<string, Value>();
      for (const [id, query] of queries) if (named.has(id)) values.set(id, query(store, end));
      return evaluateExpression(expression, values);
    });
  }
  return new Map([...queries].map(([id, value]) => [id, { periodMs, value }]));
}

function object(value: Json | undefined): JsonObject {
  return isObject(value) ? value : {};
}
