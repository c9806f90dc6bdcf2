import { App, Duration, type Stack } from 'aws-cdk-lib';
import { Annotations, Match, Template } from 'aws-cdk-lib/assertions';
import { Alarm, Metric } from 'aws-cdk-lib/aws-cloudwatch';
import { Key } from 'aws-cdk-lib/aws-kms';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { describe, expect, test } from 'vitest';
import {
  Consumer,
  CostAlarms,
  Gateway,
  KillSwitch,
  type KillSwitchProps,
  LlmServingStack,
  Team,
  Tier,
  UsageLedger,
} from '../../lib';
import { KILL_SWITCH_ENV, type KillSwitchConfig } from '../../lib/private/kill-switch-config';
import { anyModel, newStack, read, statements } from './fixture.ts';

interface Made {
  readonly stack: Stack;
  readonly gateway: Gateway;
  readonly tier: Tier;
  readonly consumer: Consumer;
  readonly team: Team;
  readonly costAlarms: CostAlarms;
  readonly killSwitch: KillSwitch;
}

function make(
  props: Omit<KillSwitchProps, 'gateway'> | ((made: Omit<Made, 'killSwitch'>) => Partial<KillSwitchProps>) = {},
): Made {
  const stack = newStack();
  const tier = new Tier(stack, 'Pro');
  const team = new Team({ teamName: 'red' });
  const consumer = new Consumer(stack, 'Alice', { tier, team });
  const gateway = new Gateway(stack, 'Gateway', {
    models: [anyModel(stack)],
    tiers: [tier],
    usageLedger: new UsageLedger(stack, 'Ledger'),
    features: ['search'],
  });
  const costAlarms = new CostAlarms(stack, 'CostAlarms', {
    ...{ gateway, hourlyUsd: 10, anomalies: false },
    ...{ tierDailyUsd: { pro: 5 }, featureDailyUsd: { search: 3 } },
  });
  const made = { stack, gateway, tier, team, consumer, costAlarms };
  const given = typeof props === 'function' ? props(made) : props;
  return { ...made, killSwitch: new KillSwitch(stack, 'KillSwitch', { gateway, ...given }) };
}

const withCostAlarms = (more: Partial<KillSwitchProps> = {}) =>
  make(({ costAlarms }) => ({ topic: costAlarms.topic, ...more }));

const OF_SWITCH = { Description: 'Pauses models and consumers' };

/** What the function reads, with references of CloudFormation as `<logical id>`. */
function configOf(template: Template): KillSwitchConfig {
  const [fn] = Object.values(template.findResources('AWS::Lambda::Function', { Properties: OF_SWITCH }));
  const parts: unknown[] = fn?.Properties.Environment.Variables[KILL_SWITCH_ENV]['Fn::Join'][1] ?? [];
  return JSON.parse(
    parts.map((part) => (typeof part === 'string' ? part : `<${Object.values(part as object).flat()[0]}>`)).join(''),
  );
}

