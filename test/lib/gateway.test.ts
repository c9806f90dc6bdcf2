import { readFileSync } from 'node:fs';
import { App, CfnParameter, Duration, RemovalPolicy, Size, Stack, Token } from 'aws-cdk-lib';
import { Annotations, Match } from 'aws-cdk-lib/assertions';
import { Certificate } from 'aws-cdk-lib/aws-certificatemanager';
import { Key } from 'aws-cdk-lib/aws-kms';
import { RetentionDays } from 'aws-cdk-lib/aws-logs';
import { HostedZone } from 'aws-cdk-lib/aws-route53';
import { describe, expect, test, vi } from 'vitest';
import { Gateway, type GatewayProps } from '../../lib';
import * as handlerAssets from '../../lib/private/handler-assets';
import { anyModel, anyTier, logicalId, newStack, statements, synthesize } from './fixture.ts';

const ROUTES = [
  ['POST', '/v1/chat/completions', true],
  ['GET', '/v1/models', true],
  ['GET', '/v1/usage', true],
  ['GET', '/v1/models/{model+}', true],
  ['GET', '/health', false],
] as const;

/** Methods by `<verb> <path>`. */
function methodsOf({ template }: ReturnType<typeof synthesize>): Map<string, Record<string, unknown>> {
  const resources = template.findResources('AWS::ApiGateway::Resource');
  const pathOf = (id: string | undefined): string => {
    const resource = id === undefined ? undefined : resources[id];
    return resource === undefined ? '' : `${pathOf(resource.Properties.ParentId.Ref)}/${resource.Properties.PathPart}`;
  };
  return new Map(
    Object.values(template.findResources('AWS::ApiGateway::Method')).map(({ Properties: method }) => [
      `${method.HttpMethod} ${pathOf(method.ResourceId.Ref) || '/'}`,
      method,
    ]),
  );
}

