import { App, Duration, type Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { TextWidget } from 'aws-cdk-lib/aws-cloudwatch';
import { describe, expect, test } from 'vitest';
import {
  Backend,
  CachePolicy,
  CostAlarms,
  Gateway,
  LlmServingStack,
  type LlmServingStackProps,
  Model,
  ResponseCache,
  ServingDashboard,
  type ServingDashboardProps,
  ServingPreset,
} from '../../lib';
import { anyModel, anyTier, newStack } from './fixture.ts';

interface Widget {
  readonly type: string;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly properties: { readonly title?: string; readonly markdown?: string; readonly metrics?: unknown[][] };
}

/** The body with `<name>` for what is known only at deployment. */
function bodyOf(stack: Stack): { readonly start: string; readonly widgets: Widget[] } {
  const [dashboard] = Object.values(Template.fromStack(stack).findResources('AWS::CloudWatch::Dashboard'));
  const body: unknown = dashboard?.Properties.DashboardBody;
  if (typeof body === 'string') return JSON.parse(body);
  const [, parts] = (body as { 'Fn::Join': [string, unknown[]] })['Fn::Join'];
  return JSON.parse(parts.map((part) => (typeof part === 'string' ? part : '<deploy>')).join(''));
}

function dashboard(props: (gateway: Gateway, stack: Stack) => Omit<ServingDashboardProps, 'gateway'> = () => ({})) {
  const stack = newStack();
  const gateway = new Gateway(stack, 'Gateway', {
    models: [anyModel(stack)],
    tiers: [anyTier(stack)],
    features: ['search'],
  });
  const made = new ServingDashboard(stack, 'Dashboard', { gateway, ...props(gateway, stack) });
  return { stack, gateway, made };
}

const titles = (stack: Stack): string[] =>
  bodyOf(stack).widgets.flatMap(({ properties }) => properties.title ?? properties.markdown ?? []);

const ofStack = (props: LlmServingStackProps): LlmServingStack =>
  new LlmServingStack(new App({ analyticsReporting: false }), 'Llm', props);

describe('the dashboard', () => {
  test('shows money first, then latency, then errors', () => {
    const { stack } = dashboard();
    expect(titles(stack).filter((title) => title.startsWith('## '))).toEqual([
      '## Money',
      '## Latency',
      '## Requests, errors and failover',
    ]);
    expect(titles(stack)).toEqual(
      expect.arrayContaining(['Last 30 days, USD', 'Spend by tier, USD an hour', 'Spend by feature, USD an hour']),
    );
  });

  test('puts no widget over another, and none beyond the grid', () => {
    const { widgets } = bodyOf(ofStack({ preset: ServingPreset.HYBRID, monthlyBudgetUsd: 100, jobs: {} }));
    expect(widgets.length).toBeGreaterThan(15);
    for (const [index, a] of widgets.entries()) {
      expect(a.x + a.width).toBeLessThanOrEqual(24);
      for (const b of widgets.slice(index + 1)) {
        const apart = a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + a.height <= b.y || b.y + b.height <= a.y;
        expect(apart, `${JSON.stringify(a)} over ${JSON.stringify(b)}`).toBe(true);
      }
    }
  });

  test("shows the month against its budget, and the alarms' states", () => {
    const { stack } = dashboard((gateway, scope) => ({
      costAlarms: new CostAlarms(scope, 'Alarms', { gateway, monthlyBudgetUsd: 250 }),
    }));
    expect(titles(stack)).toEqual(
      expect.arrayContaining(['This month (UTC), USD', "Of the month's budget of $250", 'Alarms']),
    );
    expect(titles(stack)).not.toContain('Last 30 days, USD');
  });

  test('shows models that are added after it', () => {
    const { stack, gateway } = dashboard();
    gateway.addModel(new Model(stack, 'Late', { backends: [Backend.staticReply('x')] }));
    expect(JSON.stringify(bodyOf(stack))).toContain('"CostUsd","model","late"');
  });

  test('shows a fleet where there is one, and what it costs where that is metered', () => {
    const fleet = titles(ofStack({ preset: ServingPreset.HYBRID }));
    expect(fleet).toEqual(expect.arrayContaining(['## Fleet main', 'Requests on a task', 'Tasks and demand']));
    expect(fleet).not.toContain('USD per million tokens, idle included');
    expect(titles(ofStack({ preset: ServingPreset.HYBRID, monthlyBudgetUsd: 9 }))).toEqual(
      expect.arrayContaining(['USD per million tokens, idle included', 'Managed and fleets, USD an hour']),
    );
    expect(titles(ofStack({}))).not.toContain('## Fleet main');
    const { widgets } = bodyOf(ofStack({ preset: ServingPreset.HYBRID, monthlyBudgetUsd: 9 }));
    const today = widgets.find(({ properties }) => properties.title === 'Today (UTC), USD');
    expect(JSON.stringify(today)).toMatch(/"FleetCostUsd",.*"period":86400/);
  });

  test('shows a cache where there is one, and of the models that it answers for', () => {
    expect(titles(ofStack({}))).not.toContain('## Cache');
    expect(titles(ofStack({}))).not.toContain('Saved by cached answers, USD an hour');
    const stack = newStack();
    const cache = ResponseCache.fromEndpoint({ host: 'valkey.example.com' });
    const model = (modelName: string, policy?: CachePolicy) =>
      new Model(stack, modelName, { backends: [Backend.staticReply('x')], cache: policy });
    const gateway = new Gateway(stack, 'Gateway', {
      models: [model('kept'), model('fresh', CachePolicy.off())],
      tiers: [anyTier(stack)],
      cache,
    });
    new ServingDashboard(stack, 'Dashboard', { gateway });
    expect(titles(stack)).toEqual(
      expect.arrayContaining([
        '## Cache',
        'Answered from the cache, %',
        'Hits and misses',
        'Saved by cached answers, USD an hour',
      ]),
    );
    const body = JSON.stringify(bodyOf(stack).widgets);
    for (const metric of ['CacheHits', 'CacheMisses', 'CacheErrors', 'SavedUsd']) {
      expect(body).toContain(`"${metric}","model","kept"`);
      expect(body).not.toContain(`"${metric}","model","fresh"`);
    }
  });

  test('shows the jobs where there are some, and the states of their alarms', () => {
    const stack = ofStack({ jobs: {} });
    expect(titles(stack)).toEqual(
      expect.arrayContaining([
        '## Jobs',
        'Jobs that wait and could run',
        'How long the oldest of them has waited',
        'Jobs that came to their end',
        'Put aside',
        'Alarms',
      ]),
    );
    const body = JSON.stringify(bodyOf(stack).widgets);
    for (const metric of ['ApproximateNumberOfMessagesVisible', 'ApproximateAgeOfOldestMessage']) {
      expect(body).toContain(`"AWS/SQS","${metric}","QueueName"`);
    }
    for (const end of ['JobsSucceeded', 'JobsFailed', 'JobsCancelled', 'JobsExpired']) {
      expect(body).toContain(`["LlmServing/Llm","${end}",`);
    }
    const alarms = bodyOf(stack).widgets.find(({ type }) => type === 'alarm') as unknown as {
      properties: { alarms: unknown[] };
    };
    expect(alarms.properties.alarms).toHaveLength(4);
    expect(titles(ofStack({}))).not.toContain('## Jobs');
  });

  test('takes widgets of your own at its end', () => {
    const { stack, made } = dashboard(() => ({ defaultInterval: Duration.hours(3), dashboardName: 'llm' }));
    made.addWidgets(new TextWidget({ markdown: 'mine' }));
    expect(titles(stack).at(-1)).toBe('mine');
    expect(bodyOf(stack).start).toBe('-PT3H');
  });

  test.each([
    [{ defaultInterval: Duration.minutes(1) }, /^defaultInterval must be/],
    [{ monthlyBudgetUsd: 0 }, /^monthlyBudgetUsd must be/],
    [{ dashboardName: 'my dashboard' }, /^dashboardName must be/],
  ])('refuses %j', (props, message) => {
    expect(() => dashboard(() => props)).toThrow(message);
  });
});

describe('the stack', () => {
  test('has a dashboard and no alarms, unless told otherwise', () => {
    const template = Template.fromStack(ofStack({}));
    template.resourceCountIs('AWS::CloudWatch::Dashboard', 1);
    template.resourceCountIs('AWS::CloudWatch::Alarm', 0);
    template.resourceCountIs('AWS::KMS::Key', 0);
    Template.fromStack(ofStack({ dashboard: false })).resourceCountIs('AWS::CloudWatch::Dashboard', 0);
  });

  test('tells by e-mail of a budget', () => {
    const template = Template.fromStack(ofStack({ monthlyBudgetUsd: 100, alarmEmails: ['ops@example.com'] }));
    template.hasResourceProperties('AWS::SNS::Subscription', { Endpoint: 'ops@example.com' });
    template.hasResourceProperties('AWS::CloudWatch::Alarm', { MetricName: 'MonthToDateUsd', Threshold: 80 });
  });
});
