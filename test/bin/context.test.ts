import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { App } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { describe, expect, test } from 'vitest';
import { stackFromContext } from '../../bin/context.ts';

function synthesize(context: Record<string, unknown>) {
  const app = new App({ context });
  const stack = stackFromContext(app);
  const template = Template.fromStack(stack);
  const [fn] = Object.values(template.findResources('AWS::Lambda::Function', { Properties: { Timeout: 900 } }));
  const asset = `asset.${fn?.Properties.Code.S3Key.replace('.zip', '')}`;
  return {
    stack,
    template,
    fn,
    config: JSON.parse(readFileSync(join(app.outdir, asset, 'serving-config.json'), 'utf8')),
  };
}

const REPLY = { staticReply: 'sorry' };
const models = (...backends: unknown[]) => ({ models: [{ name: 'chat', backends }] });

describe('the stack of a context', () => {
  test('is the managed preset by default', () => {
    const { stack, config } = synthesize({});
    expect(stack.stackName).toBe('LlmServing');
    expect(config.models[0].name).toBe('nova-lite');
  });

  test('takes every setting', () => {
    const { stack, template, fn, config } = synthesize({
      preset: 'managed',
      stackName: 'mine',
      models: [{ name: 'chat', aliases: ['gpt-4o'], ownedBy: 'me', maxOutputTokens: 9, backends: [REPLY] }],
      tiers: [
        {
          name: 'gold',
          requestsPerSecond: 1,
          burst: 2,
          requestQuota: 3,
          quotaPeriod: 'DAY',
          allowedModels: ['chat'],
          maxOutputTokens: 4,
          priority: 7,
        },
      ],
      consumers: [{ name: 'alice', tier: 'gold', apiKeyId: 'abc1234567' }],
      features: ['search'],
      stageName: 'prod',
      requestsPerSecond: 5,
      burst: 6,
      authorizerCacheSeconds: 60,
      corsOrigins: ['https://a.example'],
      webAclArn: 'arn:aws:wafv2:us-east-1:111122223333:regional/webacl/a/b',
      logContent: true,
      logRetentionDays: 7,
      tracing: false,
      cloudWatchRole: false,
      memorySizeMiB: 1024,
      provisionedConcurrency: 1,
      reservedConcurrency: 2,
    });
    expect(stack.stackName).toBe('mine');
    expect(config).toMatchObject({
      models: [{ name: 'chat', aliases: ['gpt-4o'], ownedBy: 'me', maxOutputTokens: 9 }],
      tiers: [{ name: 'gold', allowedModels: ['chat'], maxOutputTokens: 4, priority: 7 }],
      features: ['search'],
      cors: { allowOrigins: ['https://a.example'] },
      logContent: true,
    });
    expect(fn?.Properties).toMatchObject({ MemorySize: 1024, ReservedConcurrentExecutions: 2 });
    expect(fn?.Properties.Environment.Variables.LLM_CONSUMERS).toBe('abc1234567=alice:gold');
    template.hasResourceProperties('AWS::ApiGateway::UsagePlan', {
      Throttle: { RateLimit: 1, BurstLimit: 2 },
      Quota: { Limit: 3, Period: 'DAY' },
    });
    template.hasResourceProperties('AWS::ApiGateway::Stage', { StageName: 'prod', TracingEnabled: false });
    template.hasResourceProperties('AWS::ApiGateway::Authorizer', { AuthorizerResultTtlInSeconds: 60 });
    template.hasResourceProperties('AWS::Lambda::Alias', {
      ProvisionedConcurrencyConfig: { ProvisionedConcurrentExecutions: 1 },
    });
    template.resourceCountIs('AWS::WAFv2::WebACLAssociation', 1);
    template.resourceCountIs('AWS::ApiGateway::Account', 0);
    template.allResourcesProperties('AWS::Logs::LogGroup', { RetentionInDays: 7 });
  });

  test('takes what the command line gives, where every value is text', () => {
    const { config, template } = synthesize({
      models: JSON.stringify([{ name: 'chat', backends: [REPLY] }]),
      features: '["a"]',
      requestsPerSecond: '7',
      logContent: 'true',
    });
    expect(config).toMatchObject({ models: [{ name: 'chat' }], features: ['a'], logContent: true });
    template.hasResourceProperties('AWS::ApiGateway::Stage', {
      MethodSettings: Match.arrayWith([Match.objectLike({ ThrottlingRateLimit: 7 })]),
    });
  });

  test("is none of the business of the CDK's own keys", () => {
    const keys = { 'aws:cdk:bundling-stacks': [], '@aws-cdk/core:x': true, 'acknowledged-issue-numbers': [1] };
    expect(() => synthesize(keys)).not.toThrow();
  });
});

