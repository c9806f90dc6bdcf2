import { describe, expect, test, vi } from 'vitest';
import { adjusted, type ScalingPolicy, stepFor } from '../../../local/autoscaling/policy.ts';
import {
  type Capacity,
  ScalableTarget,
  type ScalableTargetDefinition,
} from '../../../local/autoscaling/scalable-target.ts';
import { parseSchedule } from '../../../local/autoscaling/schedule.ts';
import { MetricStore } from '../../../local/cloudwatch/metric-store.ts';
import { metricQuery } from '../../../local/cloudwatch/query.ts';
import { fleetStack, startFleet } from '../support/fleet.ts';

const MINUTE = 60_000;
const START = Date.UTC(2026, 10, 23);

const load = { namespace: 'N', name: 'Load', dimensions: {} };
const demand = { namespace: 'N', name: 'Demand', dimensions: {} };
const query = ({ namespace, name }: typeof load) =>
  metricQuery({ Namespace: namespace, MetricName: name }, 'Average', 60);

const tracking: ScalingPolicy = {
  type: 'target-tracking',
  name: 'tracking',
  query: query(load),
  target: 10,
  scaleOutCooldownMs: 5 * MINUTE,
  scaleInCooldownMs: 5 * MINUTE,
  disableScaleIn: false,
};
const wake: ScalingPolicy = {
  type: 'step',
  name: 'wake',
  adjustment: 'ChangeInCapacity',
  minAdjustment: 1,
  cooldownMs: 10 * MINUTE,
  steps: [
    { lower: 0, upper: 20, by: 1 },
    { lower: 20, upper: Number.POSITIVE_INFINITY, by: 3 },
  ],
  alarms: [
    {
      name: 'asked',
      query: query(demand),
      threshold: 1,
      comparison: 'GreaterThanOrEqualToThreshold',
      evaluationPeriods: 1,
      datapointsToAlarm: 1,
      treatMissingData: 'notBreaching',
      actions: { ALARM: [], OK: [], INSUFFICIENT_DATA: [] },
    },
  ],
};

/** Minute by minute: what is measured in it, and how many tasks are desired after it. */
function run(
  definition: Partial<ScalableTargetDefinition>,
  initial: number,
  measured: ReadonlyArray<{ readonly load?: number; readonly demand?: number }>,
): number[] {
  let time = START;
  const store = new MetricStore({ now: () => time });
  const capacity: Capacity & { desired: number } = {
    desired: initial,
    setDesired(desired) {
      capacity.desired = desired;
    },
  };
  const target = new ScalableTarget(
    { resourceId: 'service/c/s', minCapacity: 0, maxCapacity: 8, policies: [], schedules: [], ...definition },
    capacity,
    store,
  );
  return measured.map((values) => {
    if (values.load !== undefined) store.put(load, values.load, time + 1);
    if (values.demand !== undefined) store.put(demand, values.demand, time + 1);
    time += MINUTE;
    target.evaluate(time);
    return capacity.desired;
  });
}

const minutes = <T>(count: number, value: T): T[] => Array.from({ length: count }, () => value);

describe('target tracking', () => {
  test('goes up in proportion after three minutes above the target', () => {
    expect(run({ policies: [tracking] }, 2, minutes(3, { load: 25 }))).toEqual([2, 2, 5]);
  });

  test('goes down after fifteen minutes below nine tenths of it, and again after the cooldown', () => {
    const desired = run({ policies: [tracking] }, 4, minutes(21, { load: 4 }));
    expect(desired.slice(0, 14)).toEqual(minutes(14, 4));
    expect(desired.slice(14)).toEqual([2, 2, 2, 2, 2, 1, 1]);
  });

  test('stays between nine tenths and the target', () => {
    expect(run({ policies: [tracking] }, 2, minutes(20, { load: 9.5 })).at(-1)).toBe(2);
  });

  test('does nothing without data, and nothing from zero tasks', () => {
    expect(run({ policies: [tracking] }, 3, minutes(20, {})).at(-1)).toBe(3);
    expect(run({ policies: [tracking] }, 0, minutes(20, { load: 50 })).at(-1)).toBe(0);
  });

  test('in its cooldown adds only what is more than it added already', () => {
    const measured = [...minutes(3, { load: 20 }), ...minutes(2, { load: 20 }), ...minutes(3, { load: 30 })];
    // 2 → 4; the same load again would make 8 of 4.
    expect(run({ policies: [tracking] }, 2, measured)).toEqual([2, 2, 4, 4, 4, 6, 6, 6]);
  });

  test('keeps to the limits', () => {
    expect(run({ policies: [tracking], maxCapacity: 3 }, 2, minutes(3, { load: 99 })).at(-1)).toBe(3);
    expect(run({ policies: [tracking], minCapacity: 2 }, 4, minutes(40, { load: 0 })).at(-1)).toBe(2);
  });
});

