import { isArray, isObject } from '../cloudformation/template.ts';
import type { MetricStore } from './metric-store.ts';

/** Puts what a log line in CloudWatch's embedded metric format says into the store. Other lines are left alone. */
export function putEmbeddedMetrics(store: MetricStore, line: string): void {
  // Most lines are none, and parsing each would cost.
  if (!line.includes('"_aws"')) return;
  let parsed: unknown;
  try {
    parsed = JSON.parse(line);
  } catch {
    return;
  }
  if (!isObject(parsed) || !isObject(parsed._aws)) return;
  const { CloudWatchMetrics: directives } = parsed._aws;
  for (const directive of isArray(directives) ? directives : []) {
    if (!isObject(directive) || !isArray(directive.Dimensions) || !isArray(directive.Metrics)) continue;
    for (const set of directive.Dimensions) {
      if (!isArray(set)) continue;
      const dimensions = Object.fromEntries(set.map((name) => [String(name), String(parsed[String(name)])]));
      for (const metric of directive.Metrics) {
        const name = isObject(metric) ? String(metric.Name) : '';
        const value = parsed[name];
        for (const single of isArray(value) ? value : [value]) {
          if (typeof single === 'number') {
            store.put({ namespace: String(directive.Namespace), name, dimensions }, single);
          }
        }
      }
    }
  }
}