describe('backends', () => {
  test('of every kind, in order', () => {
    const { config, template } = synthesize(
      models(
        {
          bedrock: 'us.amazon.nova-lite-v1:0',
          id: 'nova',
          region: 'us-east-1',
          profileRegions: ['us-east-1'],
          guardrailId: 'gr',
          guardrailVersion: '1',
          serviceTier: 'flex',
          promptCaching: true,
          jsonSchema: 'tool',
          reasoning: 'none',
          images: false,
          tools: true,
          price: { inputUsd: 1, outputUsd: 2, cachedInputUsd: 0.5, cacheWriteUsd: 1.5 },
          contextWindow: 1000,
          maxOutputTokens: 100,
          connectTimeoutSeconds: 0.5,
          firstTokenTimeoutSeconds: 10,
          betweenTokensTimeoutSeconds: 5,
        },
        { openAiCompatible: 'http://127.0.0.1:8000/v1', model: 'x' },
        {
          openAiCompatible: 'https://llm.example.com/v1',
          apiKeySecret: 'shared',
          apiKeyField: 'k',
          apiKeyHeader: 'api-key',
          headers: { 'x-a': 'b' },
          unsupportedParameters: ['seed'],
          maxTokensParameter: 'max_completion_tokens',
          streamUsage: false,
          price: 'free',
        },
        { openAi: 'gpt-4.1-mini', apiKeySecret: 'shared', organization: 'o', project: 'p' },
        {
          anthropic: 'claude-sonnet-4-5',
          apiKeySecret: 'arn:aws:secretsmanager:us-east-1:111122223333:secret:anthropic-AbCdEf',
        },
        { vertexAi: 'gemini-2.5-flash', projectId: 'p', location: 'global', credentialsSecret: 'google' },
        { staticReply: 'sorry', id: 'last' },
      ),
    );
    expect(config.models[0].backends).toMatchObject([
      {
        kind: 'bedrock',
        id: 'nova',
        region: 'us-east-1',
        guardrail: { id: 'gr', version: '1' },
        serviceTier: 'flex',
        price: { input: 1, output: 2, cachedInput: 0.5, cacheWrite: 1.5 },
        deadlines: { connectMs: 500, firstTokenMs: 10_000, betweenTokensMs: 5000 },
      },
      { kind: 'openai-compatible', baseUrl: 'http://127.0.0.1:8000/v1', model: 'x', price: { input: 0 } },
      { auth: { type: 'secret', jsonField: 'k', header: 'api-key' }, streamUsage: false },
      { baseUrl: 'https://api.openai.com/v1', headers: { 'openai-organization': 'o', 'openai-project': 'p' } },
      { baseUrl: 'https://api.anthropic.com/v1' },
      { auth: { type: 'google' }, model: 'google/gemini-2.5-flash' },
      { kind: 'static-reply', id: 'last' },
    ]);
    template.resourceCountIs('AWS::SecretsManager::Secret', 0);
    const variables = Object.keys(template.findResources('AWS::Lambda::Function', { Properties: { Timeout: 900 } }));
    expect(variables).toHaveLength(1);
  });
});

describe('the presets with a fleet', () => {
  const backendsOf = ({ config }: ReturnType<typeof synthesize>) =>
    config.models.map(({ name, backends }: { name: string; backends: Array<{ id: string }> }) => [
      name,
      ...backends.map(({ id }) => id),
    ]);

  test('hybrid: a fleet that may sleep, then Bedrock', () => {
    const made = synthesize({ preset: 'hybrid' });
    expect(backendsOf(made)).toEqual([['chat', 'fleet-main', 'bedrock-amazon-nova-lite-v1-0']]);
    made.template.hasResourceProperties('AWS::ApplicationAutoScaling::ScalableTarget', {
      MinCapacity: 0,
      MaxCapacity: 2,
    });
    made.template.resourceCountIs('AWS::EC2::NatGateway', 1);
    expect(made.fn?.Properties.VpcConfig).toBeDefined();
  });

  test('self-hosted: a fleet alone, always there', () => {
    const made = synthesize({ preset: 'self-hosted' });
    expect(backendsOf(made)).toEqual([['chat', 'fleet-main']]);
    made.template.hasResourceProperties('AWS::ApplicationAutoScaling::ScalableTarget', {
      MinCapacity: 1,
      MaxCapacity: 2,
    });
  });

  test('with every setting of the fleet', () => {
    const { config, template } = synthesize({
      preset: 'self-hosted',
      natGateways: 2,
      fleet: JSON.stringify({
        name: 'llama',
        huggingFace: 'meta-llama/Llama-3.3-70B-Instruct',
        revision: 'abc',
        contextLength: 4096,
        tensorParallelSize: 4,
        quantization: 'fp8',
        kvCacheDtype: 'fp8',
        toolCallParser: 'llama3_json',
        reasoningParser: 'x',
        args: ['--async-scheduling'],
        instanceTypes: ['g6e.12xlarge'],
        spot: true,
        maxInstances: 3,
        hourlyPriceUsd: 8,
        spotPriceFactor: 0.5,
        minTasks: 0,
        maxTasks: 3,
        targetRequestsPerTask: 8,
        idleTimeoutMinutes: 20,
      }),
      models: [{ name: 'big', backends: [{ fleet: 'llama', expectedTokensPerHour: 2_000_000 }] }],
    });
    expect(config.models[0].backends[0]).toMatchObject({
      id: 'fleet-llama',
      model: 'meta-llama/Llama-3.3-70B-Instruct',
      price: { input: 2 },
      fleet: { name: 'llama' },
    });
    template.resourceCountIs('AWS::EC2::NatGateway', 2);
    template.hasResourceProperties('AWS::AutoScaling::AutoScalingGroup', { MaxSize: '3' });
    template.hasResourceProperties('AWS::ECS::TaskDefinition', {
      ContainerDefinitions: Match.arrayWith([
        Match.objectLike({ Name: 'Engine', Command: Match.arrayWith(['--revision', 'abc', '--async-scheduling']) }),
      ]),
    });
  });
});

