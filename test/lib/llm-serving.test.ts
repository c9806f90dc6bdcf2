import { App, Stack } from 'aws-cdk-lib';
import { Annotations, Match, Template } from 'aws-cdk-lib/assertions';
import { InstanceType } from 'aws-cdk-lib/aws-ec2';
import { Repository } from 'aws-cdk-lib/aws-ecr';
import { ContainerImage } from 'aws-cdk-lib/aws-ecs';
import { Bucket } from 'aws-cdk-lib/aws-s3';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { describe, expect, test } from 'vitest';
import {
  Backend,
  GpuCapacity,
  type IBackend,
  LlmServing,
  LlmServingStack,
  type LlmServingStackProps,
  Model,
  ModelWeights,
  ServingEngine,
  ServingPreset,
  Tier,
  TokenPrice,
} from '../../lib';
import { anyModel, newStack, read } from './fixture.ts';

describe('LlmServing', () => {
  test('comes with a tier and a consumer, so that the first deployment can be called', () => {
    const stack = newStack();
    const serving = new LlmServing(stack, 'Serving', { models: [anyModel(stack)] });
    const { template, config, environment } = read(stack, serving.gateway);
    template.resourceCountIs('AWS::ApiGateway::ApiKey', 1);
    expect(config.tiers).toEqual([{ name: 'standard' }]);
    expect(JSON.stringify(environment.LLM_CONSUMERS)).toContain('=default:standard');
    expect(serving.defaultConsumer?.consumerName).toBe('default');
    template.hasResourceProperties('AWS::ApiGateway::RestApi', { Name: 'Test-Serving' });
  });

  test('has the tiers that are given, and no others', () => {
    const stack = newStack();
    const tier = new Tier(stack, 'Gold');
    const serving = new LlmServing(stack, 'Serving', { tiers: [tier], apiName: 'llm', stageName: 'prod' });
    serving.addModel(anyModel(stack));
    serving.addTier(new Tier(stack, 'Silver'));
    const { template, config } = read(stack, serving.gateway);
    expect(config.tiers.map(({ name }) => name)).toEqual(['gold', 'silver']);
    template.resourceCountIs('AWS::ApiGateway::ApiKey', 0);
    expect(serving.defaultConsumer).toBeUndefined();
    template.hasResourceProperties('AWS::ApiGateway::RestApi', { Name: 'llm' });
    expect(stack.resolve(serving.url)).toEqual(stack.resolve(serving.gateway.url));
  });

  test('two in one stack stand side by side', () => {
    const stack = newStack();
    for (const id of ['One', 'Two']) {
      new LlmServing(stack, id, { models: [new Model(stack, `Model${id}`, { backends: [Backend.staticReply(id)] })] });
    }
    Template.fromStack(stack).resourceCountIs('AWS::ApiGateway::RestApi', 2);
  });
});

