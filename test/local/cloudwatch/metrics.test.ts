import { describe, expect, test } from 'vitest';
import { agentOf, parsePrometheus } from '../../../local/cloudwatch/agent.ts';
import { type AlarmDefinition, evaluateAlarm } from '../../../local/cloudwatch/alarm.ts';
import { putEmbeddedMetrics } from '../../../local/cloudwatch/emf.ts';
import { evaluateExpression, type Value } from '../../../local/cloudwatch/expression.ts';
import { MetricStore } from '../../../local/cloudwatch/metric-store.ts';
import { metricQuery, metricsQuery } from '../../../local/cloudwatch/query.ts';

const MINUTE = 60_000;
const clock = { time: 1_000 * MINUTE, now: () => clock.time };
const key = { namespace: 'N', name: 'M', dimensions: { a: '1', b: '2' } };

describe('the metric store', () => {
  test.each([
    ['Sum', 10],
    ['Average', 2.5],
    ['Minimum', 1],
    ['Maximum', 4],
    ['SampleCount', 4],
    ['p50', 3],
  ])('gives the %s of a period', (statistic, expected) => {
    const store = new MetricStore(clock);
    for (const value of [1, 2, 3, 4]) store.put(key, value, clock.time - 30_000);
    store.put(key, 100, clock.time);
    store.put({ ...key, dimensions: { a: '1' } }, 100, clock.time - 30_000);
    expect(
      store.statistic({ ...key, dimensions: { b: '2', a: '1' } }, statistic, clock.time - MINUTE, clock.time),
    ).toBe(expected);
  });

  test('has no data where nothing came, and knows no other statistic', () => {
    const store = new MetricStore(clock);
    expect(store.statistic(key, 'Sum', 0, clock.time)).toBeUndefined();
    store.put(key, 1, clock.time - 1);
    expect(() => store.statistic(key, 'IQM', 0, clock.time)).toThrow("doesn't know the statistic IQM");
  });

  test('takes metrics out of log lines in the embedded format, and leaves other lines alone', () => {
    const store = new MetricStore(clock);
    const line = {
      _aws: {
        CloudWatchMetrics: [
          { Namespace: 'N', Dimensions: [['a', 'b'], []], Metrics: [{ Name: 'M' }, { Name: 'Absent' }] },
        ],
      },
      ...{ a: '1', b: 2, M: [1, 2] },
    };
    for (const text of [JSON.stringify(line), '{"_aws": broken', '"_aws"', 'plain', '{"M":5}'])
      putEmbeddedMetrics(store, text);
    clock.time += 1;
    expect(store.statistic(key, 'Sum', 0, clock.time)).toBe(3);
    expect(store.statistic({ ...key, dimensions: {} }, 'Sum', 0, clock.time)).toBe(3);
  });
});

describe('metric math', () => {
  const metrics = new Map<string, Value>([
    ['a', 6],
    ['b', 3],
    ['none', undefined],
  ]);
  test.each([
    ['a + b * 2', 12],
    ['(a + b) * 2', 18],
    ['a - b - 1', 2],
    ['-a + 10', 4],
    ['a / b', 2],
    ['2 ^ b', 8],
    ['IF(a > b, a, b)', 6],
    ['IF(a + b > 0.01, a + b, 0.01)', 9],
    ['IF(a < b || b == 3 && a != 5, 1, 0)', 1],
    ['FILL(none, 0) + a', 6],
    ['MAX([a, b, none])', 6],
    ['AVG([a, b])', 4.5],
    ['CEIL(a / 4) + FLOOR(a / 4) + ABS(-1) + MIN([a, b])', 7],
    ['none + a', undefined],
    ['IF(none, 1, 2)', undefined],
    ['a / 0', undefined],
  ])('%s', (expression, expected) => {
    expect(evaluateExpression(expression, metrics)).toBe(expected);
  });

  test.each(['c', 'RATE(a)', 'a +', 'a b', 'SUM(METRICS())', 'FILL(none, REPEAT)', '[a, b]', 'a % b', '(a'])(
    '%s is refused',
    (expression) => {
      expect(() => evaluateExpression(expression, metrics)).toThrow(/the local run/);
    },
  );

  test('over metrics of a query: an expression may name another one', () => {
    const store = new MetricStore(clock);
    store.put({ namespace: 'N', name: 'M', dimensions: {} }, 4, clock.time - 1);
    const metric = { Namespace: 'N', MetricName: 'M' };
    const query = metricsQuery(
      [
        { Id: 'twice', Expression: 'm * 2', ReturnData: false },
        { Id: 'all', Expression: 'twice + 1' },
        { Id: 'm', MetricStat: { Metric: metric, Stat: 'Sum', Period: 60 }, ReturnData: false },
      ],
      60,
    );
    expect(query.value(store, clock.time)).toBe(9);
  });
});

