import { App, Lazy, NestedStack, Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import type { Metric } from 'aws-cdk-lib/aws-cloudwatch';
import { Construct } from 'constructs';
import { describe, expect, test } from 'vitest';
import { Gateway } from '../../lib';
import { anyModel, anyTier, newStack, read, synthesize } from './fixture.ts';

/** An alarm on the metric, as CloudFormation gets it. */
function alarmOf(stack: Stack, metric: Metric): Record<string, unknown> {
  metric.createAlarm(stack, 'Alarm', { threshold: 1, evaluationPeriods: 1 });
  const [alarm] = Object.values(Template.fromStack(stack).findResources('AWS::CloudWatch::Alarm'));
  return alarm?.Properties;
}

function twoGateways(metricsNamespace?: string) {
  const stack = newStack();
  const model = anyModel(stack);
  const tier = anyTier(stack);
  for (const id of ['One', 'Two']) {
    new Gateway(stack, id, { models: [model], tiers: [tier], cloudWatchRole: false, metricsNamespace });
  }
  return { stack, model, tier };
}

describe('the metrics of a model and of a tier', () => {
  test.each<[string, (stack: Stack) => Metric]>([
    ['model', (stack) => anyModel(stack, 'other').metricErrors()],
    ['tier', (stack) => anyTier(stack, 'other').metricErrors()],
  ])('of a %s that is in no gateway are an error with the remedy', (kind, metricOf) => {
    const stack = newStack();
    expect(() => alarmOf(stack, metricOf(stack))).toThrow(
      `${kind} "other" has no metrics, for it is in no gateway: pass it in the gateway's ${kind}s`,
    );
  });

  test('are where the handler of their gateway writes them, though made before it', () => {
    const stack = newStack();
    const model = anyModel(stack);
    const tier = anyTier(stack);
    const [ofModel, ofTier] = [model.metricErrors(), tier.metricErrors()];
    const gateway = new Gateway(stack, 'Gateway', { metricsNamespace: 'Acme/LLM: eu #1' });
    gateway.addModel(model);
    gateway.addTier(tier);
    expect(stack.resolve(ofModel.namespace)).toBe('Acme/LLM: eu #1');
    expect(alarmOf(stack, ofTier)).toMatchObject({ Namespace: 'Acme/LLM: eu #1', Dimensions: [{ Name: 'tier' }] });
    expect(read(stack, gateway).config.metrics).toEqual({ namespace: 'Acme/LLM: eu #1' });
  });

  test('in two gateways are an error, unless both write to one namespace', () => {
    const apart = twoGateways();
    expect(() => alarmOf(apart.stack, apart.model.metricErrors())).toThrow(
      'model "chat" is in gateways with different metricsNamespace, "LlmServing/Test-One" and "LlmServing/Test-Two": give both the same one',
    );
    const together = twoGateways('Shared');
    expect(alarmOf(together.stack, together.tier.metricErrors())).toMatchObject({ Namespace: 'Shared' });
  });
});

describe('the default namespace', () => {
  const namespaceOf = (scope: Construct, id: string, apiName?: string) => {
    const stack = Stack.of(scope);
    const models = [anyModel(stack)];
    const gateway = new Gateway(scope, id, { models, tiers: [anyTier(stack)], apiName });
    return read(stack, gateway).config.metrics.namespace;
  };

  test('follows the name of the API', () => {
    expect(namespaceOf(newStack(), 'Gateway', 'my api')).toBe('LlmServing/my-api');
  });

  test('differs by stack and by place in the stack', () => {
    expect(namespaceOf(new Stack(new App(), 'Prod'), 'Gateway')).toBe('LlmServing/Prod-Gateway');
    const stack = newStack();
    expect(namespaceOf(new Construct(stack, 'Team a'), 'Gateway')).toBe('LlmServing/Test-Team-a-Gateway');
  });

  test('is known at synth in a nested stack too', () => {
    expect(namespaceOf(new NestedStack(newStack(), 'Nested'), 'Gateway')).toMatch(
      /^LlmServing\/Test-Nested-Gateway-[0-9A-F]+$/,
    );
  });
});

test.each([
  ['empty', '', /^metricsNamespace must be .* got ""/],
  ["AWS's own", 'AWS/Lambda', /^metricsNamespace must be .* got "AWS\/Lambda"/],
  ['one that begins with a colon', ':a', /^metricsNamespace must be/],
  ['too long', 'x'.repeat(256), /^metricsNamespace must be/],
  ['a token', Lazy.string({ produce: () => 'x' }), /^metricsNamespace must be known at synth/],
])('refuses a namespace that is %s', (_, metricsNamespace, message) => {
  expect(() => synthesize({ metricsNamespace })).toThrow(message);
});

test('needs a namespace where the name of the API is known at deployment only', () => {
  const apiName = Lazy.string({ produce: () => 'x' });
  expect(() => synthesize({ apiName })).toThrow(/^metricsNamespace is needed when apiName is known only at deployment/);
  expect(synthesize({ apiName, metricsNamespace: 'A' }).config.metrics).toEqual({ namespace: 'A' });
});
