import { CloudWatchClient } from '@aws-sdk/client-cloudwatch';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { meter } from '../../../lambda/meter/meter.ts';
import { Metrics } from '../../../lambda/meter/metrics.ts';
import type { MeterConfig } from '../../../lib/private/meter-config.ts';
import { MetricStore } from '../../../local/cloudwatch/metric-store.ts';
import { type CloudWatchServer, startCloudWatch } from '../../../local/cloudwatch/server.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** The 11th of a month with 30 days, at noon. */
const NOW = Date.UTC(2026, 10, 11, 12);

const clock = { time: NOW, now: () => clock.time };
let store = new MetricStore(clock);
let server: CloudWatchServer;
let client: CloudWatchClient;
const metrics = (): Metrics => new Metrics(client);

beforeAll(async () => {
  // The server outlives each test's store.
  const current: Pick<MetricStore, 'put' | 'statistic'> = {
    put: (...args) => store.put(...args),
    statistic: (...args) => store.statistic(...args),
  };
  server = await startCloudWatch(current as MetricStore);
  const credentials = { accessKeyId: 'local', secretAccessKey: 'local' };
  client = new CloudWatchClient({ endpoint: server.url, region: 'us-east-1', credentials });
});
afterAll(async () => {
  client.destroy();
  await server.close();
});
beforeEach(() => {
  clock.time = NOW;
  store = new MetricStore(clock);
});

const NONE: MeterConfig = { namespace: 'G', fleets: [] };
const FLEET: MeterConfig = {
  namespace: 'G',
  fleets: [
    {
      name: 'main',
      namespace: 'F',
      cluster: 'c',
      service: 's',
      instanceHourlyUsd: 2.4,
      gpusPerInstance: 4,
      tasksPerInstance: 2,
      expectedTokensPerHour: 1_000_000,
      backends: [['chat', 'fleet-main']],
    },
  ],
};

const spend = (usd: number, time: number, dimensions: Record<string, string> = {}): void =>
  store.put({ namespace: 'G', name: 'CostUsd', dimensions }, usd, time);
const fleetSum = (name: string, statistic = 'Sum'): number | undefined =>
  store.statistic({ namespace: 'F', name, dimensions: { fleet: 'main' } }, statistic, 0, NOW + DAY);
const runTasks = (count: number, from: number, to: number): void => {
  const dimensions = { ClusterName: 'c', ServiceName: 's' };
  for (let time = from; time < to; time += MINUTE) {
    store.put({ namespace: 'ECS/ContainerInsights', name: 'RunningTaskCount', dimensions }, count, time);
  }
};

describe('the month', () => {
  test('is what this month cost, not the last one, and goes on like the last seven days', async () => {
    spend(999, Date.UTC(2026, 9, 31, 23, 59));
    spend(3, Date.UTC(2026, 10, 1, 0, 0));
    spend(14, NOW - 3 * DAY);
    const { month_to_date_usd, month_forecast_usd } = await meter(NONE, metrics(), NOW);
    expect(month_to_date_usd).toBe(17);
    // $14 in the 3 days (and some minutes) since there is anything in the last seven: 19.5 days are left.
    expect(month_forecast_usd).toBeCloseTo(17 + (14 / 3) * 19.5, 6);
    const published = store.statistic(
      { namespace: 'G', name: 'MonthToDateUsd', dimensions: {} },
      'Maximum',
      0,
      NOW + 1,
    );
    expect(published).toBe(17);
  });

  test('begins anew at midnight by UTC', async () => {
    spend(100, Date.UTC(2026, 9, 31, 23, 59));
    const first = await meter(NONE, metrics(), Date.UTC(2026, 10, 1, 0, 5));
    expect(first.month_to_date_usd).toBe(0);
    expect(first.month_forecast_usd).toBeGreaterThan(100);
  });

  test('of nothing is nothing', async () => {
    expect(await meter(NONE, metrics(), NOW)).toEqual({ month_to_date_usd: 0, month_forecast_usd: 0, fleets: [] });
  });

  test("has a fleet's hours instead of its tokens' price", async () => {
    spend(10, NOW - HOUR);
    spend(4, NOW - HOUR, { model: 'chat', backend: 'fleet-main' });
    runTasks(2, NOW - 70 * MINUTE, NOW - 10 * MINUTE);
    const { month_to_date_usd } = await meter(FLEET, metrics(), NOW);
    // $6 of managed backends, and an instance for an hour.
    expect(month_to_date_usd).toBeCloseTo(6 + 2.4, 6);
  });
});

