import { describe, expect, test } from 'vitest';
import type { CacheAsk } from '../../../lambda/cache/contract.ts';
import { cacheKey } from '../../../lambda/cache/key.ts';
import type { ModelConfig } from '../../../lambda/contract/config.ts';
import type { ChatCompletionRequest } from '../../../lambda/contract/openai.ts';
import { model, openAiBackend } from '../support/serving.ts';

const chat = (overrides: object = {}, backend: object = {}): ModelConfig =>
  model([openAiBackend('http://up/v1', backend)], overrides) as ModelConfig;

const ASK: CacheAsk = {
  model: chat(),
  request: { model: 'chat', messages: [{ role: 'user', content: 'hello' }] },
  owner: { consumer: 'alice', kind: 'declared', tier: 'gold' },
  maxOutputTokens: undefined,
  size: 10,
  cacheControl: undefined,
  gone: new AbortController().signal,
};
const keyOf = (ask: Partial<CacheAsk>): string => cacheKey({ ...ASK, ...ask }, 'deployment', 'consumer', '');
const withRequest = (more: object): string => keyOf({ request: { ...ASK.request, ...more } as ChatCompletionRequest });
const KEY = keyOf({});

describe('the key stays the same', () => {
  test.each([
    { stream: true, stream_options: { include_usage: true } },
    { user: 'u', safety_identifier: 's', metadata: { feature: 'f' } },
    { prompt_cache_key: 'k', service_tier: 'default', store: false },
    { n: 1, logprobs: false, tools: [], stop: [], response_format: { type: 'text' }, temperature: null },
    { messages: [{ content: 'hello', role: 'user', name: null }] },
  ])('with %j', (more) => {
    expect(withRequest(more)).toBe(KEY);
  });

  test('with another price or deadline', () => {
    const cheaper = { price: { input: 9, output: 9, cachedInput: 9, cacheWrite: 9 }, deadlines: { connectMs: 1 } };
    expect(keyOf({ model: chat({}, cheaper) })).toBe(KEY);
  });

  test('for both spellings of the token limit', () => {
    expect(withRequest({ max_tokens: 5 })).toBe(withRequest({ max_completion_tokens: 5 }));
  });
});

describe('the key changes', () => {
  test.each([
    { temperature: 0 },
    { seed: 1 },
    { n: 2 },
    { max_tokens: 5 },
    { logprobs: true },
    { tools: [{ type: 'function', function: { name: 'f' } }] },
    { reasoning_effort: 'low' },
    { an_engine_of_its_own: true },
    { messages: [{ role: 'system', content: 'hello' }] },
    { messages: [{ role: 'user', content: 'hello ' }] },
  ])('with %j', (more) => {
    expect(withRequest(more)).not.toBe(KEY);
  });

  test("with the order of fields in a tool's schema, which models see", () => {
    const tool = (properties: object) => [{ type: 'function', function: { name: 'f', parameters: { properties } } }];
    expect(withRequest({ tools: tool({ a: {}, b: {} }) })).not.toBe(withRequest({ tools: tool({ b: {}, a: {} }) }));
  });

  test('with the model behind the name, the route, the limit of the tier, the version and the deployment', () => {
    const keys = [
      KEY,
      keyOf({ model: chat({}, { model: 'another' }) }),
      keyOf({ model: chat({ routing: { cheap: 'first' } }) }),
      keyOf({ variant: 'cheap' }),
      keyOf({ maxOutputTokens: 100 }),
      cacheKey(ASK, 'deployment', 'consumer', '2'),
      cacheKey(ASK, 'another', 'consumer', ''),
    ];
    expect(new Set(keys).size).toBe(keys.length);
  });
});

test('one name of a declared consumer, a key made later, a key without a name and a job are four owners', () => {
  const kinds = ['declared', 'registered', 'key', 'job'] as const;
  const keys = kinds.map((kind) => keyOf({ owner: { consumer: 'alice', kind, tier: 'gold' } }));
  expect(new Set(keys).size).toBe(kinds.length);
});
