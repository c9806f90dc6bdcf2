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

describe('limits and budgets', () => {
  const limited = {
    ...models(REPLY),
    tiers: [
      {
        name: 'gold',
        tokensPerMinute: 1000,
        requestsPerMinute: 20,
        monthlyBudgetUsd: 50,
        onBudgetExceeded: { downgrade: 'chat' },
        budgetThresholds: [90],
        ledgerUnavailable: 'allow',
      },
      { name: 'free', onBudgetExceeded: 'notify' },
    ],
    teams: '[{"name":"search","monthlyBudgetUsd":200},{"name":"mail"}]',
    consumers: [
      { name: 'alice', tier: 'gold', team: 'search', monthlyBudgetUsd: 20 },
      { name: 'bob', tier: 'free', team: 'mail', apiKeyId: 'abc1234567' },
    ],
  };

  test('of tiers, teams and consumers', () => {
    const { config } = synthesize(limited);
    expect(config.tiers).toMatchObject([
      {
        limits: {
          tokensPerMinute: 1000,
          requestsPerMinute: 20,
          monthlyBudgetUsd: 50,
          onExceeded: 'downgrade',
          downgradeTo: 'chat',
          thresholds: [90],
          ledgerUnavailable: 'allow',
        },
      },
      { limits: { onExceeded: 'notify' } },
    ]);
    expect(config.teams).toEqual([{ name: 'search', monthlyBudgetUsd: 200 }, { name: 'mail' }]);
    expect(config.consumers).toEqual([
      { name: 'alice', team: 'search', monthlyBudgetUsd: 20 },
      { name: 'bob', team: 'mail' },
    ]);
  });

  test.each<[string, Record<string, unknown>, RegExp]>([
    [
      'a limit of nothing',
      { tiers: [{ name: 'a', tokensPerMinute: 0 }] },
      /^tiers\[0\]: tokensPerMinute must be .*got 0/,
    ],
    [
      'a budget of words',
      { tiers: [{ name: 'a', monthlyBudgetUsd: 'much' }] },
      /^tiers\[0\]\.monthlyBudgetUsd must be a number, got "much"/,
    ],
    [
      'an unknown action',
      { tiers: [{ name: 'a', onBudgetExceeded: 'stop' }] },
      /^tiers\[0\]\.onBudgetExceeded must be "block", "notify" or .*got "stop"/,
    ],
    [
      'a downgrade to nothing',
      { tiers: [{ name: 'a', onBudgetExceeded: {} }] },
      /\.onBudgetExceeded\.downgrade is missing/,
    ],
    ['a team without a name', { teams: [{}] }, /^teams\[0\]\.name is missing/],
    [
      'a team of no money',
      { teams: [{ name: 'a', monthlyBudgetUsd: -1 }] },
      /^teams\[0\]: monthlyBudgetUsd must be .*got -1/,
    ],
    ['two teams of one name', { teams: [{ name: 'a' }, { name: 'a' }] }, /^teams\[1\]\.name is "a", as another team's/],
    [
      'a team that is not declared',
      { teams: [{ name: 'a' }], consumers: [{ name: 'x', team: 'b' }] },
      /^consumers\[0\]\.team must be a team of teams \(one of a\), got "b"/,
    ],
    [
      'a budget of a consumer that is none',
      { consumers: [{ name: 'x', monthlyBudgetUsd: 0 }] },
      /^consumers\[0\]: monthlyBudgetUsd must be .*got 0/,
    ],
  ])('refuse %s', (_, context, message) => {
    expect(() => synthesize(context)).toThrow(message);
  });
});

describe('what is opted into', () => {
  test('is nothing by default', () => {
    const { template } = synthesize({ cache: 'false', jobs: false });
    for (const type of [
      'AWS::EC2::VPC',
      'AWS::ElastiCache::ServerlessCache',
      'AWS::SQS::Queue',
      'AWS::CloudWatch::Alarm',
      'AWS::CloudWatch::InsightRule',
      'AWS::Budgets::Budget',
      'AWS::CE::AnomalySubscription',
    ]) {
      template.resourceCountIs(type, 0);
    }
  });

  test('a cache, with a VPC of its own where there is no fleet', () => {
    const { template, config, fn } = synthesize({ cache: 'true' });
    template.resourceCountIs('AWS::ElastiCache::ServerlessCache', 1);
    template.resourceCountIs('AWS::EC2::NatGateway', 1);
    expect(fn?.Properties.VpcConfig).toBeDefined();
    expect(config.cache.policy).toMatchObject({ enabled: true, scope: 'consumer', ttlMs: 3_600_000 });
  });

  test("a cache, in the fleet's VPC where there is one, with policies", () => {
    const { template, config } = synthesize({
      preset: 'hybrid',
      cache: JSON.stringify({
        ttlSeconds: 60,
        scope: 'tier',
        maxTemperature: 0.5,
        requireSeed: true,
        tools: false,
        maxRequestKiB: 10,
        maxAnswerKiB: 20,
        replayIntervalSeconds: 0.02,
        version: 'v2',
        maxStorageGb: 2,
        maxEcpuPerSecond: 5000,
        timeoutSeconds: 0.05,
        connectTimeoutSeconds: 1,
      }),
      models: [
        { name: 'chat', backends: [REPLY] },
        { name: 'fresh', backends: [REPLY], cache: false },
        { name: 'brief', backends: [REPLY], cache: { ttlSeconds: 5 } },
      ],
    });
    template.resourceCountIs('AWS::EC2::VPC', 1);
    template.hasResourceProperties('AWS::ElastiCache::ServerlessCache', {
      CacheUsageLimits: { DataStorage: { Maximum: 2 }, ECPUPerSecond: { Maximum: 5000 } },
    });
    expect(config.cache).toMatchObject({
      timeoutMs: 50,
      connectTimeoutMs: 1000,
      policy: {
        ttlMs: 60_000,
        scope: 'tier',
        maxTemperature: 0.5,
        requireSeed: true,
        tools: false,
        maxRequestBytes: 10_240,
        maxAnswerBytes: 20_480,
        paceMs: 20,
        version: 'v2',
      },
    });
    expect(config.models.map(({ cache }: { cache?: object }) => cache)).toMatchObject([
      ...[undefined, { enabled: false }, { enabled: true, ttlMs: 5000 }],
    ]);
  });

  test('jobs, alarms on all of it, and what watches the bill', () => {
    const { template } = synthesize({
      ...models(REPLY),
      tiers: [{ name: 'gold' }],
      features: ['search'],
      jobs: {
        resultRetentionDays: 0.5,
        maxConcurrentJobs: 10,
        jobsPerWorker: 2,
        depthAlarm: 5,
        oldestJobAlarmMinutes: 3,
      },
      monthlyBudgetUsd: '100',
      alarmEmail: 'ops@example.com, on-call@example.com',
      costAlarms: {
        httpsEndpoints: ['https://pager.example.com/hook'],
        slackChannels: [{ workspaceId: 'T0123', channelId: 'C0456' }],
        hourlyUsd: 2,
        tierDailyUsd: { gold: 7 },
        featureDailyUsd: { search: 8 },
        anomalies: false,
      },
      failoverAlarms: 'true',
      topConsumers: true,
      accountBudget: { limitUsd: 900, thresholdsPercent: [100], forecast: false },
      billAnomalies: { monitorArn: 'arn:aws:ce::111122223333:anomalymonitor/1', minimumUsd: 5 },
    });
    for (const Endpoint of ['ops@example.com', 'on-call@example.com', 'https://pager.example.com/hook']) {
      template.hasResourceProperties('AWS::SNS::Subscription', { Endpoint });
    }
    template.hasResourceProperties('AWS::Chatbot::SlackChannelConfiguration', { SlackChannelId: 'C0456' });
    for (const alarm of [
      { MetricName: 'CostUsd', Threshold: 2, Period: 3600 },
      { Dimensions: [{ Name: 'tier', Value: 'gold' }], Threshold: 7 },
      { Dimensions: [{ Name: 'feature', Value: 'search' }], Threshold: 8 },
      { MetricName: 'AllBackendsFailed' },
      { MetricName: 'ApproximateAgeOfOldestMessage', Threshold: 180 },
      { MetricName: 'ApproximateNumberOfMessagesVisible', Threshold: 5 },
    ]) {
      template.hasResourceProperties('AWS::CloudWatch::Alarm', alarm);
    }
    // Whatever is in alarm, somebody is told.
    template.allResourcesProperties('AWS::CloudWatch::Alarm', { AlarmActions: [{ Ref: Match.anyValue() }] });
    template.resourceCountIs('AWS::CloudWatch::InsightRule', 1);
    template.hasResourceProperties('AWS::Budgets::Budget', {
      Budget: { BudgetLimit: { Amount: 900 } },
      NotificationsWithSubscribers: [{ Subscribers: [{ SubscriptionType: 'SNS' }] }],
    });
    template.hasResourceProperties('AWS::CE::AnomalySubscription', {
      ThresholdExpression: Match.stringLikeRegexp('"Values":\\["5"\\]'),
    });
    template.hasResourceProperties('AWS::Lambda::EventSourceMapping', { BatchSize: 2 });
  });

  test.each<[string, Record<string, unknown>, RegExp]>([
    ['a cache of words', { cache: 'yes' }, /^cache is not valid JSON/],
    ['a cache of nothing known', { cache: { ttl: 5 } }, /^unknown key "ttl" in cache: expected one of ttlSeconds/],
    ['a cache that forgets at once', { cache: { ttlSeconds: 0 } }, /^cache: ttl must be .*got 0/],
    [
      'a cache of no size',
      { cache: { maxStorageGb: 0 } },
      /maxStorageGb must be a whole number between 1 and 5000, got 0/,
    ],
    ['an unknown scope', { cache: { scope: 'all' } }, /^cache\.scope must be one of consumer, tier, global, got "all"/],
    [
      'a bad policy of a model',
      { models: [{ name: 'a', backends: [REPLY], cache: { ttlSeconds: -1 } }] },
      /^models\[0\]\.cache: /,
    ],
    ['a VPC for nothing', { natGateways: 1 }, /^natGateways needs preset "hybrid" or "self-hosted", or responseCache/],
    [
      'jobs of nothing known',
      { jobs: { size: 5 } },
      /^unknown key "size" in jobs: expected one of resultRetentionDays/,
    ],
    ['jobs that nobody may run', { jobs: { jobsPerWorker: 0 } }, /^jobsPerWorker must be .*got 0/],
    [
      'an alarm on no tier',
      { monthlyBudgetUsd: 5, costAlarms: { tierDailyUsd: { x: 1 } } },
      /^tierDailyUsd has "x", which is no tier/,
    ],
    [
      'a channel of half',
      { costAlarms: { slackChannels: [{ channelId: 'C' }] } },
      /^costAlarms\.slackChannels\[0\]\.workspaceId is missing/,
    ],
    ['a budget of nothing', { accountBudget: {} }, /^accountBudget\.limitUsd is missing/],
    ['a budget that tells nobody', { accountBudget: { limitUsd: 5 } }, /^a budget tells nobody: pass topic or emails/],
    [
      'anomalies that tell nobody',
      { billAnomalies: { tag: 'a', tagValues: ['b'] } },
      /^billAnomalies tells nobody: pass alarmEmails/,
    ],
    [
      'a Spot price without instances',
      { preset: 'hybrid', fleet: { spotPriceFactor: 0.5 } },
      /^fleet\.spotPriceFactor needs instanceTypes/,
    ],
  ])('refuses %s', (_, context, message) => {
    expect(() => synthesize(context)).toThrow(message);
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