describe('a kill switch', () => {
  test('pauses nothing by itself', () => {
    const { stack, gateway } = make();
    const template = Template.fromStack(stack);
    expect(configOf(template)).toMatchObject({ alarms: [], namespace: 'LlmServing/Test-Gateway' });
    expect(read(stack, gateway).config.tiers[0]?.limits).toBeUndefined();
    // Its own failures are told of.
    template.hasResourceProperties('AWS::CloudWatch::Alarm', {
      MetricName: 'Errors',
      AlarmDescription: Match.stringLikeRegexp('#kill-switch-failed$'),
      AlarmActions: [{ Ref: Match.stringLikeRegexp('^KillSwitchTopic') }],
    });
  });

  test('hears of alarms and tells of pauses over one topic', () => {
    const { stack, killSwitch, costAlarms } = withCostAlarms();
    expect(killSwitch.topic).toBe(costAlarms.topic);
    const template = Template.fromStack(stack);
    template.resourceCountIs('AWS::SNS::Topic', 1);
    template.hasResourceProperties('AWS::SNS::Subscription', { Protocol: 'lambda' });
    expect(statements(template, 'sns:')).toEqual([
      { Effect: 'Allow', Action: 'sns:Publish', Resource: { Ref: expect.stringMatching(/^CostAlarmsTopic/) } },
    ]);
  });

  test('may touch one item of the ledger, and use the key of its topic', () => {
    const { stack } = withCostAlarms();
    const template = Template.fromStack(stack);
    expect(statements(template, 'dynamodb:')).toContainEqual({
      Effect: 'Allow',
      Action: ['dynamodb:GetItem', 'dynamodb:UpdateItem'],
      Resource: { 'Fn::GetAtt': [expect.stringMatching(/^LedgerTable/), 'Arn'] },
      Condition: { 'ForAllValues:StringEquals': { 'dynamodb:LeadingKeys': ['pauses'] } },
    });
    expect(statements(template, 'kms:')).toContainEqual({
      Effect: 'Allow',
      Action: ['kms:Decrypt', 'kms:GenerateDataKey'],
      Resource: { 'Fn::GetAtt': [expect.stringMatching(/^CostAlarmsTopicKey/), 'Arn'] },
    });
  });

  test('takes a topic that has no key', () => {
    const { stack } = make(({ stack: own }) => ({ topic: new Topic(own, 'Own') }));
    expect(statements(Template.fromStack(stack), 'kms:')).toEqual([]);
  });

  test('pauses models, consumers and teams on the alarms that it is told of', () => {
    const { stack, gateway, killSwitch, costAlarms, consumer, team } = withCostAlarms({ duration: Duration.hours(2) });
    const [chat] = gateway.models;
    if (chat === undefined || costAlarms.hourlySpend === undefined) throw new Error('not made');
    killSwitch.pauseModelOn(costAlarms.hourlySpend, chat);
    killSwitch.pauseTeamOn(costAlarms.hourlySpend, team, { duration: Duration.minutes(10), reason: 'calm down' });
    killSwitch.pauseConsumerOn(costAlarms.tierSpend('pro'), consumer);
    const template = Template.fromStack(stack);
    expect(configOf(template)).toEqual({
      ...{ namespace: 'LlmServing/Test-Gateway', topic: expect.any(String), table: expect.stringMatching(/^<Ledger/) },
      runbook: expect.stringMatching(/docs\/alarms\.md#kill-switch$/),
      alarms: [
        {
          arn: expect.stringMatching(/^<CostAlarmsHourlySpend/),
          pauses: [
            { kind: 'model', name: 'chat', ms: 7_200_000, reason: 'spending has crossed a limit' },
            { kind: 'team', name: 'red', ms: 600_000, reason: 'calm down' },
          ],
        },
        {
          arn: expect.stringMatching(/^<CostAlarmsTierSpend/),
          pauses: [{ kind: 'consumer', name: 'alice', ms: 7_200_000, reason: 'spending has crossed a limit' }],
        },
      ],
    });
    // They told that topic before.
    template.allResourcesProperties('AWS::CloudWatch::Alarm', { AlarmActions: [Match.anyValue()] });
  });

  test("has somebody else's alarm tell its topic, once", () => {
    const { stack, gateway, killSwitch, consumer } = make();
    const metric = new Metric({ namespace: 'N', metricName: 'M' });
    const own = new Alarm(stack, 'Own', { metric, threshold: 1, evaluationPeriods: 1 });
    const [chat] = gateway.models;
    if (chat === undefined) throw new Error('not made');
    killSwitch.pauseModelOn(own, chat);
    killSwitch.pauseConsumerOn(own, consumer);
    Template.fromStack(stack).hasResourceProperties('AWS::CloudWatch::Alarm', {
      MetricName: 'M',
      AlarmActions: [{ Ref: Match.stringLikeRegexp('^KillSwitchTopic') }],
    });
  });

  test('pauses all models, those that are added later too, above what all may cost', () => {
    const { stack, gateway } = withCostAlarms({ hourlyUsd: 50, dailyUsd: 200 });
    gateway.addModel(anyModel(stack, 'late'));
    const template = Template.fromStack(stack);
    const { alarms } = configOf(template);
    expect(alarms.map(({ pauses }) => pauses.map(({ name }) => name))).toEqual([
      ['chat', 'late'],
      ['chat', 'late'],
    ]);
    expect(alarms[0]?.pauses[0]?.reason).toBe('all models together cost more than $50 within one hour');
    for (const [Threshold, Period] of [
      [50, 3600],
      [200, 86_400],
    ]) {
      template.hasResourceProperties('AWS::CloudWatch::Alarm', { MetricName: 'CostUsd', Threshold, Period });
    }
  });

  test('gives the consumers of a tier hard limits, and tells of those that crossed one', () => {
    const { stack, gateway, tier, killSwitch } = withCostAlarms();
    killSwitch.pauseConsumersAbove(tier, { hourlyUsd: 2, dailyUsd: 8, duration: Duration.days(1) });
    const { template, config } = read(stack, gateway);
    expect(config.tiers[0]?.limits).toEqual({
      ...{ onExceeded: 'block', thresholds: [50, 80, 100] },
      hardLimits: { hourlyUsd: 2, dailyUsd: 8, pauseMs: 86_400_000 },
    });
    expect(configOf(template).alarms).toEqual([{ arn: expect.stringMatching(/^<KillSwitchHardLimit/), pauses: [] }]);
    template.hasResourceProperties('AWS::CloudWatch::Alarm', {
      ...{ MetricName: 'ConsumersPaused', Period: 60, Threshold: 1 },
      OKActions: [Match.anyValue()],
    });
  });

  test("encrypts log, variables and topic with a key of one's own", () => {
    const { stack } = make(({ stack: own }) => ({ encryptionKey: new Key(own, 'Key') }));
    const template = Template.fromStack(stack);
    const Key_ = { 'Fn::GetAtt': [Match.stringLikeRegexp('^Key'), 'Arn'] };
    template.hasResourceProperties('AWS::Lambda::Function', { ...OF_SWITCH, KmsKeyArn: Key_ });
    template.hasResourceProperties('AWS::SNS::Topic', { KmsMasterKeyId: Key_ });
  });

  test('makes no circle between alarms, topic and function', () => {
    const { stack, killSwitch, costAlarms, gateway } = withCostAlarms({ hourlyUsd: 5 });
    killSwitch.pauseModelOn(costAlarms.featureSpend('search'), gateway.models[0] ?? anyModel(stack, 'x'));
    // The assertions' templates refuse circles.
    expect(() => Template.fromStack(stack)).not.toThrow();
    Annotations.fromStack(stack).hasNoError('*', Match.anyValue());
  });
});

describe('the stack', () => {
  const OF_STACK = { MetricName: 'CostUsd', Period: 3600, Threshold: 50 };

  test('has none by default', () => {
    const stack = new LlmServingStack(new App(), 'Llm');
    expect(stack.killSwitch).toBeUndefined();
    Template.fromStack(stack).resourceCountIs('AWS::SNS::Topic', 0);
  });

  test.each([
    ['with a topic of its own', {}, '^KillSwitchTopic'],
    ['that tells who is told of cost alarms', { alarmEmails: ['ops@example.com'] }, '^CostAlarmsTopic'],
  ])('has one %s', (_, props, topic) => {
    const stack = new LlmServingStack(new App(), 'Llm', { killSwitchHourlyUsd: 50, ...props });
    const template = Template.fromStack(stack);
    template.resourceCountIs('AWS::SNS::Topic', 1);
    const AlarmActions = [{ Ref: Match.stringLikeRegexp(topic) }];
    template.hasResourceProperties('AWS::CloudWatch::Alarm', { ...OF_STACK, AlarmActions });
    expect(configOf(template).alarms).toMatchObject([{ pauses: [{ kind: 'model', name: 'nova-lite' }] }]);
  });
});

describe('refuses', () => {
  test('a gateway without a ledger', () => {
    const stack = newStack();
    const gateway = new Gateway(stack, 'Gateway', { models: [anyModel(stack)], tiers: [new Tier(stack, 'Pro')] });
    expect(() => new KillSwitch(stack, 'KillSwitch', { gateway })).toThrow(
      'a kill switch needs a gateway with a usage ledger: pass usageLedger to it, or use LlmServing',
    );
  });

  test.each([
    [{ hourlyUsd: 0 }, 'hourlyUsd must be a number between 0.0001 and 9000000, got 0'],
    [{ dailyUsd: Number.NaN }, 'dailyUsd must be a number between 0.0001 and 9000000, got NaN'],
    [{ duration: Duration.seconds(30) }, 'duration must be between 1 minute and 31 days, got 30 seconds'],
  ])('%j', (props, message) => {
    expect(() => make(props)).toThrow(message);
  });

  test.each([
    [{}, 'pauseConsumersAbove of tier "pro" has no limit: pass hourlyUsd or dailyUsd'],
    [{ hourlyUsd: -1 }, 'hourlyUsd must be a number between'],
    [{ dailyUsd: 1, duration: Duration.days(40) }, 'duration must be between 1 minute and 31 days, got 40 days'],
  ])('hard limits %j', (limits, message) => {
    const { killSwitch, tier } = make();
    expect(() => killSwitch.pauseConsumersAbove(tier, limits)).toThrow(message);
  });

  test('hard limits twice', () => {
    const { killSwitch, tier } = make();
    killSwitch.pauseConsumersAbove(tier, { hourlyUsd: 1 });
    expect(() => killSwitch.pauseConsumersAbove(tier, { dailyUsd: 1 })).toThrow('tier "pro" has hard limits already');
  });

  test.each(['', 'x'.repeat(201)])('the reason "%s"', (reason) => {
    const { killSwitch, consumer, costAlarms } = make();
    expect(() => killSwitch.pauseConsumerOn(costAlarms.tierSpend('pro'), consumer, { reason })).toThrow(
      `reason must be 1–200 characters, got ${reason.length}`,
    );
  });

  test("what isn't the gateway's", () => {
    const { stack, killSwitch, costAlarms } = make();
    const alarm = costAlarms.tierSpend('pro');
    const tier = new Tier(stack, 'Stray');
    killSwitch.pauseModelOn(alarm, anyModel(stack, 'stray'));
    killSwitch.pauseConsumerOn(alarm, new Consumer(stack, 'Bob', { tier }));
    killSwitch.pauseConsumersAbove(tier, { hourlyUsd: 1 });
    expect(killSwitch.node.validate()).toEqual([
      'model "stray", which the kill switch pauses, is not the gateway\'s',
      'consumer "bob", which the kill switch pauses, is in no tier of the gateway',
      'tier "stray", which the kill switch has hard limits for, is not the gateway\'s',
    ]);
  });

  test('more rules than a variable holds', () => {
    const { killSwitch, costAlarms, consumer } = make();
    const reason = 'x'.repeat(200);
    for (let index = 0; index < 20; index++)
      killSwitch.pauseConsumerOn(costAlarms.tierSpend('pro'), consumer, { reason });
    expect(killSwitch.node.validate()).toEqual([
      expect.stringContaining('more rules than an environment variable holds'),
    ]);
  });

  test.each([
    ['tierSpend', 'tier "free" has no alarm on its spending: pass a limit for it in tierDailyUsd'],
    ['featureSpend', 'feature "free" has no alarm on its spending: pass a limit for it in featureDailyUsd'],
  ] as const)('%s of what has no alarm', (name, message) => {
    expect(() => make().costAlarms[name]('free')).toThrow(message);
  });
});
