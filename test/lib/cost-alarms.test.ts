import { readFileSync } from 'node:fs';
import type { Stack } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { describe, expect, test } from 'vitest';
import {
  AlarmTopic,
  BillAnomalies,
  CostAlarms,
  type CostAlarmsProps,
  CostMeter,
  Gateway,
  MonthlyBudget,
  UsageLedger,
} from '../../lib';
import { anyModel, anyTier, newStack } from './fixture.ts';

const TENANT = '0f3b2a1c-1111-4222-8333-444455556666';
const TEAM = '9a8b7c6d-1111-4222-8333-444455556666';

type Props = Omit<CostAlarmsProps, 'gateway'>;

interface Made {
  readonly stack: Stack;
  readonly template: Template;
  readonly alarms: CostAlarms;
}

function alarms(props: Props | ((stack: Stack) => Props) = {}): Made {
  const stack = newStack();
  const gateway = new Gateway(stack, 'Gateway', {
    models: [anyModel(stack)],
    tiers: [anyTier(stack, 'free'), anyTier(stack, 'pro')],
    features: ['search'],
  });
  const made = new CostAlarms(stack, 'Alarms', { gateway, ...(typeof props === 'function' ? props(stack) : props) });
  return { stack, template: Template.fromStack(stack), alarms: made };
}

/** Threshold by the alarm's place in the construct. */
function thresholds({ alarms: made, stack }: Made): Record<string, unknown> {
  return Object.fromEntries(
    made.alarms.map((alarm) => [
      alarm.node.id,
      stack.resolve((alarm.node.defaultChild as unknown as { threshold?: number }).threshold) ?? 'band',
    ]),
  );
}

