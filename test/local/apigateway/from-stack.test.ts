import { describe, expect, test } from 'vitest';
import { restApiOf } from '../../../local/apigateway/from-stack.ts';
import { Stack } from '../../../local/cloudformation/stack.ts';
import type { JsonObject, TemplateResource } from '../../../local/cloudformation/template.ts';

const RestApiId = { Ref: 'Api' };
const FUNCTION = 'arn:aws:lambda:eu-west-1:111122223333:function:fn';
const URI = `arn:aws:apigateway:eu-west-1:lambda:path/2015-03-31/functions/${FUNCTION}/invocations`;

function api(
  properties: {
    readonly api?: JsonObject;
    readonly stage?: JsonObject;
    readonly method?: JsonObject;
  } = {},
  more: Readonly<Record<string, TemplateResource>> = {},
) {
  const Resources: Record<string, TemplateResource> = {
    Api: { Type: 'AWS::ApiGateway::RestApi', Properties: { Name: 'api', ...properties.api } },
    Stage: { Type: 'AWS::ApiGateway::Stage', Properties: { RestApiId, StageName: 'live', ...properties.stage } },
    V1: {
      Type: 'AWS::ApiGateway::Resource',
      Properties: { RestApiId, ParentId: { 'Fn::GetAtt': ['Api', 'RootResourceId'] }, PathPart: 'v1' },
    },
    Models: {
      Type: 'AWS::ApiGateway::Resource',
      Properties: { RestApiId, ParentId: { Ref: 'V1' }, PathPart: '{model}' },
    },
    Get: {
      Type: 'AWS::ApiGateway::Method',
      Properties: {
        RestApiId,
        ResourceId: { Ref: 'Models' },
        HttpMethod: 'GET',
        AuthorizationType: 'NONE',
        Integration: { Type: 'AWS_PROXY', Uri: URI },
        ...properties.method,
      },
    },
    ...more,
  };
  const stack = new Stack({
    name: 'S',
    region: 'eu-west-1',
    account: '111122223333',
    assets: new Map(),
    template: { Resources },
  });
  return restApiOf(stack, (id) => `value-of-${id}`);
}

test('a method of a nested resource has its whole path, its function and the defaults of API Gateway', () => {
  const { resources, idleTimeoutMs, apiKeySource, stage } = api();
  expect(resources.map(({ path }) => path)).toEqual(['/v1/{model}']);
  expect(resources[0]?.methods.get('GET')).toMatchObject({
    apiKeyRequired: false,
    authorizer: undefined,
    integration: { type: 'AWS_PROXY', functionArn: FUNCTION, responseTransferMode: 'BUFFERED', timeoutMs: 29_000 },
  });
  // Without an endpoint type an API is edge-optimized, and its streams may be silent for 30 seconds.
  expect(idleTimeoutMs).toBe(30_000);
  expect(apiKeySource).toBe('HEADER');
  expect(stage).toMatchObject({ name: 'live', accessLogFormat: undefined, methodThrottles: [] });
});

test('a regional API may be silent for 5 minutes', () => {
  expect(api({ api: { EndpointConfiguration: { Types: ['REGIONAL'] } } }).idleTimeoutMs).toBe(300_000);
});

test("the stage's settings name their methods as the template does", () => {
  const { stage } = api({
    stage: {
      MethodSettings: [
        { HttpMethod: '*', ResourcePath: '/*', ThrottlingRateLimit: 5, ThrottlingBurstLimit: 10 },
        { HttpMethod: 'GET', ResourcePath: '/~1v1~1{model}', ThrottlingRateLimit: 1 },
        { HttpMethod: 'GET', ResourcePath: '/~1health', LoggingLevel: 'INFO' },
      ],
    },
  });
  expect(stage.methodThrottles).toEqual([
    { httpMethod: '*', resourcePath: '*', throttle: { rateLimit: 5, burstLimit: 10 } },
    {
      httpMethod: 'GET',
      resourcePath: '/v1/{model}',
      throttle: { rateLimit: 1, burstLimit: Number.POSITIVE_INFINITY },
    },
  ]);
});

