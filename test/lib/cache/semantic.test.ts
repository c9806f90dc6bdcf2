import { Duration, type Stack } from 'aws-cdk-lib';
import { Match } from 'aws-cdk-lib/assertions';
import { SecurityGroup, SubnetType, Vpc } from 'aws-cdk-lib/aws-ec2';
import { Key } from 'aws-cdk-lib/aws-kms';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { describe, expect, test } from 'vitest';
import {
  Backend,
  CachePolicy,
  Embedding,
  Model,
  NodeResponseCache,
  type NodeResponseCacheProps,
  ResponseCache,
  SemanticGuards,
  type SemanticMatching,
} from '../../../lib';
import { newStack, statements, synthesize } from '../fixture.ts';

const vpcOf = (stack: Stack) => new Vpc(stack, 'Vpc');
const titan = () => Embedding.bedrock('amazon.titan-embed-text-v2:0', { pricePerMillionTokensUsd: 0.02 });
const semantic = (overrides: Partial<SemanticMatching> = {}): SemanticMatching => ({
  ...{ embedding: titan(), threshold: 0.9 },
  ...overrides,
});

describe('a cache on nodes of its own', () => {
  test('is Valkey 8.2, encrypted, in two zones, with a user that logs in by IAM', () => {
    const { template, config, environment } = synthesize({}, (stack) => ({
      cache: new NodeResponseCache(stack, 'Cache', { vpc: vpcOf(stack) }),
    }));
    template.hasResourceProperties('AWS::ElastiCache::ReplicationGroup', {
      ...{ Engine: 'valkey', EngineVersion: '8.2', CacheNodeType: 'cache.t4g.medium', Port: 6379 },
      ...{ NumCacheClusters: 2, AutomaticFailoverEnabled: true, MultiAZEnabled: true },
      ...{ TransitEncryptionEnabled: true, TransitEncryptionMode: 'required', AtRestEncryptionEnabled: true },
      ...{ CacheParameterGroupName: 'default.valkey8', KmsKeyId: Match.absent(), SnapshotRetentionLimit: 0 },
    });
    template.hasResourceProperties('AWS::ElastiCache::SubnetGroup', {
      SubnetIds: [{ Ref: Match.stringLikeRegexp('Private') }, { Ref: Match.stringLikeRegexp('Private') }],
    });
    template.hasResourceProperties('AWS::ElastiCache::User', {
      AuthenticationMode: { Type: 'iam' },
      AccessString: Match.stringLikeRegexp('^on ~llm:\\* .*-@all .*-@dangerous$'),
    });
    template.resourceCountIs('AWS::ElastiCache::ParameterGroup', 0);
    template.resourceCountIs('AWS::ElastiCache::ServerlessCache', 0);
    expect(config.cache?.auth).toEqual({
      ...{ type: 'iam', nodeBased: true },
      ...{ userId: expect.stringMatching(/^llm-/), cacheName: expect.stringMatching(/^llm-/) },
    });
    expect(JSON.stringify(environment.LLM_CACHE_ENDPOINT)).toMatch(/rediss:.*PrimaryEndPoint\.Address/);
    const [statement, ...others] = statements(template, 'elasticache:');
    expect(others).toEqual([]);
    expect(JSON.stringify(statement?.Resource)).toMatch(/:replicationgroup:llm-.*:user:llm-/);
  });

  test('all props', () => {
    const { template } = synthesize({}, (stack) => {
      const vpc = vpcOf(stack);
      return {
        cache: new NodeResponseCache(stack, 'Cache', {
          ...{ vpc, vpcSubnets: { subnetType: SubnetType.PRIVATE_WITH_EGRESS }, cacheName: 'My-Answers' },
          ...{ nodeType: 'cache.t4g.small', replicas: 0, encryptionKey: new Key(stack, 'Key') },
          securityGroups: [new SecurityGroup(stack, 'Own', { vpc })],
        }),
      };
    });
    template.hasResourceProperties('AWS::ElastiCache::ReplicationGroup', {
      ...{ ReplicationGroupId: 'my-answers', NumCacheClusters: 1, MultiAZEnabled: false },
      ...{ AutomaticFailoverEnabled: false, KmsKeyId: Match.anyValue() },
      SecurityGroupIds: [{ 'Fn::GetAtt': [Match.stringLikeRegexp('Own'), 'GroupId'] }],
      CacheParameterGroupName: { Ref: Match.stringLikeRegexp('Parameters') },
    });
    template.hasResourceProperties('AWS::ElastiCache::ParameterGroup', {
      Properties: { 'reserved-memory-percent': '30' },
    });
  });

  test.each<[Partial<NodeResponseCacheProps>, string]>([
    [{ cacheName: '1st' }, 'cacheName must be'],
    [{ replicas: 6 }, 'replicas must be'],
    [{ nodeType: 'm5.large' }, 'nodeType must be'],
    [{ nodeType: 'cache.r6gd.xlarge' }, 'data tiering'],
    [{ timeout: Duration.seconds(6) }, 'timeout must be between'],
    [{ vpcSubnets: { availabilityZones: ['nowhere'] } }, 'replicas need a second zone'],
  ])('%j is refused', (props, message) => {
    const stack = newStack();
    expect(() => new NodeResponseCache(stack, 'Cache', { vpc: vpcOf(stack), ...props })).toThrow(message);
  });
});

