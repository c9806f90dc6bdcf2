import type { MeterConfig } from '../../lib/private/meter-config.ts';
import { meterFleet } from './fleet.ts';
import type { Metrics } from './metrics.ts';
import { meterMonth } from './month.ts';

export interface Metered {
  readonly month_to_date_usd: number;
  readonly month_forecast_usd: number;
  readonly fleets: ReadonlyArray<{ readonly fleet: string; readonly windows: number; readonly usd: number }>;
}

/** Publishes what is known now of the fleets, then of the month, which has the fleets' cost in it. */
export async function meter(config: MeterConfig, metrics: Metrics, now: number): Promise<Metered> {
  const fleets = [];
  for (const fleet of config.fleets) fleets.push(await meterFleet(fleet, config.namespace, metrics, now));
  const month = await meterMonth(config, metrics, now);
  return { month_to_date_usd: month.toDateUsd, month_forecast_usd: month.forecastUsd, fleets };
}
