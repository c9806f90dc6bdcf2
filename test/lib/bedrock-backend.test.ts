import { Duration, Fn, Lazy } from 'aws-cdk-lib';
import { CfnGuardrail } from 'aws-cdk-lib/aws-bedrock';
import { describe, expect, test } from 'vitest';
import {
  Backend,
  type BedrockBackendOptions,
  BedrockJsonSchema,
  BedrockReasoning,
  BedrockServiceTier,
  GuardrailStreamMode,
  Model,
  TokenPrice,
} from '../../lib';
import { statements, synthesize } from './fixture.ts';

const PRICE = TokenPrice.perMillion({ inputUsd: 1, outputUsd: 2 });
const INVOKE = ['bedrock:InvokeModel', 'bedrock:InvokeModelWithResponseStream'];

function withBackend(modelId: string, options?: BedrockBackendOptions) {
  const synthesized = synthesize({}, (stack) => ({
    models: [new Model(stack, 'Model', { modelName: 'chat', backends: [Backend.bedrock(modelId, options)] })],
  }));
  const [backend] = synthesized.config.models[0]?.backends ?? [];
  return { ...synthesized, backend, invoke: statements(synthesized.template, 'bedrock:Invoke') };
}

/** `arn:${AWS::Partition}:bedrock:…` as text, for comparisons. */
function arns(statement: Record<string, unknown> | undefined): string[] {
  return [statement?.Resource].flat().map(flatten);
}

function flatten(value: unknown): string {
  if (typeof value === 'string') return value;
  const { Ref, 'Fn::Join': join } = value as { Ref?: string; 'Fn::Join'?: [string, unknown[]] };
  if (join !== undefined) return join[1].map(flatten).join(join[0]);
  return `{${Ref}}`;
}

describe('a foundation model', () => {
  test('may be invoked, and nothing else', () => {
    const { invoke, backend } = withBackend('amazon.nova-lite-v1:0');
    expect(invoke).toHaveLength(1);
    expect(invoke[0]?.Action).toEqual(INVOKE);
    expect(arns(invoke[0])).toEqual([
      'arn:{AWS::Partition}:bedrock:{AWS::Region}::foundation-model/amazon.nova-lite-v1:0',
    ]);
    expect(backend).toEqual({
      kind: 'bedrock',
      id: 'bedrock-amazon-nova-lite-v1-0',
      modelId: 'amazon.nova-lite-v1:0',
      price: { input: 0.06, output: 0.24, cachedInput: 0.015, cacheWrite: 0.06 },
      deadlines: { connectMs: 5000, firstTokenMs: 120_000, betweenTokensMs: 60_000 },
      promptCaching: false,
      jsonSchema: 'tool',
      images: true,
      tools: true,
    });
  });

  test('takes every option', () => {
    const { backend, invoke } = withBackend('anthropic.claude-sonnet-4-5-20250929-v1:0', {
      backendId: 'claude',
      price: PRICE,
      connectTimeout: Duration.seconds(1),
      firstTokenTimeout: Duration.seconds(2),
      betweenTokensTimeout: Duration.seconds(3),
      contextWindow: 200_000,
      maxOutputTokens: 64_000,
      region: 'eu-central-1',
      guardrail: { guardrailId: 'gr1', guardrailVersion: '7', streamMode: GuardrailStreamMode.ASYNC },
      serviceTier: BedrockServiceTier.FLEX,
      promptCaching: true,
      jsonSchema: BedrockJsonSchema.TOOL,
      reasoning: BedrockReasoning.NONE,
      images: false,
      tools: false,
    });
    expect(backend).toEqual({
      kind: 'bedrock',
      id: 'claude',
      modelId: 'anthropic.claude-sonnet-4-5-20250929-v1:0',
      price: { input: 1, output: 2, cachedInput: 1, cacheWrite: 1 },
      deadlines: { connectMs: 1000, firstTokenMs: 2000, betweenTokensMs: 3000 },
      contextWindow: 200_000,
      maxOutputTokens: 64_000,
      region: 'eu-central-1',
      guardrail: { id: 'gr1', version: '7', streamProcessingMode: 'async' },
      serviceTier: 'flex',
      promptCaching: true,
      jsonSchema: 'tool',
      images: false,
      tools: false,
    });
    expect(arns(invoke[0])).toEqual([
      'arn:{AWS::Partition}:bedrock:eu-central-1::foundation-model/anthropic.claude-sonnet-4-5-20250929-v1:0',
    ]);
  });

  test.each(['zai.glm-4.7', 'deepseek.v3.2', 'openai.gpt-5.4', 'ai21.jamba-1-5-large-v1:0'])(
    '%s is one, whatever its dots',
    (modelId) => {
      const { invoke } = withBackend(modelId, { price: PRICE });
      expect(invoke.map(arns)).toEqual([[`arn:{AWS::Partition}:bedrock:{AWS::Region}::foundation-model/${modelId}`]]);
    },
  );

  test('may be given by its ARN', () => {
    const arn = 'arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0';
    const { invoke, backend } = withBackend(arn);
    expect(arns(invoke[0])).toEqual([arn]);
    expect(backend).toMatchObject({ id: 'bedrock-amazon-nova-lite-v1-0', modelId: arn });
  });

  test.each([
    ['anthropic.claude-sonnet-4-5-20250929-v1:0', { jsonSchema: 'output-config', reasoning: 'anthropic-budget' }],
    ['anthropic.claude-opus-4-6-v1', { jsonSchema: 'output-config', reasoning: 'effort' }],
    ['anthropic.claude-haiku-5-5', { jsonSchema: 'output-config', reasoning: 'effort' }],
    ['amazon.nova-2-lite-v1:0', { reasoning: 'effort', images: true, tools: true }],
    ['anthropic.claude-3-7-sonnet-20250219-v1:0', { jsonSchema: 'tool', reasoning: 'anthropic-budget', images: true }],
    ['anthropic.claude-3-5-haiku-20241022-v1:0', { images: false, tools: true }],
    ['amazon.nova-micro-v1:0', { images: false, tools: true }],
    ['openai.gpt-oss-20b-1:0', { reasoning: 'effort', images: false, tools: true }],
    ['meta.llama3-3-70b-instruct-v1:0', { images: false, tools: false }],
    ['newcomer.some-model-v1:0', { images: true, tools: true, jsonSchema: 'tool' }],
  ])('%s can do what its family can', (modelId, features) => {
    expect(withBackend(modelId, { price: PRICE }).backend).toMatchObject(features);
  });
});