describe('with nothing but a model and a tier', () => {
  const minimal = synthesize();
  const { template, config, environment } = minimal;

  test('has exactly the documented routes', () => {
    expect([...methodsOf(minimal).keys()].sort()).toEqual(ROUTES.map(([verb, path]) => `${verb} ${path}`).sort());
  });

  test.each(ROUTES)('%s %s streams for up to 15 minutes, with a key: %s', (verb, path, withKey) => {
    const method = methodsOf(minimal).get(`${verb} ${path}`);
    expect(method).toMatchObject({
      Integration: { Type: 'AWS_PROXY', ResponseTransferMode: 'STREAM', TimeoutInMillis: 900_000 },
    });
    expect(JSON.stringify(method?.Integration)).toContain('/response-streaming-invocations');
    expect(method).toMatchObject(
      withKey ? { ApiKeyRequired: true, AuthorizationType: 'CUSTOM' } : { AuthorizationType: 'NONE' },
    );
    expect(method?.ApiKeyRequired ?? false).toBe(withKey);
  });

  test('is regional, and takes keys from the authorizer, from either header', () => {
    template.hasResourceProperties('AWS::ApiGateway::RestApi', {
      EndpointConfiguration: { Types: ['REGIONAL'] },
      ApiKeySourceType: 'AUTHORIZER',
    });
    template.hasResourceProperties('AWS::ApiGateway::Authorizer', {
      Type: 'REQUEST',
      AuthorizerResultTtlInSeconds: 0,
      IdentitySource: Match.absent(),
    });
  });

  test('validates chat completions with the model that the build made of the schema of the handler', () => {
    const schema = JSON.parse(readFileSync('assets/schemas/chat-completion-request.json', 'utf8'));
    template.hasResourceProperties('AWS::ApiGateway::Model', { ContentType: 'application/json', Schema: schema });
    const [model] = Object.keys(template.findResources('AWS::ApiGateway::Model'));
    expect(methodsOf(minimal).get('POST /v1/chat/completions')).toMatchObject({
      RequestModels: { 'application/json': { Ref: model } },
      RequestValidatorId: { Ref: expect.any(String) },
    });
    template.hasResourceProperties('AWS::ApiGateway::RequestValidator', { ValidateRequestBody: true });
  });

  test('a changed schema is deployed', () => {
    const deploymentOf = (of: ReturnType<typeof synthesize>) =>
      Object.keys(of.template.findResources('AWS::ApiGateway::Deployment'))[0];
    const schema = vi.spyOn(handlerAssets, 'chatCompletionRequestSchema').mockReturnValue({ type: 'object' });
    try {
      expect(deploymentOf(synthesize())).not.toBe(deploymentOf(minimal));
    } finally {
      schema.mockRestore();
    }
    expect(deploymentOf(synthesize())).toBe(deploymentOf(minimal));
  });

  test('the deployment waits for the schema', () => {
    const [model] = Object.keys(template.findResources('AWS::ApiGateway::Model'));
    template.hasResource('AWS::ApiGateway::Deployment', { DependsOn: Match.arrayWith([model]) });
  });

  test('throttles the stage, and the route without a key by itself', () => {
    template.hasResourceProperties('AWS::ApiGateway::Stage', {
      StageName: 'live',
      TracingEnabled: true,
      MethodSettings: [
        Match.objectLike({
          ResourcePath: '/*',
          ThrottlingRateLimit: 500,
          ThrottlingBurstLimit: 1000,
          LoggingLevel: 'ERROR',
          DataTraceEnabled: false,
        }),
        {
          ResourcePath: '/~1health',
          HttpMethod: 'GET',
          ThrottlingRateLimit: 10,
          ThrottlingBurstLimit: 20,
          LoggingLevel: 'ERROR',
          DataTraceEnabled: false,
        },
      ],
    });
  });

  test('writes an access log with the times of a stream and the id of the key, not the key', () => {
    const [stage] = Object.values(template.findResources('AWS::ApiGateway::Stage'));
    const format = stage?.Properties.AccessLogSetting.Format;
    // Not escaped: a client could forge fields.
    expect(format).not.toMatch(/userAgent|\$context\.path\b|\$context\.domainName/);
    expect(JSON.parse(format)).toMatchObject({
      requestId: '$context.requestId',
      apiKeyId: '$context.identity.apiKeyId',
      integration: {
        responseTransferMode: '$context.integration.responseTransferMode',
        timeToAllHeadersMs: '$context.integration.timeToAllHeaders',
        timeToFirstContentMs: '$context.integration.timeToFirstContent',
        latencyMs: '$context.integration.latency',
      },
    });
    expect(format).not.toMatch(/identity\.apiKey[^I]/);
  });

  test("keeps every log for three months, API Gateway's own too", () => {
    const logs = Object.values(template.findResources('AWS::Logs::LogGroup'));
    expect(logs).toHaveLength(4);
    for (const log of logs) {
      expect(log).toMatchObject({ Properties: { RetentionInDays: 90 }, DeletionPolicy: 'Delete' });
    }
    const [executionLogs] = Object.entries(template.findResources('AWS::Logs::LogGroup')).flatMap(([id, log]) =>
      JSON.stringify(log.Properties.LogGroupName ?? '').includes('API-Gateway-Execution-Logs_') ? [id] : [],
    );
    template.hasResource('AWS::ApiGateway::Stage', { DependsOn: Match.arrayWith([executionLogs]) });
  });

  test('the functions are arm64 on Node 24, and may write their own log only', () => {
    const functions = Object.values(template.findResources('AWS::Lambda::Function'));
    expect(functions.map((fn) => [fn.Properties.Timeout, fn.Properties.MemorySize])).toEqual([
      [900, 512],
      [5, 256],
    ]);
    for (const { Properties: fn } of functions) {
      expect(fn).toMatchObject({ Architectures: ['arm64'], Runtime: 'nodejs24.x', Handler: 'index.handler' });
      expect(fn).toMatchObject({ LoggingConfig: { LogFormat: 'JSON', LogGroup: { Ref: expect.any(String) } } });
    }
    expect(JSON.stringify(template.findResources('AWS::IAM::Role'))).not.toContain('AWSLambdaBasicExecutionRole');
    const logGroups = functions.map((fn) => fn.Properties.LoggingConfig.LogGroup.Ref);
    expect(statements(template, 'logs:')).toEqual(
      logGroups.map((id) => ({
        Action: ['logs:CreateLogStream', 'logs:PutLogEvents'],
        Effect: 'Allow',
        Resource: { 'Fn::GetAtt': [id, 'Arn'] },
      })),
    );
  });

  test('tells the handler its consumers by the ids of their keys', () => {
    expect(environment).toEqual({
      LLM_CONSUMERS: { 'Fn::Join': ['', [{ Ref: expect.stringMatching(/^Consumer/) }, '=alice:standard']] },
    });
  });

  test('writes the defaults into the serving config', () => {
    expect(config).toMatchObject({
      version: 1,
      tiers: [{ name: 'standard' }],
      features: [],
      limits: {
        maxRequestBytes: 6_029_312,
        totalTimeoutMs: 870_000,
        wholeAnswerTimeoutMs: 290_000,
        headersWaitMs: 20_000,
        keepAliveMs: 15_000,
      },
      metrics: { namespace: 'LlmServing/Test-Gateway' },
      logContent: false,
    });
    expect(config).not.toHaveProperty('cors');
  });

  test('has no output of its own, no domain, no web ACL', () => {
    expect(template.toJSON()).not.toHaveProperty('Outputs');
    template.resourceCountIs('AWS::ApiGateway::DomainName', 0);
    template.resourceCountIs('AWS::WAFv2::WebACLAssociation', 0);
  });

  test('API Gateway may invoke the handler for any route of this API', () => {
    template.hasResourceProperties('AWS::Lambda::Permission', {
      Action: 'lambda:InvokeFunction',
      Principal: 'apigateway.amazonaws.com',
      FunctionName: { 'Fn::GetAtt': [logicalId(minimal.stack, minimal.gateway), 'Arn'] },
      SourceArn: {
        'Fn::Join': [
          '',
          [
            'arn:',
            { Ref: 'AWS::Partition' },
            ':execute-api:',
            { Ref: 'AWS::Region' },
            ':',
            { Ref: 'AWS::AccountId' },
            ':',
            { Ref: Object.keys(template.findResources('AWS::ApiGateway::RestApi'))[0] },
            '/*/*/*',
          ],
        ],
      },
    });
  });
});