test('a plan counts for the stage that it names, with the keys that are in it', () => {
  const plan = (stage: string): TemplateResource => ({
    Type: 'AWS::ApiGateway::UsagePlan',
    Properties: { ApiStages: [{ ApiId: RestApiId, Stage: stage }], Quota: { Limit: 10, Period: 'MONTH' } },
  });
  const { usagePlans, apiKeys } = api(
    {},
    {
      Mine: plan('live'),
      Other: plan('other'),
      Key: { Type: 'AWS::ApiGateway::ApiKey', Properties: { Enabled: true, Name: 'team' } },
      Fixed: { Type: 'AWS::ApiGateway::ApiKey', Properties: { Enabled: 'true', Value: 'fixed' } },
      Off: { Type: 'AWS::ApiGateway::ApiKey' },
      PlanKey: {
        Type: 'AWS::ApiGateway::UsagePlanKey',
        Properties: { UsagePlanId: { Ref: 'Mine' }, KeyId: { Ref: 'Key' }, KeyType: 'API_KEY' },
      },
    },
  );
  expect(usagePlans).toHaveLength(1);
  expect(usagePlans[0]).toMatchObject({ quota: { limit: 10, period: 'MONTH', offset: 0 }, keyIds: [apiKeys[0]?.id] });
  expect(apiKeys).toMatchObject([
    { name: 'team', value: `value-of-${apiKeys[0]?.id}`, enabled: true },
    { value: 'fixed', enabled: true },
    { enabled: false },
  ]);
});

describe('what would behave differently is refused, by name', () => {
  test.each<[string, Parameters<typeof api>[0], RegExp]>([
    ['an API that is defined by OpenAPI', { api: { Body: {} } }, /^Api: .*defined by Body/],
    ['IAM authorization', { method: { AuthorizationType: 'AWS_IAM' } }, /^Get: .*AWS_IAM/],
    ['an HTTP integration', { method: { Integration: { Type: 'HTTP_PROXY' } } }, /^Get: .*HTTP_PROXY/],
    [
      'another service',
      { method: { Integration: { Type: 'AWS_PROXY', Uri: 'arn:x' } } },
      /^Get: arn:x invokes no Lambda/,
    ],
    [
      'an unknown authorizer',
      { method: { AuthorizationType: 'CUSTOM', AuthorizerId: 'none' } },
      /no authorizer has the id none/,
    ],
    ['an unknown resource', { method: { ResourceId: 'none' } }, /no resource has the id none/],
  ])('%s', (_, properties, message) => {
    expect(() => api(properties)).toThrow(message);
  });

  test('two stages', () => {
    const second = { Type: 'AWS::ApiGateway::Stage', Properties: { RestApiId, StageName: 'second' } };
    expect(() => api({}, { Second: second })).toThrow('Api: stages: the local run takes exactly one, here are 2');
  });

  test('a quota with another period', () => {
    const plan = {
      Type: 'AWS::ApiGateway::UsagePlan',
      Properties: { ApiStages: [{ ApiId: RestApiId, Stage: 'live' }], Quota: { Limit: 1, Period: 'YEAR' } },
    };
    expect(() => api({}, { Plan: plan })).toThrow("Plan: the quota's period is YEAR");
  });
});

test('a key that a plan takes up by its id gets a value, too', () => {
  const { apiKeys } = api(
    {},
    {
      Plan: {
        Type: 'AWS::ApiGateway::UsagePlan',
        Properties: { ApiStages: [{ ApiId: { Ref: 'Api' }, Stage: { Ref: 'Stage' } }] },
      },
      Own: { Type: 'AWS::ApiGateway::ApiKey', Properties: { Name: 'own', Enabled: true } },
      OwnInPlan: {
        Type: 'AWS::ApiGateway::UsagePlanKey',
        Properties: { UsagePlanId: { Ref: 'Plan' }, KeyId: { Ref: 'Own' } },
      },
      Imported: {
        Type: 'AWS::ApiGateway::UsagePlanKey',
        Properties: { UsagePlanId: { Ref: 'Plan' }, KeyId: 'a1b2c3d4e5' },
      },
    },
  );
  expect(apiKeys.map(({ name }) => name)).toEqual(['own', 'a1b2c3d4e5']);
  expect(apiKeys[1]).toEqual({ id: 'a1b2c3d4e5', name: 'a1b2c3d4e5', value: 'value-of-a1b2c3d4e5', enabled: true });
});
