import type { MeterConfig } from '../../lib/private/meter-config.ts';
import type { Metrics, Query } from './metrics.ts';

const HOUR_MS = 3_600_000;
/** A week has each of its days once. */
const PACE_MS = 7 * 24 * HOUR_MS;

export interface Month {
  readonly toDateUsd: number;
  readonly forecastUsd: number;
}

/** Publishes what the month (by UTC) has cost so far, and what it will if its rest is like the last seven days. */
export async function meterMonth(config: MeterConfig, metrics: Metrics, now: number): Promise<Month> {
  const date = new Date(now);
  const monthStart = Date.UTC(date.getUTCFullYear(), date.getUTCMonth());
  const monthEnd = Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1);
  const thisHour = Math.floor(now / HOUR_MS) * HOUR_MS;
  const paceStart = thisHour + HOUR_MS - PACE_MS;
  const { namespace, fleets } = config;
  const cost = (dimensions: Query['dimensions']): Query => ({
    namespace,
    name: 'CostUsd',
    dimensions,
    statistic: 'Sum',
  });
  // What fleets answered has a price by the token in the total; what they cost are their instances' hours.
  const byTokens = fleets.flatMap(({ backends }) => backends.map(([model, backend]) => cost({ model, backend })));
  const byHours = fleets.map(
    (fleet): Query => ({
      namespace: fleet.namespace,
      name: 'FleetCostUsd',
      dimensions: { fleet: fleet.name },
      statistic: 'Sum',
    }),
  );
  const series = await metrics.read([cost({}), ...byTokens, ...byHours], {
    from: Math.min(monthStart, paceStart),
    to: thisHour + HOUR_MS,
    periodMs: HOUR_MS,
  });
  const signs = [1, ...byTokens.map(() => -1), ...byHours.map(() => 1)];
  let toDateUsd = 0;
  let paceUsd = 0;
  let first = Number.POSITIVE_INFINITY;
  for (const [index, values] of series.entries()) {
    for (const [time, value] of values) {
      const usd = value * (signs[index] ?? 0);
      if (time >= monthStart) toDateUsd += usd;
      if (time >= paceStart) {
        paceUsd += usd;
        first = Math.min(first, time);
      }
    }
  }
  // Neither a gateway of two days' age nor one of two minutes' has seven days to go by.
  const pastMs = Math.max(HOUR_MS, now - Math.max(first, now - PACE_MS));
  toDateUsd = usdOf(toDateUsd);
  const forecastUsd = usdOf(toDateUsd + (Math.max(0, paceUsd) / pastMs) * (monthEnd - now));
  await metrics.write(namespace, [
    { name: 'MonthToDateUsd', unit: 'None', value: toDateUsd, time: now, dimensions: {} },
    { name: 'MonthForecastUsd', unit: 'None', value: forecastUsd, time: now, dimensions: {} },
  ]);
  return { toDateUsd, forecastUsd };
}

/** Sums of floating-point numbers end in noise, and just before nothing below it. */
const usdOf = (value: number): number => Math.max(0, Number(value.toFixed(6)));
