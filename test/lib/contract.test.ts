import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Template } from 'aws-cdk-lib/assertions';
import { Vpc } from 'aws-cdk-lib/aws-ec2';
import { expect, test } from 'vitest';
import { CONSUMERS_ENV as HANDLER_CONSUMERS_ENV, loadConfig } from '../../lambda/contract/config.ts';
import { STANDARD_POLICY } from '../../lambda/failover/policy.ts';
import { METRIC_OF_END } from '../../lambda/job/count-ends.ts';
import { DIMENSION_SETS } from '../../lambda/serving/metrics.ts';
import { Backend, Consumer, FallbackPolicy, GatewayCompute, LlmServing, Model, ResponseCache } from '../../lib';
import { CONSUMERS_ENV } from '../../lib/private/serving-config';
import { METRICS_BY_DIMENSION, METRICS_OF_GATEWAY, METRICS_OF_JOBS } from '../../lib/private/serving-metrics';
import { anyModel, anyTier, assemblyOf, newStack, synthesize } from './fixture.ts';

test('the handler reads what synthesis wrote, with the environment that it gets', () => {
  const { config, environment } = synthesize({ corsOrigins: ['*'], features: ['search'] }, (stack) => {
    const tier = anyTier(stack);
    Consumer.fromApiKeyAttributes(stack, 'Bob', { tier, apiKeyId: 'abc1234567' });
    return {
      tiers: [tier],
      models: [
        new Model(stack, 'Chat', {
          aliases: ['gpt-4o'],
          backends: [
            Backend.bedrock('us.amazon.nova-lite-v1:0'),
            Backend.openAiCompatible(`http://${stack.account}.internal/v1`, {
              allowHttp: true,
              backendId: 'vllm',
              price: Backend.staticReply('x').price,
            }),
            Backend.staticReply('sorry'),
          ],
        }),
      ],
    };
  });
  const deployed = Object.fromEntries(
    Object.entries(environment).map(([name, value]) => [
      name,
      typeof value === 'string' ? value : 'http://deployed/v1',
    ]),
  );
  const loaded = loadConfig(JSON.stringify(config), deployed);
  expect(loaded.modelByName.get('gpt-4o')?.backends[1]).toMatchObject({ baseUrl: 'http://deployed/v1' });
  expect(loaded.consumers.get('abc1234567')).toMatchObject({ name: 'bob', tier: { name: 'standard' } });
  expect(loaded.features.has('search')).toBe(true);
});

test('every function that reads the configuration gets the environment that it refers to', () => {
  const stack = newStack();
  const vpc = new Vpc(stack, 'Vpc');
  const compute = GatewayCompute.lambda({ vpc });
  new LlmServing(stack, 'Serving', {
    ...{ compute, models: [anyModel(stack)], jobs: {} },
    cache: new ResponseCache(stack, 'Cache', { vpc }),
  });
  const functions = Object.values(Template.fromStack(stack).findResources('AWS::Lambda::Function'));
  const caches = functions.flatMap(({ Properties: { Code, Description, Environment } }) => {
    const file = join(assemblyOf(stack), `asset.${Code.S3Key.replace('.zip', '')}`, 'serving-config.json');
    if (!existsSync(file)) return [];
    const names = Object.keys(Environment.Variables).filter((name) => name !== CONSUMERS_ENV);
    const loaded = loadConfig(readFileSync(file, 'utf8'), Object.fromEntries(names.map((name) => [name, name])));
    return [[Description, loaded.cache?.endpoint]];
  });
  expect(Object.fromEntries(caches)).toEqual({
    'Serves chat completions': 'LLM_CACHE_ENDPOINT',
    'Runs jobs': 'LLM_CACHE_ENDPOINT',
    'Takes jobs, and tells what became of them': undefined,
  });
});

test('a model without a policy is treated alike, whether synthesis or the handler fills it in', () => {
  expect(FallbackPolicy.standard()._render()).toEqual(STANDARD_POLICY);
});

test("both sides name the consumers' variable alike", () => {
  expect(HANDLER_CONSUMERS_ENV).toBe(CONSUMERS_ENV);
});

test('the metrics of a gateway are those that the handler writes', () => {
  const written = DIMENSION_SETS.find(({ dimensions }) => dimensions.length === 0);
  expect([...METRICS_OF_GATEWAY].sort()).toEqual([...(written?.metrics ?? [])].sort());
});

test('the metrics of a queue of jobs are those that its functions write', () => {
  expect([...METRICS_OF_JOBS].sort()).toEqual(Object.values(METRIC_OF_END).sort());
});

test.each(['model', 'tier', 'feature'] as const)(
  'the metrics of a %s are those that the handler writes',
  (dimension) => {
    const written = DIMENSION_SETS.find(({ dimensions }) => dimensions.length === 1 && dimensions[0] === dimension);
    expect([...METRICS_BY_DIMENSION[dimension]].sort()).toEqual([...(written?.metrics ?? [])].sort());
  },
);
