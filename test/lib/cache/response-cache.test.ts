import type { Stack } from 'aws-cdk-lib';
import { Duration, SecretValue, Size } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { SecurityGroup, SubnetType, Vpc } from 'aws-cdk-lib/aws-ec2';
import { Key } from 'aws-cdk-lib/aws-kms';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { describe, expect, test } from 'vitest';
import { Backend, CachePolicy, CacheScope, GatewayCompute, Model, ResponseCache } from '../../../lib';
import { newStack, statements, synthesize } from '../fixture.ts';

const vpcOf = (stack: Stack) => new Vpc(stack, 'Vpc');

test('a cache is serverless Valkey, in private subnets, with ceilings and a user that logs in by IAM', () => {
  const { template, config, environment } = synthesize({}, (stack) => ({
    cache: new ResponseCache(stack, 'Cache', { vpc: vpcOf(stack) }),
  }));
  template.hasResourceProperties('AWS::ElastiCache::ServerlessCache', {
    Engine: 'valkey',
    ServerlessCacheName: 'llm-test-cache-2655c0b4',
    CacheUsageLimits: { DataStorage: { Maximum: 5, Unit: 'GB' }, ECPUPerSecond: { Maximum: 10_000 } },
    SubnetIds: [{ Ref: Match.stringLikeRegexp('Private') }, { Ref: Match.stringLikeRegexp('Private') }],
    UserGroupId: Match.anyValue(),
    KmsKeyId: Match.absent(),
  });
  template.hasResourceProperties('AWS::ElastiCache::User', {
    AuthenticationMode: { Type: 'iam' },
    UserId: 'llm-test-cache-2655c0b4',
    UserName: 'llm-test-cache-2655c0b4',
    AccessString: Match.stringLikeRegexp('^on ~llm:\\* .*-@all .*-@dangerous$'),
  });
  expect(config.cache).toEqual({
    endpoint: { env: 'LLM_CACHE_ENDPOINT' },
    deployment: { env: 'LLM_CACHE_DEPLOYMENT' },
    auth: { type: 'iam', userId: 'llm-test-cache-2655c0b4', cacheName: 'llm-test-cache-2655c0b4' },
    timeoutMs: 100,
    connectTimeoutMs: 500,
    policy: CachePolicy.standard()._render(),
  });
  expect(JSON.stringify(environment.LLM_CACHE_ENDPOINT)).toContain('rediss://');
  const [statement, ...others] = statements(template, 'elasticache:');
  expect(others).toEqual([]);
  expect(statement).toMatchObject({ Action: 'elasticache:Connect', Effect: 'Allow' });
  expect(JSON.stringify(statement?.Resource)).toMatch(
    /:serverlesscache:llm-test-cache-2655c0b4.*:user:llm-test-cache-2655c0b4/,
  );
});

test("only the gateway's function is let in, which is put into the cache's VPC", () => {
  const { template } = synthesize({}, (stack) => ({ cache: new ResponseCache(stack, 'Cache', { vpc: vpcOf(stack) }) }));
  template.hasResourceProperties('AWS::Lambda::Function', { VpcConfig: { SubnetIds: Match.anyValue() } });
  const rules = Object.values(template.findResources('AWS::EC2::SecurityGroupIngress'));
  expect(rules).toHaveLength(1);
  expect(rules[0]?.Properties).toMatchObject({ FromPort: 6379, ToPort: 6379, IpProtocol: 'tcp' });
  expect(rules[0]?.Properties.SourceSecurityGroupId).toBeDefined();
});

test('without a cache nothing of one is synthesized', () => {
  const { template, config, environment } = synthesize();
  template.resourceCountIs('AWS::ElastiCache::ServerlessCache', 0);
  expect(config).not.toHaveProperty('cache');
  expect(Object.keys(environment).filter((name) => name.startsWith('LLM_CACHE'))).toEqual([]);
});

test('all props', () => {
  const stack = newStack();
  const vpc = vpcOf(stack);
  new ResponseCache(stack, 'Cache', {
    vpc,
    vpcSubnets: { subnetType: SubnetType.PRIVATE_WITH_EGRESS },
    securityGroups: [new SecurityGroup(stack, 'Own', { vpc })],
    cacheName: 'My-Answers',
    maxStorageGb: 2,
    maxEcpuPerSecond: 5000,
    encryptionKey: new Key(stack, 'Key'),
  });
  const template = Template.fromStack(stack);
  template.hasResourceProperties('AWS::ElastiCache::ServerlessCache', {
    ServerlessCacheName: 'my-answers',
    CacheUsageLimits: { DataStorage: { Maximum: 2, Unit: 'GB' }, ECPUPerSecond: { Maximum: 5000 } },
    KmsKeyId: Match.anyValue(),
    SecurityGroupIds: [{ 'Fn::GetAtt': [Match.stringLikeRegexp('Own'), 'GroupId'] }],
  });
  template.resourceCountIs('AWS::EC2::SecurityGroup', 1);
});

