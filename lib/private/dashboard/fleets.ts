import type { IMetric, IWidget } from 'aws-cdk-lib/aws-cloudwatch';
import type { ModelFleet } from '../../fleet/model-fleet';
import type { Gateway } from '../../gateway/gateway';
import { fleetsOf } from '../gateway-fleets';
import { graphs, heading } from './rows';

const COUNT = { min: 0, showUnits: false };
const PERCENT = { min: 0, max: 100, showUnits: false };

/** A fleet's tasks, its engine's queue, and what its hours were used for. */
export function fleetRows(gateway: Gateway, metered: boolean): IWidget[] {
  return fleetsOf(gateway).flatMap(({ fleet }) => [
    heading(`Fleet ${fleet.fleetName}`),
    ...graphs(
      {
        title: 'Tasks and demand',
        leftYAxis: COUNT,
        left: [
          fleet.metricTasks({ label: 'tasks' }),
          fleet.metricDemand({ label: 'requests' }),
          fleet.metricUnserved({ label: 'requests unserved' }),
        ],
      },
      { title: 'Requests on a task', leftYAxis: COUNT, left: engineMetrics(fleet) },
      { title: 'Caches of the engine, %', leftYAxis: PERCENT, left: cacheMetrics(fleet) },
    ),
    ...(metered ? moneyOf(fleet) : []),
  ]);
}

function moneyOf(fleet: ModelFleet): IWidget[] {
  return graphs(
    { title: 'GPU-hours', leftYAxis: COUNT, left: [fleet.metricMeteredGpuHours({ label: 'GPU-hours' })] },
    { title: 'Utilization, %', leftYAxis: COUNT, left: [fleet.metricUtilization({ label: 'of expected tokens' })] },
    {
      title: 'USD per million tokens, idle included',
      leftYAxis: COUNT,
      left: [fleet.metricEffectiveUsdPerMillionTokens({ label: 'of the last day' })],
    },
  );
}

function engineMetrics(fleet: ModelFleet): IMetric[] {
  if (fleet._engine.metrics === undefined) return [];
  return [fleet.metricRunning({ label: 'running' }), fleet.metricWaiting({ label: 'waiting' })];
}

function cacheMetrics(fleet: ModelFleet): IMetric[] {
  const { metrics } = fleet._engine;
  return metrics?.prefixHits !== undefined && metrics.prefixQueries !== undefined
    ? [fleet.metricPrefixCacheHitRate()]
    : [];
}