describe('step scaling', () => {
  test('wakes from zero at once, and not again in its cooldown', () => {
    expect(run({ policies: [wake] }, 0, [{}, { demand: 1 }, { demand: 5 }, { demand: 5 }])).toEqual([0, 1, 1, 1]);
  });

  test('takes the step that the value lies in, also in the cooldown of a smaller one', () => {
    expect(run({ policies: [wake] }, 0, [{ demand: 3 }, { demand: 40 }])).toEqual([1, 3]);
  });

  test('goes on after the cooldown as long as the alarm lasts', () => {
    expect(run({ policies: [wake] }, 0, minutes(12, { demand: 2 })).at(-1)).toBe(2);
  });

  test.each([
    [0, 1],
    [14.9, 1],
    [15, 2],
    [-1, undefined],
  ])('finds for %d above the threshold the adjustment %s', (delta, by) => {
    const steps = [
      { lower: 0, upper: 15, by: 1 },
      { lower: 15, upper: Number.POSITIVE_INFINITY, by: 2 },
    ];
    expect(stepFor(steps, delta)?.by).toBe(by);
  });

  test.each([
    ['ExactCapacity', 7, 2, 2],
    ['ChangeInCapacity', 7, -2, 5],
    ['PercentChangeInCapacity', 10, 25, 12],
    ['PercentChangeInCapacity', 2, 10, 3],
    ['PercentChangeInCapacity', 10, -25, 8],
  ] as const)('%s: %d by %d is %d', (adjustment, base, by, expected) => {
    expect(adjusted({ ...wake, adjustment }, base, by)).toBe(expected);
  });
});

test('of several policies, the one with the most capacity counts', () => {
  expect(run({ policies: [tracking, wake] }, 2, [...minutes(2, { load: 30 }), { load: 30, demand: 2 }]).at(-1)).toBe(6);
});

describe('schedules', () => {
  test('set limits, and the number of tasks with them', () => {
    const schedules = [
      { name: 'on', schedule: parseSchedule('cron(2 0 * * ? *)'), minCapacity: 2, maxCapacity: 4 },
      { name: 'off', schedule: parseSchedule('cron(4 0 * * ? *)'), minCapacity: 0, maxCapacity: 0 },
    ];
    expect(run({ schedules }, 0, minutes(5, {}))).toEqual([0, 2, 2, 0, 0]);
  });

  test.each([
    ['cron(0 20 * * ? *)', 'UTC', '2026-11-23T20:00:00Z', true],
    ['cron(0 20 * * ? *)', 'UTC', '2026-11-23T20:01:00Z', false],
    ['cron(0 20 * * ? *)', 'Europe/Berlin', '2026-11-23T19:00:00Z', true],
    ['cron(0/15 8-18 ? * MON-FRI *)', 'UTC', '2026-11-23T08:45:00Z', true],
    ['cron(0/15 8-18 ? * MON-FRI *)', 'UTC', '2026-11-22T08:45:00Z', false],
    ['cron(0 0 1 JAN,NOV ? 2026)', 'UTC', '2026-11-01T00:00:00Z', true],
    ['at(2026-11-23T10:00:00)', 'UTC', '2026-11-23T10:00:00Z', true],
    ['rate(5 minutes)', 'UTC', '1970-01-01T00:10:00Z', true],
    ['rate(5 minutes)', 'UTC', '1970-01-01T00:11:00Z', false],
  ])('%s in %s at %s: %s', (expression, zone, time, due) => {
    expect(parseSchedule(expression, zone).isDue(Date.parse(time))).toBe(due);
  });

  test.each(['cron(0 20 * *)', 'cron(0 0 L * ? *)', 'rate(5 weeks)', 'daily'])('%s is refused', (expression) => {
    expect(() => parseSchedule(expression)).toThrow(/the local run/);
  });
});

test('a fleet at zero wakes when asked, grows under load and goes back to zero when idle', async () => {
  const { fleet, store, chat, log } = await startFleet(fleetStack({ tasks: 0, scaling: { min: 0, max: 2 } }), {
    speed: 300,
  });
  const sizes = () => log.filter((line) => line.includes(' tasks: '));
  const put = (name: string) => store.put({ namespace: 'Test', name, dimensions: { fleet: 'test' } }, 1);
  const patience = { timeout: 45_000, interval: 20 };
  expect(fleet.service.desired).toBe(0);
  expect((await chat()).status).toBe(503);
  put('Unserved');
  put('Demand');
  await vi.waitFor(() => expect(fleet.service.healthyTasks).toHaveLength(1), patience);
  const asking = setInterval(() => put('Demand'), 50);
  const busy = Array.from({ length: 20 }, async () => {
    while (fleet.service.desired < 2) await (await chat({ max_tokens: 400 })).text();
  });
  await vi.waitFor(() => expect(fleet.service.healthyTasks).toHaveLength(2), patience);
  await Promise.all(busy);
  clearInterval(asking);
  await vi.waitFor(() => expect(fleet.service.tasks).toHaveLength(0), patience);
  expect(fleet.service.desired).toBe(0);
  expect(sizes()[0]).toMatch(/0 → 1 tasks: .*WakeAlarm.* is in alarm at 1/);
  expect(sizes()[1]).toMatch(/1 → 2 tasks: Load at [\d.]+, target 4/);
});