describe('an inference profile', () => {
  test('may be invoked, and its model in each region of the geography through it only', () => {
    const { invoke, backend } = withBackend('us.amazon.nova-lite-v1:0');
    const profile =
      'arn:{AWS::Partition}:bedrock:{AWS::Region}:{AWS::AccountId}:inference-profile/us.amazon.nova-lite-v1:0';
    expect(arns(invoke[0])).toEqual([profile]);
    expect(arns(invoke[1])).toEqual(
      ['{AWS::Region}', 'us-east-1', 'us-east-2', 'us-west-1', 'us-west-2'].map(
        (region) => `arn:{AWS::Partition}:bedrock:${region}::foundation-model/amazon.nova-lite-v1:0`,
      ),
    );
    const condition = invoke[1]?.Condition as { StringEquals: Record<string, unknown> };
    expect(flatten(condition.StringEquals['bedrock:InferenceProfileArn'])).toBe(profile);
    expect(backend).toMatchObject({ id: 'bedrock-us-amazon-nova-lite-v1-0', modelId: 'us.amazon.nova-lite-v1:0' });
  });

  test('of the whole world needs the ARN without a region', () => {
    const { invoke } = withBackend('global.anthropic.claude-sonnet-4-5-20250929-v1:0');
    expect(arns(invoke[1])).toEqual(
      ['{AWS::Region}', ''].map(
        (region) =>
          `arn:{AWS::Partition}:bedrock:${region}::foundation-model/anthropic.claude-sonnet-4-5-20250929-v1:0`,
      ),
    );
  });

  test('knows what its model can do', () => {
    expect(withBackend('eu.anthropic.claude-sonnet-4-5-20250929-v1:0').backend).toMatchObject({
      jsonSchema: 'output-config',
    });
  });

  test('may name its regions', () => {
    const { invoke } = withBackend('sa.amazon.nova-lite-v1:0', { price: PRICE, profileRegions: ['sa-east-1'] });
    expect(arns(invoke[1])).toEqual(
      ['{AWS::Region}', 'sa-east-1'].map(
        (region) => `arn:{AWS::Partition}:bedrock:${region}::foundation-model/amazon.nova-lite-v1:0`,
      ),
    );
  });

  test('of an unknown geography asks for its regions', () => {
    expect(() => Backend.bedrock('sa.amazon.nova-lite-v1:0', { price: PRICE })).toThrow(/pass profileRegions$/);
  });

  test('of an application is billed and permitted as its foundation model', () => {
    const arn = 'arn:aws:bedrock:eu-west-1:111122223333:application-inference-profile/abc123';
    const { invoke, backend } = withBackend(arn, { foundationModelId: 'amazon.nova-lite-v1:0', region: 'eu-west-1' });
    expect(arns(invoke[0])).toEqual([arn]);
    expect(arns(invoke[1])).toEqual(['arn:{AWS::Partition}:bedrock:eu-west-1::foundation-model/amazon.nova-lite-v1:0']);
    expect(backend).toMatchObject({
      modelId: arn,
      foundationModelId: 'amazon.nova-lite-v1:0',
      price: { input: 0.06 },
      id: 'bedrock-amazon-nova-lite-v1-0',
    });
  });

  test('that is known only at deploy is handed over in an environment variable', () => {
    const { invoke, backend, environment } = withBackend(Fn.importValue('ProfileArn'), {
      foundationModelId: 'amazon.nova-lite-v1:0',
      backendId: 'nova',
    });
    expect(backend).toMatchObject({ modelId: { env: 'LLM_NOVA_MODEL' } });
    expect(environment.LLM_NOVA_MODEL).toEqual({ 'Fn::ImportValue': 'ProfileArn' });
    expect(invoke[0]?.Resource).toEqual({ 'Fn::ImportValue': 'ProfileArn' });
  });
});

