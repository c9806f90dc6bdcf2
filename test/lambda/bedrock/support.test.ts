import { describe, expect, test } from 'vitest';
import { createBedrockBackend } from '../../../lambda/backends/bedrock/index.ts';
import type { BedrockConfig } from '../../../lambda/backends/bedrock/settings.ts';
import type { ChatCompletionRequest, ChatMessage } from '../../../lambda/contract/openai.ts';
import { bedrockConfig, chat, PNG, weatherTool } from './fixtures.ts';

const unsupported = (request: Partial<ChatCompletionRequest>, config: Partial<BedrockConfig> = {}) =>
  createBedrockBackend(bedrockConfig(config)).unsupportedParameter(chat(request));
const userSays = (...content: { type: string }[]): { messages: ChatMessage[] } => ({
  messages: [{ role: 'user', content }],
});
const jsonSchema = { type: 'json_schema', json_schema: { name: 'x', schema: { type: 'object' } } } as const;

describe('a parameter that Converse has no word for is named', () => {
  test.each([
    [{ n: 2 }, 'n'],
    [{ seed: 1 }, 'seed'],
    [{ logprobs: true }, 'logprobs'],
    [{ top_logprobs: 3 }, 'top_logprobs'],
    [{ logit_bias: { '50256': -100 } }, 'logit_bias'],
    [{ presence_penalty: 0.5 }, 'presence_penalty'],
    [{ frequency_penalty: -0.5 }, 'frequency_penalty'],
    [{ modalities: ['text', 'audio'] }, 'modalities'],
    [{ audio: { voice: 'alloy', format: 'mp3' } }, 'audio'],
    [{ prediction: { type: 'content', content: 'x' } }, 'prediction'],
    [{ web_search_options: {} }, 'web_search_options'],
    [{ service_tier: 'priority' }, 'service_tier'],
    [{ verbosity: 'low' }, 'verbosity'],
    [{ functions: [{ name: 'f' }] }, 'functions'],
    [{ top_k: 5 }, 'top_k'],
    [{ temperature: 1.5 }, 'temperature'],
    [{ reasoning_effort: 'low' }, 'reasoning_effort'],
    [{ response_format: { type: 'grammar' } }, 'response_format'],
    [{ tools: [{ type: 'custom', custom: { name: 'x' } }] }, 'tools[0].type'],
    [{ tools: [{ type: 'function', function: { name: 'a.b' } }] }, 'tools[0].function.name'],
    [{ tools: [weatherTool], tool_choice: { type: 'allowed_tools', allowed_tools: {} } }, 'tool_choice'],
    [{ tool_choice: 'required' }, 'tool_choice'],
    [
      { messages: [{ role: 'assistant', tool_calls: [{ id: 'a', type: 'custom', custom: {} }] }] },
      'messages[0].tool_calls[0].type',
    ],
    [userSays({ type: 'input_audio' }), 'messages[0].content[0].input_audio'],
    [userSays({ type: 'text' }, { type: 'file' }), 'messages[0].content[1].file'],
    [{ messages: [{ role: 'function', name: 'f', content: 'x' }] }, 'messages[0].role'],
  ] as unknown as [Partial<ChatCompletionRequest>, string][])('%j', (request, parameter) => {
    expect(unsupported(request)).toBe(parameter);
  });

  test("an image's address without TLS", () => {
    const image_url = { url: 'http://example.com/cat.png' };
    expect(unsupported(userSays({ type: 'image_url', image_url } as { type: string }))).toBe(
      'messages[0].content[0].image_url',
    );
  });
});

describe('a parameter is fine', () => {
  test.each([
    { n: 1, logprobs: false, top_logprobs: 0, presence_penalty: 0, frequency_penalty: 0, logit_bias: {}, store: false },
    { seed: null, reasoning_effort: null, tools: null, response_format: null, logit_bias: null },
    { service_tier: 'auto', modalities: ['text'], verbosity: 'medium', reasoning_effort: 'none', tools: [] },
    { max_completion_tokens: 5, temperature: 1, top_p: 0.5, stop: 'x', stream: true, stream_options: {} },
    { metadata: { feature: 'search' }, user: 'u', store: true, safety_identifier: 's', prompt_cache_key: 'k' },
    { tools: [weatherTool], tool_choice: 'required', parallel_tool_calls: false },
    { tool_choice: 'none' },
    { response_format: { type: 'text' } },
    { response_format: { type: 'json_object' } },
    { response_format: jsonSchema },
    userSays({ type: 'image_url', image_url: { url: PNG } } as { type: string }),
    userSays({ type: 'image_url', image_url: { url: 'https://example.com/cat.png' } } as { type: string }),
  ] as unknown as Partial<ChatCompletionRequest>[])('%j', (request) => {
    expect(unsupported(request)).toBeUndefined();
  });
});

