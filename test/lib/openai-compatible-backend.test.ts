import { Fn } from 'aws-cdk-lib';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { describe, expect, test } from 'vitest';
import {
  Backend,
  type IBackend,
  MaxTokensParameter,
  Model,
  type OpenAiCompatibleBackendOptions,
  TokenPrice,
} from '../../lib';
import { newStack, statements, synthesize } from './fixture.ts';

const PRICE = TokenPrice.perMillion({ inputUsd: 1, outputUsd: 2 });
const URL_ = 'https://llm.example.com/v1';

function withBackend(make: (secret: Secret) => IBackend) {
  const synthesized = synthesize({}, (stack) => ({
    models: [new Model(stack, 'Model', { modelName: 'chat', backends: [make(new Secret(stack, 'Secret'))] })],
  }));
  return { ...synthesized, backend: synthesized.config.models[0]?.backends[0] };
}

test('a server on this machine needs no price and no key', () => {
  const { backend, environment, template } = withBackend(() => Backend.openAiCompatible('http://127.0.0.1:8000/v1/'));
  expect(backend).toEqual({
    kind: 'openai-compatible',
    id: expect.stringMatching(/^openai-compatible-[0-9a-f]{8}$/),
    price: { input: 0, output: 0, cachedInput: 0, cacheWrite: 0 },
    deadlines: { connectMs: 5000, firstTokenMs: 120_000, betweenTokensMs: 60_000 },
    baseUrl: 'http://127.0.0.1:8000/v1',
    auth: { type: 'none' },
    headers: {},
    unsupportedParameters: [],
    maxTokensParameter: 'max_tokens',
    streamUsage: true,
  });
  expect(Object.keys(environment)).toEqual(['LLM_CONSUMERS']);
  expect(statements(template, 'secretsmanager:')).toEqual([]);
});

test('takes every option, and may read its own secret only', () => {
  const { backend, environment, template } = withBackend((apiKey) =>
    Backend.openAiCompatible(URL_, {
      backendId: 'mine',
      price: PRICE,
      model: 'm',
      apiKey,
      apiKeyField: 'key',
      apiKeyHeader: 'api-key',
      headers: { 'x-team': 'a' },
      unsupportedParameters: ['seed'],
      maxTokensParameter: MaxTokensParameter.MAX_COMPLETION_TOKENS,
      streamUsage: false,
    }),
  );
  expect(backend).toMatchObject({
    id: 'mine',
    model: 'm',
    auth: { type: 'secret', secretArn: { env: 'LLM_MINE_SECRET' }, jsonField: 'key', header: 'api-key' },
    headers: { 'x-team': 'a' },
    unsupportedParameters: ['seed'],
    maxTokensParameter: 'max_completion_tokens',
    streamUsage: false,
  });
  expect(environment.LLM_MINE_SECRET).toEqual({ Ref: expect.stringMatching(/^Secret/) });
  const read = statements(template, 'secretsmanager:');
  expect(read).toHaveLength(1);
  expect(read[0]?.Resource).toEqual({ Ref: expect.stringMatching(/^Secret/) });
});

test('a URL that is known only at deploy is handed over in an environment variable', () => {
  const { backend, environment } = withBackend(() =>
    Backend.openAiCompatible(`https://${Fn.importValue('Host')}/v1`, { backendId: 'mine', price: PRICE }),
  );
  expect(backend).toMatchObject({ baseUrl: { env: 'LLM_MINE_URL' } });
  expect(environment.LLM_MINE_URL).toEqual({
    'Fn::Join': ['', ['https://', { 'Fn::ImportValue': 'Host' }, '/v1']],
  });
});

test('the price of a known provider is found by the URL', () => {
  const backend = Backend.openAiCompatible('https://api.mistral.ai/v1', { model: 'mistral-large-latest' });
  expect(backend.price.inputUsd).toBeGreaterThan(0);
});

test('an unencrypted URL is taken when it is allowed', () => {
  const { backend } = withBackend(() =>
    Backend.openAiCompatible('http://vllm.internal:8000/v1', { allowHttp: true, price: TokenPrice.free() }),
  );
  expect(backend).toMatchObject({
    baseUrl: 'http://vllm.internal:8000/v1',
    // Clients see it: not the host's name.
    id: expect.stringMatching(/^openai-compatible-[0-9a-f]{8}$/),
  });
});

