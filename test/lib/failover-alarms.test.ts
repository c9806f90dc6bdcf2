import type { Stack } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { expect, test } from 'vitest';
import { FailoverAlarms, type FailoverAlarmsProps, Gateway } from '../../lib';
import { anyModel, anyTier, newStack } from './fixture.ts';

function alarms(props: (stack: Stack) => Omit<FailoverAlarmsProps, 'model'> = () => ({})): Template {
  const stack = newStack();
  const model = anyModel(stack);
  new Gateway(stack, 'Gateway', { models: [model], tiers: [anyTier(stack)] });
  new FailoverAlarms(stack, 'Alarms', { model, ...props(stack) });
  return Template.fromStack(stack);
}

test('there is one for each thing that somebody should look at', () => {
  const template = alarms();
  template.resourceCountIs('AWS::CloudWatch::Alarm', 4);
  for (const MetricName of ['BreakersOpened', 'AllBackendsFailed', 'CredentialErrors']) {
    template.hasResourceProperties('AWS::CloudWatch::Alarm', {
      MetricName,
      Dimensions: Match.arrayWith([{ Name: 'model', Value: 'chat' }]),
      Period: 300,
      Statistic: 'Sum',
      Threshold: 1,
      TreatMissingData: 'notBreaching',
    });
  }
  template.hasResourceProperties('AWS::CloudWatch::Alarm', {
    Threshold: 10,
    DatapointsToAlarm: 2,
    Metrics: Match.arrayWith([
      Match.objectLike({ Expression: 'IF(requests >= 20, 100 * fallbacks / requests, 0)' }),
      Match.objectLike({ MetricStat: { Metric: { MetricName: 'Fallbacks' }, Period: 300 } }),
    ]),
  });
});

test('they take thresholds and actions', () => {
  const template = alarms((stack) => ({
    actions: [new SnsAction(new Topic(stack, 'Topic'))],
    failoverRatePercent: 25,
    minimumRequests: 5,
    breakersOpened: 3,
    allBackendsFailed: 4,
  }));
  template.allResourcesProperties('AWS::CloudWatch::Alarm', { AlarmActions: [Match.anyValue()] });
  template.hasResourceProperties('AWS::CloudWatch::Alarm', { MetricName: 'BreakersOpened', Threshold: 3 });
  template.hasResourceProperties('AWS::CloudWatch::Alarm', { MetricName: 'AllBackendsFailed', Threshold: 4 });
  template.hasResourceProperties('AWS::CloudWatch::Alarm', { Threshold: 25 });
});

test.each<[Omit<FailoverAlarmsProps, 'model'>, RegExp]>([
  [{ failoverRatePercent: 0 }, /^failoverRatePercent must be/],
  [{ minimumRequests: 0 }, /^minimumRequests must be/],
  [{ breakersOpened: 0 }, /^breakersOpened must be/],
  [{ allBackendsFailed: 1.5 }, /^allBackendsFailed must be/],
])('they refuse %j', (props, message) => {
  expect(() => alarms(() => props)).toThrow(message);
});