test.each<[string, Record<string, unknown>, RegExp]>([
  ['an unknown key', { modles: [] }, /^unknown key "modles": expected one of preset, stackName, fleet/],
  ['a fleet where there is none', models({ fleet: 'main' }), /: a fleet needs the preset hybrid or self-hosted/],
  [
    'a fleet of another name',
    { preset: 'hybrid', ...models({ fleet: 'other' }) },
    /there is no fleet "other": it is called "main"/,
  ],
  [
    'an unknown key of the fleet',
    { preset: 'hybrid', fleet: { gpu: 1 } },
    /^unknown key "gpu" in fleet: expected one of name/,
  ],
  ['an unknown preset', { preset: 'x' }, /^preset must be one of managed, hybrid, self-hosted, got "x"/],
  ['bad JSON', { models: '[{' }, /^models is not valid JSON: /],
  ['an object for a list', { models: {} }, /^models must be an array, got \{\}/],
  ['a text for a model', { models: ['chat'] }, /^models\[0\] must be an object, got "chat"/],
  ['a model without a name', { models: [{ backends: [REPLY] }] }, /^models\[0\]\.name is missing/],
  ['a model without backends', { models: [{ name: 'a' }] }, /^models\[0\]\.backends is missing/],
  ['an unknown key of a model', { models: [{ nme: 'a' }] }, /^unknown key "nme" in models\[0\]: expected one of name/],
  ['a backend of no kind', models({}), /^models\[0\]\.backends\[0\] must have exactly one of bedrock, .*, got none/],
  ['a backend of two kinds', models({ bedrock: 'a', staticReply: 'b' }), /exactly one of .*, got bedrock, staticReply/],
  [
    'a key of another kind',
    models({ staticReply: 'a', region: 'b' }),
    /^unknown key "region" in models\[0\]\.backends\[0\]/,
  ],
  ['a key of every object', models({ staticReply: 'a', constructor: 'b' }), /^unknown key "constructor"/],
  [
    'a number for a text',
    models({ bedrock: 5 }),
    /^models\[0\]\.backends\[0\]\.bedrock must be a non-empty string, got 5/,
  ],
  ['a price of half', models({ bedrock: 'x.y', price: { inputUsd: 1 } }), /\.price\.outputUsd is missing/],
  ['no price', models({ bedrock: 'x.y-v1:0' }), /^models\[0\]\.backends\[0\]: no price is known for model "x.y-v1:0"/],
  ['no key', models({ openAi: 'gpt-4.1-mini' }), /^models\[0\]\.backends\[0\]\.apiKeySecret is missing/],
  ['no credentials', models({ vertexAi: 'g', projectId: 'p' }), /\.credentialsSecret is missing/],
  ['no project', models({ vertexAi: 'g', credentialsSecret: 'p' }), /\.projectId is missing/],
  ['a version of no guardrail', models({ bedrock: 'a', guardrailVersion: '1' }), /guardrailVersion needs guardrailId/],
  ['http', models({ openAiCompatible: 'http://x/v1' }), /is unencrypted/],
  ['a bad number', { requestsPerSecond: 'many' }, /^requestsPerSecond must be a number, got "many"/],
  ['a bad flag', { tracing: 'yes' }, /^tracing must be true or false, got "yes"/],
  ['days that are no retention', { logRetentionDays: 8 }, /^logRetentionDays must be one of 1, 3, 5, 7, .*, got 8/],
  ['a tier without a name', { tiers: [{}] }, /^tiers\[0\]\.name is missing/],
  ['an unknown period', { tiers: [{ name: 'a', quotaPeriod: 'YEAR' }] }, /^tiers\[0\]\.quotaPeriod must be one of DAY/],
  ['a consumer without a name', { consumers: [{}] }, /^consumers\[0\]\.name is missing/],
])('refuses %s', (_, context, message) => {
  expect(() => synthesize(context)).toThrow(message);
});