test.each<[string, string, OpenAiCompatibleBackendOptions, RegExp]>([
  ['a relative URL', '/v1', {}, /must be absolute/],
  ['another protocol', 'ftp://x/v1', {}, /must begin with https: or http:/],
  ['credentials in the URL', 'https://u:p@x/v1', {}, /must have no credentials/],
  ['a query', 'https://x/v1?key=1', {}, /must have no credentials, query/],
  ['the whole path', 'https://x/v1/chat/completions', {}, /must end before \/chat\/completions/],
  ['an unencrypted URL', 'http://x/v1', {}, /is unencrypted: use https:, or set allowHttp/],
  ['an unencrypted look-alike of this machine', 'http://127.0.0.1.evil.example/v1', {}, /is unencrypted/],
  ['an unknown price', URL_, { model: 'm' }, /^no price is known for model "m" of https:\/\/llm.example.com\/v1/],
  ['a header name with a space', URL_, { price: PRICE, headers: { 'x y': 'a' } }, /which is no header name/],
  ['a key among the headers', URL_, { price: PRICE, headers: { Authorization: 'Bearer x' } }, /pass it as apiKey/],
  ['a header value of two lines', URL_, { price: PRICE, headers: { 'x-a': 'a\r\nb: c' } }, /must be a single line/],
  ['a field of no secret', URL_, { price: PRICE, apiKeyField: 'key' }, /^apiKeyField needs apiKey/],
  ['a header of no secret', URL_, { price: PRICE, apiKeyHeader: 'api-key' }, /^apiKeyHeader needs apiKey/],
])('refuses %s', (_, url, options, message) => {
  expect(() => Backend.openAiCompatible(url, options)).toThrow(message);
});

test('an error about a URL with credentials does not show them', () => {
  expect(() => Backend.openAiCompatible('https://user:hunter2@x/v1')).toThrow(/^(?!.*hunter2)/);
});

describe('OpenAI', () => {
  test('is called with its newer name of the token limit', () => {
    const { backend } = withBackend((apiKey) =>
      Backend.openAi('gpt-4.1-mini', { apiKey, organization: 'org-1', project: 'proj-1' }),
    );
    expect(backend).toMatchObject({
      id: 'openai-gpt-4-1-mini',
      baseUrl: 'https://api.openai.com/v1',
      model: 'gpt-4.1-mini',
      price: { input: 0.4, output: 1.6, cachedInput: 0.1 },
      auth: { type: 'secret', secretArn: { env: 'LLM_OPENAI_GPT_4_1_MINI_SECRET' } },
      headers: { 'openai-organization': 'org-1', 'openai-project': 'proj-1' },
      maxTokensParameter: 'max_completion_tokens',
    });
  });
});

describe('Anthropic', () => {
  test('gets no request whose parameters its compatibility layer ignores', () => {
    const { backend } = withBackend((apiKey) => Backend.anthropic('claude-sonnet-4-5', { apiKey, apiKeyField: 'k' }));
    expect(backend).toMatchObject({
      id: 'anthropic-claude-sonnet-4-5',
      baseUrl: 'https://api.anthropic.com/v1',
      model: 'claude-sonnet-4-5',
      price: { input: 3, output: 15 },
      auth: { type: 'secret', jsonField: 'k' },
      unsupportedParameters: expect.arrayContaining(['response_format', 'seed', 'logprobs', 'n']),
    });
  });
});

describe('Vertex AI', () => {
  test('is called at its global endpoint', () => {
    const { backend, environment, template } = withBackend((credentials) =>
      Backend.vertexAi('gemini-2.5-flash', { projectId: 'my-project', credentials }),
    );
    expect(backend).toMatchObject({
      id: 'vertex-google-gemini-2-5-flash',
      baseUrl: 'https://aiplatform.googleapis.com/v1/projects/my-project/locations/global/endpoints/openapi',
      model: 'google/gemini-2.5-flash',
      price: { input: 0.3, output: 2.5 },
      auth: { type: 'google', secretArn: { env: 'LLM_VERTEX_GOOGLE_GEMINI_2_5_FLASH_SECRET' } },
    });
    expect(environment).toHaveProperty('LLM_VERTEX_GOOGLE_GEMINI_2_5_FLASH_SECRET');
    expect(statements(template, 'secretsmanager:')).toHaveLength(1);
  });

  test('is called in a location', () => {
    const { backend } = withBackend((credentials) =>
      Backend.vertexAi('meta/llama-4', {
        projectId: 'p',
        location: 'europe-west4',
        credentials,
        credentialsField: 'google',
        price: PRICE,
        unsupportedParameters: ['n'],
      }),
    );
    expect(backend).toMatchObject({
      baseUrl: 'https://europe-west4-aiplatform.googleapis.com/v1/projects/p/locations/europe-west4/endpoints/openapi',
      model: 'meta/llama-4',
      auth: { type: 'google', jsonField: 'google' },
      unsupportedParameters: ['n'],
    });
  });

  test.each([
    ['projectId', { projectId: 'a/b' }],
    ['location', { projectId: 'p', location: 'x.evil.example/' }],
  ])('refuses a bad %s', (prop, options) => {
    const credentials = new Secret(newStack(), 'Secret');
    expect(() => Backend.vertexAi('gemini-2.5-flash', { ...options, credentials })).toThrow(
      new RegExp(`^${prop} must be an id of Google Cloud`),
    );
  });
});

test.each(['openAi', 'anthropic'] as const)('%s refuses an empty model name', (factory) => {
  const apiKey = new Secret(newStack(), 'Secret');
  expect(() => Backend[factory](' ', { apiKey })).toThrow(/must be a plain, non-empty string/);
});
