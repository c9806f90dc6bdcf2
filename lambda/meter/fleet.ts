import type { MeteredFleet } from '../../lib/private/meter-config.ts';
import { type Datum, type Metrics, type Query, type Series, sumOf } from './metrics.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** One value of each metric. */
const WINDOW_MS = 5 * MINUTE_MS;
/** Container Insights' values arrive some minutes late; a window is metered once, so when they are all there. */
const LAG_MS = 10 * MINUTE_MS;
/** Runs that were missed are made good. */
const LOOK_BACK_MS = 6 * HOUR_MS;
/** The effective price is a day's: of a quiet minute it says nothing. */
const DAY_MS = 24 * HOUR_MS;

const CONTAINER_INSIGHTS = 'ECS/ContainerInsights';

/** Publishes each window of a fleet that isn't published yet, and the effective price of the last day. */
export async function meterFleet(
  fleet: MeteredFleet,
  gatewayNamespace: string,
  metrics: Metrics,
  now: number,
): Promise<{ fleet: string; windows: number; usd: number }> {
  const to = Math.floor((now - LAG_MS) / WINDOW_MS) * WINDOW_MS;
  const from = to - LOOK_BACK_MS;
  const [instances, tasks, published, ...tokens] = await metrics.read(
    [
      insights('ContainerInstanceCount', { ClusterName: fleet.cluster }),
      insights('RunningTaskCount', { ClusterName: fleet.cluster, ServiceName: fleet.service }),
      own(fleet, 'FleetCostUsd', 'SampleCount'),
      ...tokenQueries(fleet, gatewayNamespace),
    ],
    { from, to, periodMs: WINDOW_MS },
  );
  const data: Datum[] = [];
  let windows = 0;
  let usd = 0;
  for (let time = from; time < to; time += WINDOW_MS) {
    if (published?.has(time)) continue;
    // Without a value there is no instance: Container Insights counts what is registered with the cluster.
    const count = instances?.get(time) ?? Math.ceil((tasks?.get(time) ?? 0) / fleet.tasksPerInstance);
    const hours = (count * WINDOW_MS) / HOUR_MS;
    const cost = costOf(fleet, count, WINDOW_MS / HOUR_MS);
    windows += 1;
    usd += cost;
    const put = (name: string, unit: Datum['unit'], value: number): void => {
      data.push({ name, unit, value, time, dimensions: { fleet: fleet.name } });
    };
    put('GpuHours', 'None', hours * fleet.gpusPerInstance);
    put('FleetCostUsd', 'None', cost);
    const expected = hours * fleet.tasksPerInstance * fleet.expectedTokensPerHour;
    if (expected > 0) put('Utilization', 'Percent', (100 * at(tokens, time)) / expected);
  }
  await metrics.write(fleet.namespace, data);
  await publishEffectivePrice(fleet, gatewayNamespace, metrics, to);
  return { fleet: fleet.name, windows, usd: Number(usd.toFixed(4)) };
}

/** On-demand instances come first: Auto Scaling keeps the base before it asks for Spot. */
function costOf({ instanceHourlyUsd, onDemandBase }: MeteredFleet, instances: number, hours: number): number {
  const base = Math.min(instances, onDemandBase?.instances ?? 0);
  return hours * (base * (onDemandBase?.hourlyUsd ?? 0) + (instances - base) * instanceHourlyUsd);
}

/** What a million tokens of the last 24 hours cost, the hours without any included. */
async function publishEffectivePrice(
  fleet: MeteredFleet,
  gatewayNamespace: string,
  metrics: Metrics,
  to: number,
): Promise<void> {
  const [cost, ...tokens] = await metrics.read(
    [own(fleet, 'FleetCostUsd', 'Sum'), ...tokenQueries(fleet, gatewayNamespace)],
    { from: to - DAY_MS, to, periodMs: WINDOW_MS },
  );
  const total = tokens.reduce((sum, series) => sum + sumOf(series), 0);
  if (total === 0) return;
  const value = (sumOf(cost) / total) * 1_000_000;
  const dimensions = { fleet: fleet.name };
  const name = 'EffectiveUsdPerMillionTokens';
  await metrics.write(fleet.namespace, [{ name, unit: 'None', value, time: to, dimensions }]);
}

function insights(name: string, dimensions: Query['dimensions']): Query {
  return { namespace: CONTAINER_INSIGHTS, name, dimensions, statistic: 'Average' };
}

function own(fleet: MeteredFleet, name: string, statistic: Query['statistic']): Query {
  return { namespace: fleet.namespace, name, dimensions: { fleet: fleet.name }, statistic };
}

function tokenQueries(fleet: MeteredFleet, namespace: string): Query[] {
  return fleet.backends.flatMap(([model, backend]) =>
    ['InputTokens', 'OutputTokens'].map(
      (name): Query => ({ namespace, name, dimensions: { model, backend }, statistic: 'Sum' }),
    ),
  );
}

const at = (series: readonly Series[], time: number): number =>
  series.reduce((sum, each) => sum + (each.get(time) ?? 0), 0);