describe('errors of API Gateway itself', () => {
  const { template } = synthesize();
  const answers = new Map(
    Object.values(template.findResources('AWS::ApiGateway::GatewayResponse')).map(({ Properties }) => [
      Properties.ResponseType as string,
      Properties,
    ]),
  );

  test.each([
    ['INVALID_API_KEY', '401', 'invalid_request_error', 'invalid_api_key'],
    ['UNAUTHORIZED', '401', 'invalid_request_error', 'invalid_api_key'],
    ['ACCESS_DENIED', '401', 'invalid_request_error', 'invalid_api_key'],
    ['WAF_FILTERED', '403', 'invalid_request_error', 'blocked'],
    ['MISSING_AUTHENTICATION_TOKEN', '404', 'invalid_request_error', 'unknown_url'],
    ['RESOURCE_NOT_FOUND', '404', 'invalid_request_error', 'unknown_url'],
    ['THROTTLED', '429', 'requests', 'rate_limit_exceeded'],
    ['QUOTA_EXCEEDED', '429', 'insufficient_quota', 'insufficient_quota'],
    ['BAD_REQUEST_BODY', '400', 'invalid_request_error', 'invalid_request'],
    ['BAD_REQUEST_PARAMETERS', '400', 'invalid_request_error', 'invalid_request'],
    ['REQUEST_TOO_LARGE', '413', 'invalid_request_error', 'request_too_large'],
    ['UNSUPPORTED_MEDIA_TYPE', '415', 'invalid_request_error', 'unsupported_media_type'],
    ['AUTHORIZER_FAILURE', '500', 'server_error', 'internal_error'],
    ['AUTHORIZER_CONFIGURATION_ERROR', '500', 'server_error', 'internal_error'],
    ['API_CONFIGURATION_ERROR', '500', 'server_error', 'internal_error'],
    ['INTEGRATION_FAILURE', '503', 'server_error', 'service_unavailable'],
    ['INTEGRATION_TIMEOUT', '504', 'server_error', 'timeout'],
  ])('%s is %s in the shape of OpenAI', (type, status, errorType, code) => {
    const answer = answers.get(type);
    expect(answer?.StatusCode).toBe(status);
    const body = JSON.parse(answer?.ResponseTemplates['application/json']);
    expect(body).toEqual({ error: { message: expect.stringMatching(/\.$/), type: errorType, param: null, code } });
  });

  test.each(['DEFAULT_4XX', 'DEFAULT_5XX'])('%s keeps its status', (type) => {
    expect(answers.get(type)).not.toHaveProperty('StatusCode');
  });

  test('each names the request, and none has a variable in its body', () => {
    for (const answer of answers.values()) {
      expect(answer.ResponseParameters['gatewayresponse.header.x-request-id']).toBe('context.requestId');
      expect(answer.ResponseTemplates['application/json']).not.toContain('$');
    }
  });

  test('say when to come back, and when not to', () => {
    const header = (type: string, name: string) =>
      answers.get(type)?.ResponseParameters[`gatewayresponse.header.${name}`];
    expect(header('THROTTLED', 'retry-after')).toBe("'1'");
    expect(header('QUOTA_EXCEEDED', 'x-should-retry')).toBe("'false'");
    expect(header('BAD_REQUEST_BODY', 'x-llm-validation-error')).toBe('context.error.validationErrorString');
  });

  test('have no CORS headers without CORS', () => {
    expect(JSON.stringify([...answers.values()])).not.toContain('access-control');
  });
});

