import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { App, Duration, Stack } from 'aws-cdk-lib';
import { Alarm, Metric, TreatMissingData } from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import { Rule, Schedule } from 'aws-cdk-lib/aws-events';
import { LambdaFunction as FunctionTarget } from 'aws-cdk-lib/aws-events-targets';
import { Code, Function as LambdaFunction, Runtime } from 'aws-cdk-lib/aws-lambda';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { EmailSubscription, LambdaSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { LlmServingStack } from '../../../lib';
import { Clock } from '../../../local/clock.ts';
import { readAssembly } from '../../../local/cloudformation/assembly.ts';
import { evaluateStacks } from '../../../local/cloudformation/stack.ts';
import { alarmOf, evaluateAlarm } from '../../../local/cloudwatch/alarm.ts';
import { MetricStore } from '../../../local/cloudwatch/metric-store.ts';
import { Observability } from '../../../local/observability.ts';

/** A minute of the run is 50 ms. */
const SPEED = 1200;
const HOUR = 3_600_000;

const cleanups: Array<() => void> = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

interface Running {
  readonly observability: Observability;
  readonly store: MetricStore;
  readonly clock: Clock;
  readonly lines: string[];
  readonly invocations: Array<{ readonly arn: string; readonly event: unknown }>;
}

function run(make: (app: App) => void): Running {
  const app = new App({ analyticsReporting: false, context: { 'aws:cdk:enable-path-metadata': true } });
  make(app);
  const stacks = evaluateStacks(readAssembly(app.synth().directory).stacks, {});
  const clock = new Clock(SPEED, Date.UTC(2026, 10, 11, 6));
  const store = new MetricStore(clock);
  const lines: string[] = [];
  const invocations: Running['invocations'] = [];
  const observability = new Observability(stacks, {
    clock,
    store,
    log: (label, line) => lines.push(`${label}: ${line}`),
    invoke: async (arn, event) => void invocations.push({ arn, event }),
  });
  cleanups.push(() => observability.close());
  return { observability, store, clock, lines, invocations };
}

function someFunction(stack: Stack): LambdaFunction {
  return new LambdaFunction(stack, 'Function', {
    runtime: Runtime.NODEJS_24_X,
    handler: 'index.handler',
    code: Code.fromInline('exports.handler = async () => {};'),
  });
}

const METRIC = { namespace: 'N', name: 'Spend', dimensions: {} };

function withAlarm(app: App): void {
  const stack = new Stack(app, 'Test');
  const topic = new Topic(stack, 'Topic');
  topic.addSubscription(new EmailSubscription('ops@example.com'));
  topic.addSubscription(new LambdaSubscription(someFunction(stack)));
  const metric = new Metric({ namespace: 'N', metricName: 'Spend', statistic: 'Sum', period: Duration.hours(1) });
  new Alarm(stack, 'Spend', {
    metric,
    threshold: 5,
    evaluationPeriods: 1,
    treatMissingData: TreatMissingData.NOT_BREACHING,
    alarmDescription: 'Too dear',
  }).addAlarmAction(new SnsAction(topic));
}

test('an alarm tells the topic once, on the console, in the list and to functions', async () => {
  const { observability, store, lines, invocations } = run(withAlarm);
  await vi.waitFor(() => expect(observability.alarms[0]?.state).toBe('OK'));
  store.put(METRIC, 3);
  store.put(METRIC, 3);
  await vi.waitFor(() => expect(invocations).toHaveLength(1));
  expect(observability.messages).toHaveLength(1);
  expect(observability.messages[0]).toMatchObject({
    subject: 'ALARM: Spend: 6, limit 5',
    recipients: expect.arrayContaining(['email ops@example.com']),
  });
  expect(JSON.parse(observability.messages[0]?.body ?? '')).toMatchObject({
    AlarmDescription: 'Too dear',
    NewStateValue: 'ALARM',
    OldStateValue: 'OK',
  });
  expect(lines).toContainEqual(expect.stringMatching(/^sns: ALARM: Spend: 6, limit 5 \(to .*email ops@example\.com/));
  expect(invocations[0]?.event).toMatchObject({ Records: [{ Sns: { Message: observability.messages[0]?.body } }] });
});

test('a schedule runs its function by the clock of the run, with the time that it was due at', async () => {
  const { invocations, clock } = run((app) => {
    const stack = new Stack(app, 'Test');
    const rule = new Rule(stack, 'Rule', { schedule: Schedule.rate(Duration.minutes(5)) });
    rule.addTarget(new FunctionTarget(someFunction(stack)));
  });
  await vi.waitFor(() => expect(invocations.length).toBeGreaterThanOrEqual(2));
  const times = invocations.slice(0, 2).map(({ event }) => Date.parse((event as { time: string }).time));
  expect((times[1] ?? 0) - (times[0] ?? 0)).toBe(5 * 60_000);
  expect(Math.abs((times[1] ?? 0) - clock.now())).toBeLessThan(HOUR);
});

describe('an anomaly band', () => {
  const hourly = (values: readonly number[]) => {
    const app = new App();
    new LlmServingStack(app, 'Llm', { monthlyBudgetUsd: 100 });
    const stacks = evaluateStacks(readAssembly(app.synth().directory).stacks, {});
    const alarm = stacks
      .flatMap((stack) => stack.ofType('AWS::CloudWatch::Alarm'))
      .find(({ path }) => path.includes('SpendAnomaly'));
    if (alarm === undefined) throw new Error('no such alarm');
    const now = Date.UTC(2026, 10, 11, 12);
    const store = new MetricStore({ now: () => now });
    const key = { namespace: 'LlmServing/Llm', name: 'CostUsd', dimensions: {} };
    for (const [ago, value] of values.toReversed().entries()) store.put(key, value, now - ago * HOUR - 1);
    return evaluateAlarm(alarmOf(alarm), store, now, 'OK').state;
  };

  test.each([
    ['is not there before five hours are known', [1, 1, 50], 'INSUFFICIENT_DATA'],
    ['lets an hour like the others be', [1, 2, 1, 2, 1, 2, 2], 'OK'],
    ['alarms of an hour that is far above', [1, 2, 1, 2, 1, 2, 9], 'ALARM'],
    ['does not alarm of one below', [5, 6, 5, 6, 5, 6, 0.1], 'OK'],
    ['lets what never varied move a little', [1, 1, 1, 1, 1, 1, 1.2], 'OK'],
  ])('%s', (_, values, state) => {
    expect(hourly(values)).toBe(state);
  });
});

describe('the page of the dashboard', () => {
  async function serve(make: (app: App) => void): Promise<Running & { readonly url: string }> {
    const running = run(make);
    const server: Server = createServer((request, response) => {
      if (!running.observability.handle(request, response)) response.writeHead(404).end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    cleanups.push(
      () => void server.close(),
      () => server.closeAllConnections(),
    );
    return { ...running, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
  }
  const managed = (app: App) => void new LlmServingStack(app, 'Llm', { monthlyBudgetUsd: 100 });

  test('loads nothing from anywhere', async () => {
    const { url } = await serve(managed);
    const response = await fetch(`${url}/dashboard`);
    expect(response.headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(await response.text()).not.toMatch(/(src|href)\s*=\s*["']|@import|url\(/);
  });

  test('has the values of every widget of the template', async () => {
    const { url, store } = await serve(managed);
    store.put({ namespace: 'LlmServing/Llm', name: 'CostUsd', dimensions: {} }, 1.25);
    store.put({ namespace: 'LlmServing/Llm', name: 'CostUsd', dimensions: { model: 'nova-lite' } }, 1.25);
    // The window of now ends before what is put now.
    await vi.waitFor(async () => {
      const data = (await (await fetch(`${url}/dashboard/data.json?minutes=60`)).json()) as {
        readonly dashboards: ReadonlyArray<{
          readonly unknown: readonly string[];
          readonly widgets: ReadonlyArray<{
            readonly title: string;
            readonly values?: ReadonlyArray<{ readonly value?: number }>;
            readonly curves?: ReadonlyArray<{ readonly points: ReadonlyArray<readonly [number, number | null]> }>;
          }>;
        }>;
        readonly alarms: ReadonlyArray<{ readonly label: string }>;
      };
      const [dashboard] = data.dashboards;
      expect(dashboard?.unknown).toEqual([]);
      const widget = (title: string) => dashboard?.widgets.find((each) => each.title === title);
      expect(widget('Today (UTC), USD')?.values?.[0]?.value).toBe(1.25);
      expect(widget('Spend by model, USD an hour')?.curves?.[0]?.points.at(-1)?.[1]).toBe(1.25);
      expect(data.alarms.map(({ label }) => label)).toContain('Budget80');
    });
  });

  test.each(['/dashboards', '/v1/models', '/dashboard/other'])('leaves %s to the API', async (path) => {
    const { url } = await serve(managed);
    expect((await fetch(`${url}${path}`)).status).toBe(404);
  });
});