describe('an alarm', () => {
  const alarm = (changes: Partial<AlarmDefinition> = {}): AlarmDefinition => ({
    name: 'A',
    query: metricQuery(
      {
        Namespace: 'N',
        MetricName: 'M',
        Dimensions: [
          { Name: 'a', Value: '1' },
          { Name: 'b', Value: '2' },
        ],
      },
      'Sum',
      60,
    ),
    threshold: 5,
    comparison: 'GreaterThanThreshold',
    evaluationPeriods: 3,
    datapointsToAlarm: 2,
    treatMissingData: 'missing',
    actions: { ALARM: [], OK: [], INSUFFICIENT_DATA: [] },
    ...changes,
  });
  const evaluate = (definition: AlarmDefinition, values: readonly Value[]) => {
    const store = new MetricStore(clock);
    for (const [i, value] of values.entries()) {
      if (value !== undefined) store.put(key, value, clock.time - i * MINUTE - 1);
    }
    return evaluateAlarm(definition, store, clock.time, 'OK');
  };

  test.each([
    ['GreaterThanThreshold', [6, 6, 5], 'ALARM'],
    ['GreaterThanThreshold', [6, 5, 5], 'OK'],
    ['GreaterThanOrEqualToThreshold', [5, 4, 5], 'ALARM'],
    ['LessThanThreshold', [4, 4, 9], 'ALARM'],
    ['LessThanOrEqualToThreshold', [5, 5, 9], 'ALARM'],
  ])('that compares by %s is, after %j, in %s', (comparison, values, state) => {
    expect(evaluate(alarm({ comparison }), values).state).toBe(state);
  });

  test.each([
    ['missing', [], 'INSUFFICIENT_DATA'],
    ['notBreaching', [], 'OK'],
    ['breaching', [], 'ALARM'],
    ['ignore', [], 'OK'],
    ['breaching', [1, undefined, undefined], 'ALARM'],
    ['missing', [9, undefined, 9], 'ALARM'],
  ] as const)('with missing data treated as %s is, after %j, in %s', (treatMissingData, values, state) => {
    expect(evaluate(alarm({ treatMissingData }), values).state).toBe(state);
  });
});

describe("an agent's configuration", () => {
  test('that is no JSON, or scrapes elsewhere, is refused', () => {
    expect(() => agentOf('Agent', { PROMETHEUS_CONFIG_CONTENT: 'global:\n  x: 1', CW_CONFIG_CONTENT: '{}' })).toThrow(
      'Agent: the local run reads PROMETHEUS_CONFIG_CONTENT as JSON only',
    );
    const elsewhere = { scrape_configs: [{ static_configs: [{ targets: ['example.com:80'] }] }] };
    expect(() =>
      agentOf('Agent', { PROMETHEUS_CONFIG_CONTENT: JSON.stringify(elsewhere), CW_CONFIG_CONTENT: '{}' }),
    ).toThrow('scrapes localhost only, not example.com:80');
  });

  test("Prometheus' text is read with kinds, labels and escapes", () => {
    expect(parsePrometheus('# TYPE a:b gauge\na:b{x="1",y="a\\"b"} 2.5\n# comment\nc 1e3\n')).toEqual([
      { name: 'a:b', kind: 'gauge', labels: { x: '1', y: 'a\\"b' }, value: 2.5 },
      { name: 'c', kind: 'untyped', labels: {}, value: 1000 },
    ]);
  });
});