describe('a fleet', () => {
  test('costs whole instances, also those with room for another task', async () => {
    runTasks(3, NOW - 70 * MINUTE, NOW - 10 * MINUTE);
    await meter(FLEET, metrics(), NOW);
    expect(fleetSum('FleetCostUsd')).toBeCloseTo(2 * 2.4, 6);
    expect(fleetSum('GpuHours')).toBeCloseTo(2 * 4, 6);
  });

  test('on Spot costs its on-demand instances first, and then those on Spot', async () => {
    const onDemandBase = { instances: 1, hourlyUsd: 6 };
    const [fleet] = FLEET.fleets;
    if (fleet === undefined) throw new Error('no fleet');
    runTasks(6, NOW - 70 * MINUTE, NOW - 10 * MINUTE);
    await meter({ ...FLEET, fleets: [{ ...fleet, onDemandBase }] }, metrics(), NOW);
    expect(fleetSum('FleetCostUsd')).toBeCloseTo(6 + 2 * 2.4, 6);
  });

  test('costs what Container Insights says of instances, where it says it', async () => {
    runTasks(1, NOW - 70 * MINUTE, NOW - 10 * MINUTE);
    for (let time = NOW - 70 * MINUTE; time < NOW - 10 * MINUTE; time += MINUTE) {
      const dimensions = { ClusterName: 'c' };
      store.put({ namespace: 'ECS/ContainerInsights', name: 'ContainerInstanceCount', dimensions }, 3, time);
    }
    await meter(FLEET, metrics(), NOW);
    expect(fleetSum('FleetCostUsd')).toBeCloseTo(3 * 2.4, 6);
  });

  test('is metered once, however often the meter runs, and what it missed is made good', async () => {
    runTasks(2, NOW - 5 * HOUR - 10 * MINUTE, NOW - 10 * MINUTE);
    await meter(FLEET, metrics(), NOW - 4 * HOUR);
    await meter(FLEET, metrics(), NOW);
    await meter(FLEET, metrics(), NOW);
    expect(fleetSum('FleetCostUsd')).toBeCloseTo(5 * 2.4, 6);
  });

  test('is used as far as it answers with the tokens that its price expects, and idle hours make those dearer', async () => {
    runTasks(2, NOW - 70 * MINUTE, NOW - 10 * MINUTE);
    const dimensions = { model: 'chat', backend: 'fleet-main' };
    store.put({ namespace: 'G', name: 'InputTokens', dimensions }, 90_000, NOW - 41 * MINUTE);
    store.put({ namespace: 'G', name: 'OutputTokens', dimensions }, 10_000, NOW - 41 * MINUTE);
    await meter(FLEET, metrics(), NOW);
    // 100,000 of the 166,667 of two tasks in five minutes; nothing in the other eleven windows.
    expect(fleetSum('Utilization', 'Maximum')).toBeCloseTo(60, 6);
    expect(fleetSum('Utilization', 'Average')).toBeCloseTo(5, 6);
    expect(fleetSum('EffectiveUsdPerMillionTokens', 'Average')).toBeCloseTo(24, 6);
  });

  test('that is asleep costs nothing, and has no utilization', async () => {
    await meter(FLEET, metrics(), NOW);
    expect(fleetSum('FleetCostUsd')).toBe(0);
    expect(fleetSum('Utilization')).toBeUndefined();
    expect(fleetSum('EffectiveUsdPerMillionTokens')).toBeUndefined();
  });
});
