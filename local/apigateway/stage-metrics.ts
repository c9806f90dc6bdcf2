import type { MetricStore } from '../cloudwatch/metric-store.ts';
import type { RestApiDefinition } from './definition.ts';

/**
 * What a stage tells CloudWatch of each request: 1 or 0 of each kind of error, so that averages are rates.
 *
 * @see https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-metrics-and-dimensions.html
 */
export function stageMetrics({ name, stage }: RestApiDefinition, store: MetricStore) {
  const dimensions = { ApiName: name, Stage: stage.name };
  const put = (metric: string, value: number): void =>
    store.put({ namespace: 'AWS/ApiGateway', name: metric, dimensions }, value);
  return (status: number, latencyMs: number): void => {
    put('Count', 1);
    put('4XXError', status >= 400 && status < 500 ? 1 : 0);
    put('5XXError', status >= 500 ? 1 : 0);
    put('Latency', latencyMs);
  };
}