describe('what the model has decides', () => {
  test('tools, and with them JSON answers that go through one', () => {
    expect(unsupported({ tools: [weatherTool] }, { tools: false })).toBe('tools');
    expect(unsupported({ response_format: jsonSchema }, { tools: false })).toBe('response_format');
    expect(unsupported({ response_format: jsonSchema }, { tools: false, jsonSchema: 'output-config' })).toBeUndefined();
  });

  test('images', () => {
    const request = userSays({ type: 'image_url', image_url: { url: PNG } } as { type: string });
    expect(unsupported(request, { images: false })).toBe('messages[0].content[0].image_url');
  });

  test('reasoning, which with a budget forbids sampling parameters and forced tools', () => {
    const config = { reasoning: 'anthropic-budget' } as const;
    const reasoning_effort = 'low';
    expect(unsupported({ reasoning_effort }, config)).toBeUndefined();
    expect(unsupported({ reasoning_effort, temperature: 1 }, config)).toBeUndefined();
    expect(unsupported({ reasoning_effort, temperature: 0.5 }, config)).toBe('temperature');
    expect(unsupported({ top_p: 0.5, reasoning_effort }, config)).toBe('top_p');
    expect(unsupported({ reasoning_effort, tools: [weatherTool], tool_choice: 'required' }, config)).toBe(
      'reasoning_effort',
    );
    expect(unsupported({ reasoning_effort, response_format: jsonSchema }, config)).toBe('reasoning_effort');
    expect(unsupported({ reasoning_effort, temperature: 0.5 }, { reasoning: 'effort' })).toBeUndefined();
  });

  test.each([{ reasoning_effort: 'max' }, { reasoning_effort: 'toString' }])('%j is no effort', (request) => {
    expect(unsupported(request, { reasoning: 'anthropic-budget' })).toBe('reasoning_effort');
    expect(unsupported(request, { reasoning: 'effort' })).toBe('reasoning_effort');
  });

  test.each([{ max_tokens: 1_000 }, { max_completion_tokens: 1_000 }])('%j leaves no room for reasoning', (limit) => {
    expect(unsupported({ reasoning_effort: 'low', ...limit }, { reasoning: 'anthropic-budget' })).toBe(
      'reasoning_effort',
    );
    expect(unsupported({ reasoning_effort: 'low', ...limit }, { reasoning: 'effort' })).toBeUndefined();
  });

  test.each([
    { type: 'array', items: { type: 'string' } },
    { type: 'string' },
    { type: ['object', 'null'] },
    { enum: ['a', 'b'] },
    { anyOf: [{ type: 'object' }, { type: 'string' }] },
  ])('the schema %j is none of an object, which a tool takes', (schema) => {
    const response_format = { type: 'json_schema', json_schema: { name: 'x', schema } } as const;
    expect(unsupported({ response_format })).toBe('response_format.json_schema.schema');
    expect(unsupported({ response_format }, { jsonSchema: 'output-config' })).toBeUndefined();
    const tool = { type: 'function', function: { name: 'f', parameters: schema } } as const;
    expect(unsupported({ tools: [weatherTool, tool] })).toBe('tools[1].function.parameters');
  });

  test.each([
    {},
    { properties: {} },
    { $ref: '#/$defs/a', $defs: { a: { type: 'object' } } },
    { anyOf: [{ type: 'object' }, { properties: {} }] },
  ])('the schema %j is fine', (schema) => {
    const tool = { type: 'function', function: { name: 'f', parameters: schema } } as const;
    expect(unsupported({ tools: [tool] })).toBeUndefined();
  });

  test('the service tier of the deployment', () => {
    expect(unsupported({ service_tier: 'priority' }, { serviceTier: 'priority' })).toBeUndefined();
    expect(unsupported({ service_tier: 'default' }, { serviceTier: 'flex' })).toBe('service_tier');
  });
});
