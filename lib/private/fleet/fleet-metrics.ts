import { Duration } from 'aws-cdk-lib';
import { Metric, type MetricOptions, Stats } from 'aws-cdk-lib/aws-cloudwatch';

const FIVE_MINUTES = Duration.minutes(5);

export interface FleetMetricSource {
  readonly fleetName: string;
  /** The fleet's own, so that another fleet of the same name in the account doesn't scale it. */
  readonly namespace: string;
}

/** A metric with the dimension `fleet`: the engine's own by way of the agent, or the gateways'. */
export function fleetMetric(
  { fleetName, namespace }: FleetMetricSource,
  metricName: string,
  options: MetricOptions = {},
): Metric {
  return new Metric({
    namespace,
    metricName,
    dimensionsMap: { fleet: fleetName },
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