describe('answers to similar requests', () => {
  test('are off unless a policy asks for them', () => {
    expect(CachePolicy.standard()._render()).not.toHaveProperty('semantic');
  });

  test('stand with the policy, whole, and let the function call that embedding and no other', () => {
    const { config, template } = synthesize({}, (stack) => ({
      cache: new NodeResponseCache(stack, 'Cache', {
        vpc: vpcOf(stack),
        policy: CachePolicy.standard({ semantic: semantic() }),
      }),
      models: [new Model(stack, 'Own', { backends: [Backend.staticReply('x')] })],
    }));
    expect(config.cache?.policy.semantic).toEqual({
      embedding: {
        ...{ kind: 'bedrock', id: 'embedding-amazon-titan-embed-text-v2-0', format: 'titan-2', dimensions: 1024 },
        ...{ modelId: 'amazon.titan-embed-text-v2:0', price: 0.02 },
      },
      ...{ threshold: 0.9, guards: 'strict', timeoutMs: 400, minCharacters: 12, maxCharacters: 600 },
      ...{ maxTurns: 1, tools: false, structuredOutput: false },
    });
    const [statement, ...others] = statements(template, 'bedrock:');
    expect(others).toEqual([]);
    expect(statement?.Action).toBe('bedrock:InvokeModel');
    expect(JSON.stringify(statement?.Resource)).toContain('::foundation-model/amazon.titan-embed-text-v2:0');
  });

  test("of a model's own policy, with an embedding behind a key", () => {
    const { config, template, environment } = synthesize({}, (stack) => ({
      cache: ResponseCache.fromEndpoint({ host: 'x', vectorSearch: true }),
      models: [
        new Model(stack, 'Own', {
          backends: [Backend.staticReply('x')],
          cache: CachePolicy.standard({
            semantic: semantic({
              embedding: Embedding.openAi('text-embedding-3-small', {
                ...{ apiKey: new Secret(stack, 'Key'), apiKeyField: 'key', dimensions: 512 },
              }),
              ...{ guards: SemanticGuards.STANDARD, timeout: Duration.seconds(1), minCharacters: 20 },
              ...{ maxCharacters: 800, maxTurns: 3, tools: true, structuredOutput: true },
            }),
          }),
        }),
      ],
    }));
    expect(config.models[0]?.cache?.semantic).toMatchObject({
      embedding: {
        ...{ kind: 'openai-compatible', baseUrl: 'https://api.openai.com/v1', model: 'text-embedding-3-small' },
        ...{ dimensions: 512, sendDimensions: true, price: 0.02 },
        auth: { type: 'secret', secretArn: { env: 'LLM_EMBEDDING_TEXT_EMBEDDING_3_SMALL_SECRET' }, jsonField: 'key' },
      },
      ...{ guards: 'standard', timeoutMs: 1000, minCharacters: 20, maxCharacters: 800, maxTurns: 3 },
      ...{ tools: true, structuredOutput: true },
    });
    expect(environment).toHaveProperty('LLM_EMBEDDING_TEXT_EMBEDDING_3_SMALL_SECRET');
    expect(statements(template, 'secretsmanager:')).toHaveLength(1);
  });

  test.each<[Partial<SemanticMatching>, string]>([
    [{ threshold: 0.4 }, 'threshold must be'],
    [{ threshold: 1.1 }, 'threshold must be'],
    [{ timeout: Duration.seconds(6) }, 'timeout must be between'],
    [{ maxCharacters: 3000 }, 'maxCharacters must be'],
    [{ minCharacters: 700 }, 'minCharacters must be'],
    [{ maxTurns: 0 }, 'maxTurns must be'],
  ])('%j is refused', (overrides, message) => {
    expect(() => CachePolicy.standard({ semantic: semantic(overrides) })).toThrow(message);
  });

  test.each<[string, () => unknown, string]>([
    ['a chat model', () => Embedding.bedrock('amazon.nova-lite-v1:0'), 'the embedding model must be'],
    [
      'a size that Titan has not',
      () => Embedding.bedrock('amazon.titan-embed-text-v2:0', { dimensions: 300 }),
      'dimensions of',
    ],
    ['a price that nobody knows', () => Embedding.bedrock('cohere.embed-english-v3'), 'no price is known'],
    [
      'no dimensions',
      () => Embedding.openAiCompatible('http://127.0.0.1:1/v1', { model: 'm', dimensions: 0 }),
      'dimensions must be',
    ],
    [
      'plain HTTP',
      () => Embedding.openAiCompatible('http://example.com/v1', { model: 'm', dimensions: 8 }),
      'unencrypted',
    ],
    [
      'a field without a key',
      () => Embedding.openAiCompatible('http://127.0.0.1:1/v1', { model: 'm', dimensions: 8, apiKeyField: 'k' }),
      'needs apiKey',
    ],
  ])('%s is refused', (_, make, message) => {
    expect(make).toThrow(message);
  });

  test('need a cache that can search', () => {
    const policy = CachePolicy.standard({ semantic: semantic() });
    const stack = newStack();
    expect(() => new ResponseCache(stack, 'Cache', { vpc: vpcOf(stack), policy })).toThrow('pass a NodeResponseCache');
    expect(() => ResponseCache.fromEndpoint({ host: 'x', policy })).toThrow('vectorSearch: true');
    const model = (of: Stack) => new Model(of, 'Own', { backends: [Backend.staticReply('x')], cache: policy });
    expect(() => synthesize({}, (of) => ({ models: [model(of)] }))).toThrow(
      'semantic in the cache policy of model "own"',
    );
    expect(() =>
      synthesize({}, (of) => ({ cache: ResponseCache.fromEndpoint({ host: 'x' }), models: [model(of)] })),
    ).toThrow('semantic in the cache policy of model "own"');
  });

  test('two embeddings have two ids', () => {
    const of = (dimensions: number) =>
      CachePolicy.standard({
        semantic: semantic({
          embedding: Embedding.openAiCompatible('http://127.0.0.1:1/v1', { model: 'm', dimensions, embeddingId: 'e' }),
        }),
      });
    expect(() =>
      synthesize({}, (stack) => ({
        cache: ResponseCache.fromEndpoint({ host: 'x', vectorSearch: true, policy: of(8) }),
        models: [new Model(stack, 'Own', { backends: [Backend.staticReply('x')], cache: of(16) })],
      })),
    ).toThrow('two different embeddings have the id "e"');
  });
});