test.each([
  [{ cacheName: '1st' }, 'cacheName must be'],
  [{ cacheName: 'two--dashes' }, 'cacheName must be'],
  [{ cacheName: 'x'.repeat(41) }, 'cacheName must be'],
  [{ maxStorageGb: 0 }, 'maxStorageGb must be'],
  [{ maxEcpuPerSecond: 10 }, 'maxEcpuPerSecond must be'],
  [{ timeout: Duration.seconds(6) }, 'timeout must be between'],
  [{ connectTimeout: Duration.millis(1) }, 'connectTimeout must be between'],
  [{ vpcSubnets: { availabilityZones: ['nowhere'] } }, 'needs two subnets'],
])('%j is refused', (props, message) => {
  const stack = newStack();
  expect(() => new ResponseCache(stack, 'Cache', { vpc: vpcOf(stack), ...props })).toThrow(message);
});

describe('an endpoint that exists', () => {
  test('is reached by its address, with a password out of its secret', () => {
    const { config, environment, template } = synthesize({}, (stack) => ({
      cache: ResponseCache.fromEndpoint({
        host: 'valkey.example.com',
        port: 6380,
        password: new Secret(stack, 'Password', { secretStringValue: SecretValue.unsafePlainText('x') }),
        passwordField: 'password',
        username: 'gateway',
      }),
    }));
    expect(environment.LLM_CACHE_ENDPOINT).toBe('rediss://valkey.example.com:6380');
    expect(config.cache?.auth).toEqual({
      type: 'secret',
      username: 'gateway',
      secretArn: { env: 'LLM_CACHE_SECRET_ARN' },
      jsonField: 'password',
    });
    expect(statements(template, 'secretsmanager:')).toHaveLength(1);
    template.hasResourceProperties('AWS::Lambda::Function', { VpcConfig: Match.absent() });
  });

  test('lets the function in where it is told how', () => {
    const { template } = synthesize({}, (stack) => {
      const vpc = vpcOf(stack);
      const connectable = new SecurityGroup(stack, 'Theirs', { vpc });
      return { cache: ResponseCache.fromEndpoint({ host: '10.0.0.5', tls: false, vpc, connectable }) };
    });
    template.hasResourceProperties('AWS::EC2::SecurityGroupIngress', { FromPort: 6379 });
  });

  test.each([
    [{ host: 'https://x' }, 'host must be'],
    [{ host: 'x', port: 0 }, 'port must be'],
    [{ host: 'x', username: 'me' }, 'username needs password'],
  ])('%j is refused', (attributes, message) => {
    expect(() => ResponseCache.fromEndpoint(attributes)).toThrow(message);
  });

  test('sends no password without TLS', () => {
    const password = new Secret(newStack(), 'Password');
    expect(() => ResponseCache.fromEndpoint({ host: 'x', tls: false, password })).toThrow('password needs tls');
  });

  test("that is in a VPC needs the gateway's function there", () => {
    expect(() =>
      synthesize({ compute: GatewayCompute.lambda() }, (stack) => ({
        cache: ResponseCache.fromEndpoint({
          host: 'x',
          connectable: new SecurityGroup(stack, 'Theirs', { vpc: vpcOf(stack) }),
        }),
      })),
    ).toThrow("connectable needs the gateway's function in a VPC");
  });
});

describe('a policy', () => {
  test('stands with its model, whole', () => {
    const { config } = synthesize({}, (stack) => ({
      cache: ResponseCache.fromEndpoint({ host: 'x' }),
      models: [
        new Model(stack, 'Own', {
          backends: [Backend.staticReply('x')],
          cache: CachePolicy.standard({
            ttl: Duration.minutes(5),
            scope: CacheScope.GLOBAL,
            maxTemperature: 0,
            requireSeed: true,
            tools: false,
            maxRequestSize: Size.kibibytes(1),
            maxAnswerSize: Size.kibibytes(2),
            compressAbove: Size.kibibytes(3),
            replayInterval: Duration.millis(20),
            version: '2',
          }),
        }),
        new Model(stack, 'Off', { backends: [Backend.staticReply('x')], cache: CachePolicy.off() }),
        new Model(stack, 'Default', { backends: [Backend.staticReply('x')] }),
      ],
    }));
    expect(config.models.map(({ cache }) => cache)).toEqual([
      {
        enabled: true,
        ttlMs: 300_000,
        scope: 'global',
        maxTemperature: 0,
        requireSeed: true,
        tools: false,
        maxRequestBytes: 1024,
        maxAnswerBytes: 2048,
        compressAboveBytes: 3072,
        paceMs: 20,
        version: '2',
      },
      expect.objectContaining({ enabled: false }),
      undefined,
    ]);
  });

  test('keeps answers apart by consumer unless it is told otherwise', () => {
    expect(CachePolicy.standard()._render().scope).toBe('consumer');
  });

  test.each([
    [{ ttl: Duration.millis(500) }, 'ttl must be between'],
    [{ ttl: Duration.days(31) }, 'ttl must be between'],
    [{ maxTemperature: 3 }, 'maxTemperature must be'],
    [{ maxAnswerSize: Size.mebibytes(17) }, 'maxAnswerSize must be between'],
    [{ replayInterval: Duration.seconds(2) }, 'replayInterval must be between'],
  ])('%j is refused', (options, message) => {
    expect(() => CachePolicy.standard(options)).toThrow(message);
  });
});
