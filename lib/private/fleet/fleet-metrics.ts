import { Duration } from 'aws-cdk-lib';
import { Metric, type MetricOptions, Stats } from 'aws-cdk-lib/aws-cloudwatch';

const FIVE_MINUTES = Duration.minutes(5);

/** Where a fleet's metrics are: those of its engine, by way of the agent, and those that gateways write of it. */
export interface FleetMetricsPlace {
  readonly namespace: string;
  readonly fleet: string;
}

export function fleetMetric(place: FleetMetricsPlace, metricName: string, options: MetricOptions = {}): Metric {
  return new Metric({
    namespace: place.namespace,
    metricName,
    dimensionsMap: { fleet: place.fleet },
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