test('a provisioned model is permitted by its own ARN', () => {
  const arn = 'arn:aws:bedrock:us-east-1:111122223333:provisioned-model/abc';
  const { invoke } = withBackend(arn, { price: PRICE, backendId: 'mine' });
  expect(invoke).toHaveLength(1);
  expect(arns(invoke[0])).toEqual([arn]);
});

describe('a guardrail', () => {
  test('may be applied, by id', () => {
    const { template } = withBackend('amazon.nova-lite-v1:0', { guardrail: { guardrailId: 'gr1' } });
    const [statement] = statements(template, 'bedrock:ApplyGuardrail');
    expect(statement?.Action).toBe('bedrock:ApplyGuardrail');
    expect(arns(statement)).toEqual(['arn:{AWS::Partition}:bedrock:{AWS::Region}:{AWS::AccountId}:guardrail/gr1']);
  });

  test('may be applied, when it is made in the same stack', () => {
    const { config, environment, template } = synthesize({}, (stack) => {
      const guardrail = new CfnGuardrail(stack, 'Guardrail', {
        name: 'g',
        blockedInputMessaging: 'no',
        blockedOutputsMessaging: 'no',
      });
      const backend = Backend.bedrock('amazon.nova-lite-v1:0', {
        backendId: 'nova',
        guardrail: { guardrailId: guardrail.attrGuardrailArn },
      });
      return { models: [new Model(stack, 'Model', { modelName: 'chat', backends: [backend] })] };
    });
    expect(config.models[0]?.backends[0]).toMatchObject({
      guardrail: { id: { env: 'LLM_NOVA_GUARDRAIL' }, version: 'DRAFT' },
    });
    expect(environment.LLM_NOVA_GUARDRAIL).toEqual({ 'Fn::GetAtt': ['Guardrail', 'GuardrailArn'] });
    expect(statements(template, 'bedrock:ApplyGuardrail')[0]?.Resource).toEqual({
      'Fn::GetAtt': ['Guardrail', 'GuardrailArn'],
    });
  });
});

test.each<[string, string, BedrockBackendOptions, RegExp]>([
  ['an empty model id', ' ', {}, /^modelId must not be empty/],
  ['an ARN of nothing', 'arn:aws:bedrock', {}, /^modelId must be an id or an ARN of Bedrock/],
  [
    'an application profile without its model',
    'arn:aws:bedrock:eu-west-1:1:application-inference-profile/a',
    { backendId: 'x', price: PRICE },
    /pass foundationModelId/,
  ],
  ['a model without a price', 'newcomer.model-v1:0', {}, /^no price is known for model "newcomer.model-v1:0" of aws/],
  ['an id with capitals', 'amazon.nova-lite-v1:0', { backendId: 'Nova' }, /^backendId must be .* got "Nova"/],
  ['an id that is too long', 'amazon.nova-lite-v1:0', { backendId: 'x'.repeat(65) }, /^backendId must be 1–64/],
  ['a context window of zero', 'amazon.nova-lite-v1:0', { contextWindow: 0 }, /^contextWindow must be .* got 0/],
  ['half a token', 'amazon.nova-lite-v1:0', { maxOutputTokens: 0.5 }, /^maxOutputTokens must be .* got 0.5/],
  ['no time to connect', 'amazon.nova-lite-v1:0', { connectTimeout: Duration.seconds(0) }, /^connectTimeout must be/],
  [
    'a first token after Lambda ended',
    'amazon.nova-lite-v1:0',
    { firstTokenTimeout: Duration.minutes(16) },
    /^firstTokenTimeout must be between/,
  ],
  [
    'a region that is a token',
    'amazon.nova-lite-v1:0',
    { region: Lazy.string({ produce: () => 'x' }) },
    /^region must be known at synth/,
  ],
])('refuses %s', (_, modelId, options, message) => {
  expect(() => Backend.bedrock(modelId, options)).toThrow(message);
});