describe('cost alarms', () => {
  test('without a limit tell of what is unusual and of what is not known', () => {
    const made = alarms();
    expect(thresholds(made)).toEqual({ SpendAnomaly: 'band', UsageEstimated: 20 });
    expect(made.alarms.meter).toBeUndefined();
    made.template.resourceCountIs('AWS::Events::Rule', 0);
  });

  test("take every limit from the month's budget", () => {
    const made = alarms({ monthlyBudgetUsd: 600 });
    expect(thresholds(made)).toEqual({
      HourlySpend: 20,
      DailySpend: 60,
      SpendAnomaly: 'band',
      Budget50: 300,
      Budget80: 480,
      Budget100: 600,
      Forecast: 600,
      MeterSilent: 1,
      UsageEstimated: 20,
    });
    made.template.resourceCountIs('AWS::Events::Rule', 1);
    made.template.hasResourceProperties('AWS::CloudWatch::Alarm', {
      MetricName: 'CostUsd',
      Dimensions: Match.absent(),
      Namespace: 'LlmServing/Test-Gateway',
      Period: 86400,
      Statistic: 'Sum',
    });
  });

  test('tell when the meter falls silent, and not because it has not run yet', () => {
    alarms({ monthlyBudgetUsd: 600 }).template.hasResourceProperties('AWS::CloudWatch::Alarm', {
      Statistic: 'SampleCount',
      EvaluationPeriods: 3,
      TreatMissingData: 'missing',
      InsufficientDataActions: [{ Ref: Match.anyValue() }],
    });
  });

  test('take limits one by one', () => {
    const made = alarms({
      monthlyBudgetUsd: 10,
      hourlyUsd: 0.5,
      dailyUsd: 2,
      budgetThresholdsPercent: [90],
      forecast: false,
      anomalies: false,
      tierDailyUsd: { pro: 1.5 },
      featureDailyUsd: { search: 0.25 },
      estimatedRequestsPerHour: 3,
    });
    expect(thresholds(made)).toEqual({
      HourlySpend: 0.5,
      DailySpend: 2,
      'TierSpend-pro': 1.5,
      'FeatureSpend-search': 0.25,
      Budget90: 9,
      MeterSilent: 1,
      UsageEstimated: 3,
    });
    for (const [Name, Value] of [
      ['tier', 'pro'],
      ['feature', 'search'],
    ]) {
      made.template.hasResourceProperties('AWS::CloudWatch::Alarm', { Dimensions: [{ Name, Value }] });
    }
  });

  test('are sent to one encrypted topic that CloudWatch may publish to, over TLS only', () => {
    const { template } = alarms({ monthlyBudgetUsd: 10 });
    template.allResourcesProperties('AWS::CloudWatch::Alarm', { AlarmActions: [{ Ref: Match.anyValue() }] });
    template.hasResourceProperties('AWS::SNS::Topic', { KmsMasterKeyId: Match.anyValue() });
    const allows = (Service: string, Action: unknown) =>
      Match.objectLike({
        Statement: Match.arrayWith([
          Match.objectLike({
            Action,
            Effect: 'Allow',
            Principal: { Service },
            Condition: { StringEquals: { 'aws:SourceAccount': { Ref: 'AWS::AccountId' } } },
          }),
        ]),
      });
    for (const service of ['cloudwatch', 'budgets', 'costalerts']) {
      template.hasResourceProperties('AWS::SNS::TopicPolicy', {
        PolicyDocument: allows(`${service}.amazonaws.com`, 'sns:Publish'),
      });
      template.hasResourceProperties('AWS::KMS::Key', {
        KeyPolicy: allows(`${service}.amazonaws.com`, ['kms:Decrypt', 'kms:GenerateDataKey*']),
      });
    }
    template.hasResourceProperties('AWS::SNS::TopicPolicy', {
      PolicyDocument: {
        Statement: Match.arrayWith([
          Match.objectLike({ Effect: 'Deny', Condition: { Bool: { 'aws:SecureTransport': 'false' } } }),
        ]),
      },
    });
  });

  test('reach people, pagers and channels', () => {
    const { template } = alarms({
      emails: ['ops@example.com'],
      httpsEndpoints: ['https://pager.example.com/hook'],
      slackChannels: [{ workspaceId: 'T0123', channelId: 'C0456' }],
      teamsChannels: [{ tenantId: TENANT, teamId: TEAM, channelId: '19%3aabc%40thread.tacv2' }],
    });
    template.hasResourceProperties('AWS::SNS::Subscription', { Protocol: 'email', Endpoint: 'ops@example.com' });
    template.hasResourceProperties('AWS::SNS::Subscription', { Protocol: 'https' });
    const guardrail = Match.arrayWith([
      { 'Fn::Join': ['', Match.arrayWith([Match.stringLikeRegexp(':policy/CloudWatchReadOnlyAccess$')])] },
    ]);
    template.hasResourceProperties('AWS::Chatbot::SlackChannelConfiguration', {
      SlackChannelId: 'C0456',
      SnsTopicArns: [{ Ref: Match.anyValue() }],
      GuardrailPolicies: guardrail,
    });
    template.hasResourceProperties('AWS::Chatbot::MicrosoftTeamsChannelConfiguration', {
      TeamId: TEAM,
      SnsTopicArns: [{ Ref: Match.anyValue() }],
      GuardrailPolicies: guardrail,
    });
  });

  test("go to the user's own topic, with the recipients added to it", () => {
    const { template } = alarms((stack) => ({ topic: new Topic(stack, 'Mine'), emails: ['ops@example.com'] }));
    template.resourceCountIs('AWS::SNS::Topic', 1);
    template.resourceCountIs('AWS::KMS::Key', 0);
    template.hasResourceProperties('AWS::SNS::Subscription', { Protocol: 'email' });
  });

  test('say what happened, who it was, what to do, and where to read on', () => {
    const { template } = alarms({ monthlyBudgetUsd: 600, tierDailyUsd: { pro: 5 }, featureDailyUsd: { search: 5 } });
    const runbook = readFileSync('docs/alarms.md', 'utf8');
    const headings = [...runbook.matchAll(/^## (.+)$/gm)].map(([, heading = '']) =>
      heading.toLowerCase().replaceAll(' ', '-'),
    );
    const descriptions = Object.values(template.findResources('AWS::CloudWatch::Alarm')).map((alarm) =>
      String(alarm.Properties.AlarmDescription),
    );
    expect(descriptions).toHaveLength(11);
    for (const description of descriptions) {
      expect(description).toMatch(
        /^\S[\s\S]*\nHow much and since when: .+\nWho: .+\nWhat to do: .+\nRunbook: https:.+$/,
      );
      expect(headings).toContain(/alarms\.md#(.+)$/.exec(description)?.[1]);
    }
  });

  test.each<[Props, RegExp]>([
    [{ monthlyBudgetUsd: 0 }, /^monthlyBudgetUsd must be/],
    [{ hourlyUsd: -1 }, /^hourlyUsd must be/],
    [{ dailyUsd: Number.NaN }, /^dailyUsd must be/],
    [{ anomalyStandardDeviations: 0 }, /^anomalyStandardDeviations must be/],
    [{ estimatedRequestsPerHour: 0.5 }, /^estimatedRequestsPerHour must be/],
    [{ budgetThresholdsPercent: [50] }, /need monthlyBudgetUsd$/],
    [{ monthlyBudgetUsd: 1, budgetThresholdsPercent: [50, 50] }, /must not repeat a value/],
    [{ tierDailyUsd: { gold: 1 } }, /"gold", which is no tier of the gateway: the tiers are free, pro$/],
    [{ featureDailyUsd: { chat: 1 } }, /feature "chat" is not declared/],
    [{ emails: ['ops'] }, /^emails must hold e-mail addresses, got "ops"$/],
    [{ httpsEndpoints: ['http://pager'] }, /^httpsEndpoints must hold addresses that begin with https/],
  ])('refuse %j', (props, message) => {
    expect(() => alarms(props)).toThrow(message);
  });
});

test('the meter may read metrics, and write those of its gateway only', () => {
  const stack = newStack();
  const gateway = new Gateway(stack, 'Gateway', { models: [anyModel(stack)], tiers: [anyTier(stack)] });
  new CostMeter(stack, 'Meter', { gateway });
  const template = Template.fromStack(stack);
  template.hasResourceProperties('AWS::IAM::Policy', {
    PolicyDocument: {
      Statement: Match.arrayWith([
        { Action: 'cloudwatch:GetMetricData', Effect: 'Allow', Resource: '*' },
        {
          Action: 'cloudwatch:PutMetricData',
          Effect: 'Allow',
          Resource: '*',
          Condition: { StringEquals: { 'cloudwatch:namespace': ['LlmServing/Test-Gateway'] } },
        },
      ]),
    },
  });
  template.hasResourceProperties('AWS::Lambda::Function', {
    Environment: { Variables: { LLM_METER: '{"namespace":"LlmServing/Test-Gateway","fleets":[]}' } },
  });
  template.hasResourceProperties('AWS::Events::Rule', { ScheduleExpression: 'rate(15 minutes)' });
});

test('a ledger that fails, and budgets that are nearly spent, are told of for all tiers at once', () => {
  const stack = newStack();
  const tiers = [anyTier(stack, 'free'), anyTier(stack, 'pro')];
  const usageLedger = new UsageLedger(stack, 'Ledger');
  const gateway = new Gateway(stack, 'Gateway', { models: [anyModel(stack)], tiers, usageLedger });
  new CostAlarms(stack, 'Alarms', { gateway, anomalies: false });
  for (const MetricName of ['LedgerErrors', 'BudgetThresholds']) {
    Template.fromStack(stack).hasResourceProperties('AWS::CloudWatch::Alarm', {
      Threshold: 1,
      AlarmDescription: Match.stringLikeRegexp(
        `#${MetricName === 'LedgerErrors' ? 'ledger-errors' : 'budget-thresholds'}$`,
      ),
      Metrics: Match.arrayWith([
        Match.objectLike({ Expression: 'SUM([m0, m1])' }),
        Match.objectLike({ MetricStat: { Metric: { MetricName, Dimensions: [{ Name: 'tier', Value: 'pro' }] } } }),
      ]),
    });
  }
});

describe("the account's budget", () => {
  test('tells at its thresholds, and of the forecast', () => {
    const stack = newStack();
    const { topic } = new AlarmTopic(stack, 'Topic');
    new MonthlyBudget(stack, 'Budget', { limitUsd: 1000, topic, emails: ['cfo@example.com'], tags: { app: 'llm' } });
    const notification = (NotificationType: string, Threshold: number) =>
      Match.objectLike({
        Notification: Match.objectLike({ NotificationType, Threshold, ThresholdType: 'PERCENTAGE' }),
        Subscribers: [
          { SubscriptionType: 'SNS', Address: { Ref: Match.anyValue() } },
          { SubscriptionType: 'EMAIL', Address: 'cfo@example.com' },
        ],
      });
    Template.fromStack(stack).hasResourceProperties('AWS::Budgets::Budget', {
      Budget: {
        BudgetLimit: { Amount: 1000, Unit: 'USD' },
        TimeUnit: 'MONTHLY',
        CostFilters: { TagKeyValue: ['user:app$llm'] },
      },
      NotificationsWithSubscribers: [
        notification('ACTUAL', 50),
        notification('ACTUAL', 80),
        notification('ACTUAL', 100),
        notification('FORECASTED', 100),
      ],
    });
  });

  test.each([
    [{ limitUsd: 0, emails: ['a@b'] }, /^limitUsd must be/],
    [{ limitUsd: 5 }, /^a budget tells nobody: pass topic or emails$/],
    [{ limitUsd: 5, emails: ['a@b'], thresholdsPercent: [1, 2, 3, 4, 5] }, /at most 4 values/],
    [{ limitUsd: 5, emails: ['a@b'], thresholdsPercent: [0] }, /^thresholdsPercent must be/],
    [{ limitUsd: 5, emails: Array.from({ length: 11 }, (_, i) => `${i}@b`) }, /at most 10 addresses, got 11/],
  ])('refuses %j', (props, message) => {
    expect(() => new MonthlyBudget(newStack(), 'Budget', props)).toThrow(message);
  });
});

describe('anomalies of the bill', () => {
  test('are looked for by tag, or by a monitor that is there', () => {
    const stack = newStack();
    const { topic } = new AlarmTopic(stack, 'Topic');
    new BillAnomalies(stack, 'ByTag', { topic, tag: 'app', tagValues: ['llm'], minimumUsd: 25 });
    new BillAnomalies(stack, 'Own', { topic, monitorArn: 'arn:aws:ce::111122223333:anomalymonitor/1' });
    const template = Template.fromStack(stack);
    template.resourceCountIs('AWS::CE::AnomalyMonitor', 1);
    template.hasResourceProperties('AWS::CE::AnomalySubscription', {
      Frequency: 'IMMEDIATE',
      Subscribers: [{ Type: 'SNS', Address: { Ref: Match.anyValue() } }],
      ThresholdExpression: Match.stringLikeRegexp('"Values":\\["25"\\]'),
    });
    template.hasResourceProperties('AWS::CE::AnomalySubscription', {
      MonitorArnList: ['arn:aws:ce::111122223333:anomalymonitor/1'],
    });
  });

  test.each([
    [{}, /^monitorArn and tag exclude each other/],
    [{ tag: 'app', monitorArn: 'arn' }, /^monitorArn and tag exclude each other/],
    [{ tag: 'app' }, /^tag needs tagValues/],
    [{ tag: 'app', tagValues: ['x'], minimumUsd: -1 }, /^minimumUsd must be/],
  ])('refuse %j', (props, message) => {
    const stack = newStack();
    const { topic } = new AlarmTopic(stack, 'Topic');
    expect(() => new BillAnomalies(stack, 'Anomalies', { topic, ...props })).toThrow(message);
  });
});