describe('CORS', () => {
  test('answers preflights without a key, and lets errors be read', () => {
    const synthesized = synthesize({ corsOrigins: ['https://app.example.com'] });
    const preflight = methodsOf(synthesized).get('OPTIONS /v1/chat/completions');
    expect(preflight).toMatchObject({ AuthorizationType: 'NONE', Integration: { Type: 'MOCK' } });
    const headers = JSON.stringify(preflight);
    expect(headers).toContain("'*,Authorization'");
    expect(headers).toContain("'https://app.example.com'");
    expect(synthesized.config.cors).toEqual({
      allowOrigins: ['https://app.example.com'],
      exposeHeaders: expect.arrayContaining(['x-request-id', 'x-llm-backend', 'retry-after']),
    });
    expect(JSON.stringify(synthesized.config.cors)).not.toContain('x-ratelimit');
    synthesized.template.hasResourceProperties('AWS::ApiGateway::GatewayResponse', {
      ResponseType: 'THROTTLED',
      ResponseParameters: {
        'gatewayresponse.header.access-control-allow-origin': "'https://app.example.com'",
        'gatewayresponse.header.access-control-expose-headers': Match.stringLikeRegexp('x-request-id'),
      },
    });
  });

  test('with several origins lets every page read the errors of API Gateway itself', () => {
    const { template, config } = synthesize({ corsOrigins: ['https://a.example', 'http://localhost:3000'] });
    expect(config.cors?.allowOrigins).toEqual(['https://a.example', 'http://localhost:3000']);
    template.hasResourceProperties('AWS::ApiGateway::GatewayResponse', {
      ResponseParameters: { 'gatewayresponse.header.access-control-allow-origin': "'*'" },
    });
  });
});

