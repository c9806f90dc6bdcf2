import { Duration } from 'aws-cdk-lib';
import { Metric, type MetricOptions, Stats } from 'aws-cdk-lib/aws-cloudwatch';
import { METRICS_NAMESPACE } from '../serving-metrics';

const FIVE_MINUTES = Duration.minutes(5);

/** A metric with the dimension `fleet`: the engine's own by way of the agent, or the gateway's. */
export function fleetMetric(fleet: string, metricName: string, options: MetricOptions = {}): Metric {
  return new Metric({
    namespace: METRICS_NAMESPACE,
    metricName,
    dimensionsMap: { fleet },
    statistic: Stats.AVERAGE,
    period: FIVE_MINUTES,
    ...options,
  });
}

/** Container Insights' metric of a service. */
export function serviceMetric(
  clusterName: string,
  serviceName: string,
  metricName: string,
  options: MetricOptions = {},
): Metric {
  return new Metric({
    namespace: 'ECS/ContainerInsights',
    metricName,
    dimensionsMap: { ClusterName: clusterName, ServiceName: serviceName },
    statistic: Stats.AVERAGE,
    period: FIVE_MINUTES,
    ...options,
  });
}