describe('LlmServingStack', () => {
  const stackOf = (props: LlmServingStackProps = {}) => new LlmServingStack(new App(), 'Llm', props);

  test('serves Nova Lite on Bedrock, with nothing behind it that would hide a failure, and says how to call it', () => {
    const stack = stackOf();
    const { template, config } = read(stack, stack.serving.gateway);
    expect(config.models.map(({ name, backends }) => [name, backends.map(({ kind }) => kind)])).toEqual([
      ['nova-lite', ['bedrock']],
    ]);
    expect(Object.keys(template.toJSON().Outputs).sort()).toEqual([
      'ApiEndpoint',
      'ApiKeyCommand',
      'ApiKeyId',
      'UsageTable',
    ]);
    template.hasOutput('ApiEndpoint', {
      Value: { 'Fn::Join': ['', Match.arrayWith([Match.stringLikeRegexp('/v1$')])] },
    });
    const command = JSON.stringify(template.findOutputs('ApiKeyCommand'));
    expect(command).toContain('aws apigateway get-api-key --api-key ');
    expect(command).toContain(' --include-value --query value --output text');
  });

  test('is named after its stack, in its API and its metrics', () => {
    const stack = new LlmServingStack(new App(), 'Llm', { stackName: 'prod-llm' });
    const { template, config } = read(stack, stack.serving.gateway);
    template.hasResourceProperties('AWS::ApiGateway::RestApi', { Name: 'prod-llm' });
    expect(config.metrics).toEqual({ namespace: 'LlmServing/prod-llm' });
  });

  test('keeps the ids of its resources', () => {
    const stack = stackOf();
    const { template } = read(stack, stack.serving.gateway);
    const ids = Object.entries<{ Type: string }>(template.toJSON().Resources).map(([id, { Type }]) => [
      // Which deployment of the API it is.
      Type === 'AWS::ApiGateway::Deployment' ? id.slice(0, -32) : id,
      Type,
    ]);
    // A change here replaces resources of those who have deployed: their URL, keys or logs go with them.
    expect(Object.fromEntries(ids.sort())).toMatchInlineSnapshot(`
      {
        "ConsumersdefaultADDF1220": "AWS::ApiGateway::ApiKey",
        "Dashboard9E4231ED": "AWS::CloudWatch::Dashboard",
        "QueriesDearestrequestsF0F53F26": "AWS::Logs::QueryDefinition",
        "QueriesFailovers707D37F9": "AWS::Logs::QueryDefinition",
        "QueriesSlowestrequests230F1EBB": "AWS::Logs::QueryDefinition",
        "QueriesTopusersA83BCEBB": "AWS::Logs::QueryDefinition",
        "ServingGatewayAccessLogs652114B0": "AWS::Logs::LogGroup",
        "ServingGatewayApiACCESSDENIEDAE355CD9": "AWS::ApiGateway::GatewayResponse",
        "ServingGatewayApiAPICONFIGURATIONERRORD703E95B": "AWS::ApiGateway::GatewayResponse",
        "ServingGatewayApiAUTHORIZERCONFIGURATIONERROR66ADF845": "AWS::ApiGateway::GatewayResponse",
        "ServingGatewayApiAUTHORIZERFAILURE45A6FBE9": "AWS::ApiGateway::GatewayResponse",
        "ServingGatewayApiAccount7EC43002": "AWS::ApiGateway::Account",
        "ServingGatewayApiApiPermissionApiScopedLlmServingGatewayHandler30FE3CCELlmServingGatewayApi286BDC7BB5FE45FC": "AWS::Lambda::Permission",
        "ServingGatewayApiB26AD74F": "AWS::ApiGateway::RestApi",
        "ServingGatewayApiBADREQUESTBODY92BBD844": "AWS::ApiGateway::GatewayResponse",
        "ServingGatewayApiBADREQUESTPARAMETERS11F0E5F7": "AWS::ApiGateway::GatewayResponse",
        "ServingGatewayApiCloudWatchRoleBF6FDF90": "AWS::IAM::Role",
        "ServingGatewayApiDEFAULT4XX60C760F2": "AWS::ApiGateway::GatewayResponse",
        "ServingGatewayApiDEFAULT5XX07FB8E43": "AWS::ApiGateway::GatewayResponse",
        "ServingGatewayApiDeploymentAB98A0CF": "AWS::ApiGateway::Deployment",
        "ServingGatewayApiDeploymentStagelive90C8CB1D": "AWS::ApiGateway::Stage",
        "ServingGatewayApiEXPIREDTOKENA414375E": "AWS::ApiGateway::GatewayResponse",
        "ServingGatewayApiINTEGRATIONFAILURE3C724680": "AWS::ApiGateway::GatewayResponse",
        "ServingGatewayApiINTEGRATIONTIMEOUT760237CF": "AWS::ApiGateway::GatewayResponse",
        "ServingGatewayApiINVALIDAPIKEY8D5627E3": "AWS::ApiGateway::GatewayResponse",
        "ServingGatewayApiINVALIDSIGNATURE1991A339": "AWS::ApiGateway::GatewayResponse",
        "ServingGatewayApiMISSINGAUTHENTICATIONTOKENF7BC1F4B": "AWS::ApiGateway::GatewayResponse",
        "ServingGatewayApiQUOTAEXCEEDEDA188F514": "AWS::ApiGateway::GatewayResponse",
        "ServingGatewayApiREQUESTTOOLARGE0B132F05": "AWS::ApiGateway::GatewayResponse",
        "ServingGatewayApiRESOURCENOTFOUNDFB414AF8": "AWS::ApiGateway::GatewayResponse",
        "ServingGatewayApiTHROTTLEDDFE2D20D": "AWS::ApiGateway::GatewayResponse",
        "ServingGatewayApiUNAUTHORIZED03344243": "AWS::ApiGateway::GatewayResponse",
        "ServingGatewayApiUNSUPPORTEDMEDIATYPEF01544AB": "AWS::ApiGateway::GatewayResponse",
        "ServingGatewayApiWAFFILTERED54A8D774": "AWS::ApiGateway::GatewayResponse",
        "ServingGatewayApihealth29D78EFC": "AWS::ApiGateway::Resource",
        "ServingGatewayApihealthGETFB1F80C1": "AWS::ApiGateway::Method",
        "ServingGatewayApiv1E306459A": "AWS::ApiGateway::Resource",
        "ServingGatewayApiv1chatF0413DB7": "AWS::ApiGateway::Resource",
        "ServingGatewayApiv1chatcompletions22AD5AD1": "AWS::ApiGateway::Resource",
        "ServingGatewayApiv1chatcompletionsPOST73371CD6": "AWS::ApiGateway::Method",
        "ServingGatewayApiv1models2545D16D": "AWS::ApiGateway::Resource",
        "ServingGatewayApiv1modelsGETCC323D28": "AWS::ApiGateway::Method",
        "ServingGatewayApiv1modelsmodel219E0032": "AWS::ApiGateway::Resource",
        "ServingGatewayApiv1modelsmodelGET2A05EF7E": "AWS::ApiGateway::Method",
        "ServingGatewayApiv1usageD2B1BEDE": "AWS::ApiGateway::Resource",
        "ServingGatewayApiv1usageGET944276DA": "AWS::ApiGateway::Method",
        "ServingGatewayAuthorizer52E203AF": "AWS::Lambda::Function",
        "ServingGatewayAuthorizerLlmServingGatewayKeyAuthorizer1C221EDEPermissions68FAA70C": "AWS::Lambda::Permission",
        "ServingGatewayAuthorizerLogsFACD92EE": "AWS::Logs::LogGroup",
        "ServingGatewayAuthorizerRole7B6AED0A": "AWS::IAM::Role",
        "ServingGatewayAuthorizerRoleDefaultPolicy961EA5E0": "AWS::IAM::Policy",
        "ServingGatewayChatCompletionRequestF0D5FA02": "AWS::ApiGateway::Model",
        "ServingGatewayExecutionLogsB9F224F2": "AWS::Logs::LogGroup",
        "ServingGatewayHandlerE0C913F2": "AWS::Lambda::Function",
        "ServingGatewayHandlerLogs072E59F7": "AWS::Logs::LogGroup",
        "ServingGatewayHandlerRoleD5D4629F": "AWS::IAM::Role",
        "ServingGatewayHandlerRoleDefaultPolicyEB0769E3": "AWS::IAM::Policy",
        "ServingGatewayKeyAuthorizer6E3DF93D": "AWS::ApiGateway::Authorizer",
        "ServingGatewayValidatorBC0F95E7": "AWS::ApiGateway::RequestValidator",
        "ServingLedgerTableDEEF17B9": "AWS::DynamoDB::Table",
        "TiersstandardCC978D9A": "AWS::ApiGateway::UsagePlan",
        "TiersstandardUsagePlanKeyResourceLlmConsumersdefault54E149E960F9D444": "AWS::ApiGateway::UsagePlanKey",
      }
    `);
  });

  test('takes as many consumers as it gets, and gives the first fifty outputs', () => {
    const consumers = Array.from({ length: 110 }, (_, index) => ({ consumerName: `c${index}` }));
    const stack = stackOf({ tiers: [{ tierName: 't' }], consumers });
    const { template } = read(stack, stack.serving.gateway);
    const outputs = Object.keys(template.toJSON().Outputs);
    expect(outputs).toHaveLength(102);
    expect(outputs).toEqual(expect.arrayContaining(['ApiKeyId', 'ApiKeyIdC49']));
    template.resourceCountIs('AWS::ApiGateway::ApiKey', 110);
  });

  test('depends on no account, no region and no lookup', () => {
    const stack = stackOf();
    const { template } = read(stack, stack.serving.gateway);
    expect(JSON.stringify(template.toJSON())).not.toMatch(/\b\d{12}\b|us-east-1/);
  });

  test('takes every prop', () => {
    const stack = stackOf({
      preset: ServingPreset.MANAGED,
      stackName: 'my-llm',
      description: 'mine',
      apiName: 'api',
      models: [{ modelName: 'a/b', backends: [Backend.staticReply('x')] }],
      tiers: [{ tierName: 'gold', requestsPerSecond: 1 }, { tierName: 'free' }],
      consumers: [
        { consumerName: 'alice', tierName: 'gold' },
        { consumerName: 'bob-2', tierName: 'free', apiKeyId: 'abc1234567' },
      ],
    });
    const { template, config, environment } = read(stack, stack.serving.gateway);
    expect(stack.stackName).toBe('my-llm');
    expect(template.toJSON().Description).toBe('mine');
    expect(config.models.map(({ name }) => name)).toEqual(['a/b']);
    expect(config.tiers.map(({ name }) => name)).toEqual(['gold', 'free']);
    expect(JSON.stringify(environment.LLM_CONSUMERS)).toContain('=alice:gold,abc1234567=bob-2:free');
    expect(Object.keys(template.toJSON().Outputs)).toEqual(
      expect.arrayContaining(['ApiKeyId', 'ApiKeyCommand', 'ApiKeyIdBob2', 'ApiKeyCommandBob2']),
    );
  });

  test('takes models whose backends refer to its own resources', () => {
    const stack = stackOf({ models: [] });
    const apiKey = Secret.fromSecretNameV2(stack, 'Key', 'openai');
    const model = stack.addModel({ modelName: 'gpt', backends: [Backend.openAi('gpt-4.1-mini', { apiKey })] });
    expect(model.node.path).toBe('Llm/Models/gpt');
    expect(read(stack, stack.serving.gateway).config.models.map(({ name }) => name)).toEqual(['gpt']);
  });

  describe('with a fleet that fetches nothing from outside AWS', () => {
    const own = (name: string) =>
      ContainerImage.fromEcrRepository(Repository.fromRepositoryName(new Stack(), 'Repository', name));
    const apart = (models: LlmServingStackProps['models'] = [], jobs?: LlmServingStackProps['jobs']) => {
      const stack = new LlmServingStack(new App(), 'Llm', {
        preset: ServingPreset.SELF_HOSTED,
        models,
        jobs,
        fleet: {
          engine: ServingEngine.vllm({ image: own('vllm') }),
          agentImage: own('agent'),
          weights: ModelWeights.s3(Bucket.fromBucketName(new Stack(), 'B', 'weights'), 'mine', {
            size: { parametersBillions: 8 },
          }),
          capacity: GpuCapacity.ec2({ instanceTypes: [new InstanceType('g6e.xlarge')] }),
        },
      });
      const natGateways = () => Object.keys(Template.fromStack(stack).findResources('AWS::EC2::NatGateway')).length;
      return { stack, natGateways };
    };
    const options = { apiKey: Secret.fromSecretNameV2(new Stack(), 'Key', 'k'), price: TokenPrice.free() };
    const outside: ReadonlyArray<readonly [string, IBackend]> = [
      ['OpenAI', Backend.openAi('gpt-4.1-mini', options)],
      ['a public server', Backend.openAiCompatible('https://llm.example.com/v1', options)],
      ["another region's Bedrock", Backend.bedrock('amazon.nova-lite-v1:0', { region: 'eu-west-1' })],
    ];

    test.each(outside)('has a NAT gateway for %s', (_, backend) => {
      expect(apart([{ modelName: 'm', backends: [backend] }]).natGateways()).toBe(1);
    });

    test.each([
      ['Bedrock', Backend.bedrock('amazon.nova-lite-v1:0')],
      ['a server in the VPC', Backend.openAiCompatible('https://llm.corp.internal/v1', { price: TokenPrice.free() })],
      ['a fixed reply', Backend.staticReply('x')],
    ])('has none for %s', (_, backend) => {
      expect(apart([{ modelName: 'm', backends: [backend] }]).natGateways()).toBe(0);
    });

    test("has an endpoint for jobs' queues where there are jobs", () => {
      const reply = [{ modelName: 'm', backends: [Backend.staticReply('x')] }];
      const endpoints = (jobs?: LlmServingStackProps['jobs']) =>
        JSON.stringify(Template.fromStack(apart(reply, jobs).stack).findResources('AWS::EC2::VPCEndpoint'));
      expect(endpoints({})).toContain('.sqs');
      expect(endpoints()).not.toContain('.sqs');
    });

    test.each(outside)('warns when %s comes later', (_, backend) => {
      const { stack } = apart();
      stack.addModel({ modelName: 'late', backends: [backend] });
      Annotations.fromStack(stack).hasWarning('*', Match.stringLikeRegexp('but the VPC has no way to the internet'));
    });
  });

  test('reordering models, tiers and consumers replaces nothing', () => {
    const names = ['a', 'b'];
    const ids = [names, [...names].reverse()].map((order) => {
      const stack = stackOf({
        models: order.map((modelName) => ({ modelName, backends: [Backend.staticReply('x')] })),
        tiers: order.map((tierName) => ({ tierName })),
        consumers: order.map((consumerName) => ({ consumerName, tierName: 'a' })),
      });
      const { template } = read(stack, stack.serving.gateway);
      return ['AWS::ApiGateway::UsagePlan', 'AWS::ApiGateway::ApiKey', 'AWS::ApiGateway::UsagePlanKey'].flatMap(
        (type) => Object.keys(template.findResources(type)).sort(),
      );
    });
    expect(ids[0]).toEqual(ids[1]);
  });

  const REPLY = [Backend.staticReply('x')];
  test.each<[string, LlmServingStackProps, RegExp]>([
    ['a fleet of the managed preset', { fleet: {} }, /^fleet needs preset "hybrid" or "self-hosted"/],
    ['NAT of the managed preset', { natGateways: 1 }, /^natGateways needs preset "hybrid" or "self-hosted"/],
    [
      'weights for an engine that is set up for others',
      { preset: ServingPreset.HYBRID, fleet: { weights: ModelWeights.huggingFace('a/b') } },
      /^fleet.weights needs fleet.engine/,
    ],
    [
      'an unknown preset',
      { preset: 'x' as ServingPreset },
      /^preset must be one of managed, hybrid, self-hosted, got "x"/,
    ],
    ['a model without a name', { models: [{ backends: REPLY }] }, /has no modelName/],
    [
      'a model twice',
      { models: [1, 2].map(() => ({ modelName: 'a', backends: REPLY })) },
      /^models\[1\] has the same name as another: "a"/,
    ],
    ['no tiers', { tiers: [] }, /^tiers must hold at least one tier/],
    ['a tier without a name', { tiers: [{}] }, /^tiers\[0\] has no tierName/],
    [
      'a consumer in no tier',
      { tiers: [{ tierName: 'a' }, { tierName: 'b' }], consumers: [{ consumerName: 'c' }] },
      /^consumer "c" names no tier, and there are several: set tierName to one of a, b/,
    ],
    [
      'a consumer in an unknown tier',
      { consumers: [{ consumerName: 'c', tierName: 'gold' }] },
      /^consumer "c" is in tier "gold", which isn't declared: the tiers are standard/,
    ],
    [
      'consumers whose outputs would have one name',
      { consumers: ['first', 'team-a', 'team.a'].map((consumerName) => ({ consumerName })) },
      /^consumers "team-a" and "team.a" would have the same outputs, ApiKeyIdTeamA: rename one of them/,
    ],
    [
      'a consumer twice',
      { consumers: [{ consumerName: 'c' }, { consumerName: 'c' }] },
      /^consumers\[1\] has the same name as another: "c"/,
    ],
  ])('refuses %s', (_, props, message) => {
    expect(() => stackOf(props)).toThrow(message);
  });

  test("a consumer may share its name's spelling with a tier and a model", () => {
    const stack = stackOf({
      models: [{ modelName: 'x', backends: REPLY }],
      tiers: [{ tierName: 'x' }],
      consumers: [{ consumerName: 'x' }],
    });
    expect(() => read(stack, stack.serving.gateway)).not.toThrow();
  });
});