test('takes every prop', () => {
  const { template, config, gateway, stack } = synthesize(
    {
      apiName: 'my-api',
      stageName: 'prod',
      requestsPerSecond: 5,
      burst: 7,
      authorizerCacheTtl: Duration.minutes(5),
      domainName: 'llm.example.com',
      webAclArn: 'arn:aws:wafv2:us-east-1:111122223333:regional/webacl/a/b',
      maxRequestSize: Size.kibibytes(100),
      totalTimeout: Duration.minutes(10),
      wholeAnswerTimeout: Duration.minutes(1),
      headersWait: Duration.seconds(3),
      keepAliveInterval: Duration.seconds(4),
      features: ['search'],
      logContent: true,
      logRetention: RetentionDays.ONE_WEEK,
      logRemovalPolicy: RemovalPolicy.RETAIN,
      tracing: false,
      cloudWatchRole: false,
    },
    (scope) => ({
      certificate: Certificate.fromCertificateArn(scope, 'Cert', 'arn:aws:acm:us-east-1:111122223333:certificate/a'),
      hostedZone: HostedZone.fromHostedZoneAttributes(scope, 'Zone', { hostedZoneId: 'Z', zoneName: 'example.com' }),
      encryptionKey: new Key(scope, 'Key'),
    }),
  );
  template.hasResourceProperties('AWS::ApiGateway::RestApi', { Name: 'my-api' });
  template.hasResourceProperties('AWS::ApiGateway::Stage', {
    StageName: 'prod',
    TracingEnabled: false,
    MethodSettings: Match.arrayWith([Match.objectLike({ ThrottlingRateLimit: 5, ThrottlingBurstLimit: 7 })]),
  });
  template.hasResourceProperties('AWS::ApiGateway::Authorizer', {
    AuthorizerResultTtlInSeconds: 300,
    IdentitySource: 'method.request.header.Authorization',
  });
  template.hasResourceProperties('AWS::ApiGateway::DomainName', {
    DomainName: 'llm.example.com',
    EndpointConfiguration: { Types: ['REGIONAL'] },
    SecurityPolicy: 'TLS_1_2',
  });
  template.resourceCountIs('AWS::Route53::RecordSet', 2);
  template.allResourcesProperties('AWS::Route53::RecordSet', { Name: 'llm.example.com.' });
  template.hasResourceProperties('AWS::WAFv2::WebACLAssociation', {
    WebACLArn: 'arn:aws:wafv2:us-east-1:111122223333:regional/webacl/a/b',
    ResourceArn: stack.resolve(gateway.api.deploymentStage.stageArn),
  });
  expect(JSON.stringify(stack.resolve(gateway.api.deploymentStage.stageArn))).toContain('/stages/');
  template.resourceCountIs('AWS::ApiGateway::Account', 0);
  template.allResourcesProperties('AWS::Logs::LogGroup', { RetentionInDays: 7, KmsKeyId: Match.anyValue() });
  template.hasResourceProperties('AWS::KMS::Key', {
    KeyPolicy: {
      Statement: Match.arrayWith([
        {
          Action: ['kms:Encrypt*', 'kms:Decrypt*', 'kms:ReEncrypt*', 'kms:GenerateDataKey*', 'kms:Describe*'],
          Effect: 'Allow',
          Principal: {
            Service: { 'Fn::Join': ['', ['logs.', { Ref: 'AWS::Region' }, '.', { Ref: 'AWS::URLSuffix' }]] },
          },
          Resource: '*',
          Condition: {
            ArnLike: {
              'kms:EncryptionContext:aws:logs:arn': {
                'Fn::Join': [
                  '',
                  [
                    'arn:',
                    { Ref: 'AWS::Partition' },
                    ':logs:',
                    { Ref: 'AWS::Region' },
                    ':',
                    { Ref: 'AWS::AccountId' },
                    ':log-group:*',
                  ],
                ],
              },
            },
          },
        },
      ]),
    },
  });
  const [key] = Object.keys(template.findResources('AWS::KMS::Key'));
  template.allResourcesProperties('AWS::Lambda::Function', { KmsKeyArn: { 'Fn::GetAtt': [key, 'Arn'] } });
  template.allResourcesProperties('AWS::Lambda::Function', { TracingConfig: Match.absent() });
  expect(config).toMatchObject({
    features: ['search'],
    limits: {
      maxRequestBytes: 102_400,
      totalTimeoutMs: 600_000,
      wholeAnswerTimeoutMs: 60_000,
      headersWaitMs: 3000,
      keepAliveMs: 4000,
    },
    logContent: true,
  });
  expect(stack.resolve(gateway.url)).toMatchObject({ 'Fn::Join': ['', ['https://', expect.anything(), '/v1']] });
});

test("warns that an imported key's policy is the user's to edit", () => {
  const { stack } = synthesize({}, (scope) => ({
    encryptionKey: Key.fromKeyArn(
      scope,
      'Key',
      'arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab',
    ),
  }));
  Annotations.fromStack(stack).hasWarning('/Test/Gateway', Match.stringLikeRegexp('^encryptionKey is not of this app'));
  const own = synthesize({}, (scope) => ({ encryptionKey: new Key(scope, 'Key') }));
  Annotations.fromStack(own.stack).hasNoWarning('*', Match.anyValue());
});

test('takes a rate that is known only at deployment, with a burst', () => {
  const rate = (stack: Stack) => new CfnParameter(stack, 'Rate', { type: 'Number', default: 3 }).valueAsNumber;
  expect(() => synthesize({}, (stack) => ({ requestsPerSecond: rate(stack) }))).toThrow(
    /^burst is needed when requestsPerSecond is known only at deployment/,
  );
  synthesize({ burst: 5 }, (stack) => ({ requestsPerSecond: rate(stack) })).template.hasResourceProperties(
    'AWS::ApiGateway::Stage',
    {
      MethodSettings: Match.arrayWith([
        Match.objectLike({ ThrottlingRateLimit: { Ref: 'Rate' }, ThrottlingBurstLimit: 5 }),
      ]),
    },
  );
});

test('a change of the authorizer cache is deployed, without any feature flag', () => {
  const deployments = [0, 60, 300].map((seconds) => {
    const { template } = synthesize({ authorizerCacheTtl: Duration.seconds(seconds) });
    return Object.keys(template.findResources('AWS::ApiGateway::Deployment'))[0];
  });
  expect(new Set(deployments).size).toBe(3);
});

test('a whole answer never has longer than the request', () => {
  expect(synthesize({ totalTimeout: Duration.seconds(30) }).config.limits.wholeAnswerTimeoutMs).toBe(30_000);
});

test('has metrics of its stage', () => {
  const { gateway } = synthesize();
  expect(gateway.metricRequests()).toMatchObject({
    namespace: 'AWS/ApiGateway',
    metricName: 'Count',
    statistic: 'Sum',
  });
  expect(gateway.metricClientErrors()).toMatchObject({ metricName: '4XXError' });
  expect(gateway.metricServerErrors()).toMatchObject({ metricName: '5XXError' });
});

test.each<[string, GatewayProps, RegExp]>([
  ['a stage name with a dash', { stageName: 'a-b' }, /^stageName must be .* got "a-b"/],
  ['a stage name that is a token', { stageName: Token.asString({ Ref: 'S' }) }, /^stageName must be known at synth/],
  ['no requests', { requestsPerSecond: 0 }, /^requestsPerSecond must be a number of at least/],
  ['half a burst', { burst: 1.5 }, /^burst must be a whole number/],
  ['a cache of two hours', { authorizerCacheTtl: Duration.hours(2) }, /^authorizerCacheTtl must be between/],
  ['a domain without a certificate', { domainName: 'a.example' }, /^domainName and certificate need each other/],
  ['an origin with a path', { corsOrigins: ['https://a.example/'] }, /^corsOrigins must hold origins .* got/],
  ['an origin that is none', { corsOrigins: ['example.com'] }, /^corsOrigins must hold origins/],
  ['any origin and one', { corsOrigins: ['*', 'https://a.example'] }, /^corsOrigins must be "\*" alone/],
  ['a request larger than Lambda takes', { maxRequestSize: Size.mebibytes(7) }, /^maxRequestSize must be between/],
  ["an end after Lambda's", { totalTimeout: Duration.minutes(15) }, /^totalTimeout must be between/],
  ['a silence API Gateway cuts', { wholeAnswerTimeout: Duration.minutes(5) }, /^wholeAnswerTimeout must be between/],
  ['no time for a whole answer', { wholeAnswerTimeout: Duration.seconds(0) }, /^wholeAnswerTimeout must be between/],
  [
    'a whole answer longer than the request',
    { totalTimeout: Duration.seconds(10), wholeAnswerTimeout: Duration.seconds(20) },
    /^wholeAnswerTimeout \(20 seconds\) must not be longer than totalTimeout \(10 seconds\)/,
  ],
  ['a long wait for headers', { headersWait: Duration.minutes(5) }, /^headersWait must be between/],
  ['rare comments', { keepAliveInterval: Duration.minutes(5) }, /^keepAliveInterval must be between/],
  ['a feature with a space', { features: ['a b'] }, /^features must hold names/],
  ['a feature twice', { features: ['a', 'a'] }, /^features must not repeat a value, but "a" is there twice/],
  ['a feature that stands for none', { features: ['other'] }, /^features must not hold "other"/],
  ['too many features', { features: Array.from({ length: 51 }, (_, i) => `f${i}`) }, /^features must have at most 50/],
])('refuses %s', (_, props, message) => {
  expect(() => new Gateway(newStack(), 'Gateway', props)).toThrow(message);
});

test('a zone without a domain is an error', () => {
  const stack = newStack();
  const hostedZone = HostedZone.fromHostedZoneAttributes(stack, 'Zone', { hostedZoneId: 'Z', zoneName: 'a.example' });
  expect(() => new Gateway(stack, 'Gateway', { hostedZone })).toThrow(/^hostedZone needs domainName/);
});

test('a tier of another stack is an error with the remedy', () => {
  const app = new App();
  const tiers = [anyTier(new Stack(app, 'Tiers'))];
  expect(() => new Gateway(new Stack(app, 'Api'), 'Gateway', { tiers })).toThrow(
    /^tier "standard" is in stack Tiers, its gateway in Api: .* make the tier in the gateway's stack/,
  );
});

describe('at synthesis', () => {
  test('a gateway without a model is an error', () => {
    expect(() => synthesize({ models: [] })).toThrow(/a gateway needs a model: pass models, or call addModel/);
  });

  test('a gateway without a tier is an error', () => {
    expect(() => synthesize({ tiers: [] })).toThrow(/a gateway needs a tier, or nobody can call it/);
  });

  test('a tier that allows a model that is not there is an error', () => {
    expect(() =>
      synthesize({}, (stack) => {
        const tier = anyTier(stack);
        Object.assign(tier, { allowedModels: ['nope'] });
        return { tiers: [tier], models: [anyModel(stack, 'other')] };
      }),
    ).toThrow(/tier "standard" allows model "nope", which this gateway doesn't have/);
  });
});
