import OpenAI from 'openai';
import { describe, expect, inject, test } from 'vitest';

const { url, keys } = inject('run');
const client = new OpenAI({ baseURL: url, apiKey: keys.standard, maxRetries: 0 });
const ask = (content: string): OpenAI.ChatCompletionMessageParam[] => [{ role: 'user', content }];

/** Names of models of test/e2e/app.ts, each with another kind of backend. */
const GENERATING = ['bedrock', 'compatible'] as const;
const ALL = [...GENERATING, 'static'] as const;

/** A red pixel. */
const PIXEL =
  'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==';

const WEATHER: OpenAI.ChatCompletionFunctionTool = {
  type: 'function',
  function: {
    name: 'get_weather',
    description: 'The weather in a city',
    parameters: {
      type: 'object',
      properties: { city: { type: 'string' }, unit: { type: 'string', enum: ['celsius', 'fahrenheit'] } },
      required: ['city', 'unit'],
      additionalProperties: false,
    },
  },
};

describe.each(ALL)('chat with a %s model', (model) => {
  test('answers whole', async () => {
    const { data, response } = await client.chat.completions
      .create({ model, messages: ask('Say hello to the world'), max_tokens: 40 })
      .withResponse();
    expect(data.object).toBe('chat.completion');
    expect(data.choices[0]?.message.role).toBe('assistant');
    expect(data.choices[0]?.message.content).toMatch(/\S/);
    expect(['stop', 'length']).toContain(data.choices[0]?.finish_reason);
    expect(response.headers.get('x-llm-model')).toBe(model);
    expect(response.headers.get('x-llm-backend')).toMatch(/^[a-z0-9-]+$/);
    expect(response.headers.get('x-llm-fallbacks')).toBe('0');
    expect(response.headers.get('x-request-id')).toMatch(/\S/);
  });

  test('answers as a stream, with one id, a finish reason and no usage that was not asked for', async () => {
    const stream = await client.chat.completions.create({ model, messages: ask('Count to five'), stream: true });
    const chunks: OpenAI.ChatCompletionChunk[] = [];
    for await (const chunk of stream) chunks.push(chunk);
    expect(new Set(chunks.map((chunk) => chunk.id)).size).toBe(1);
    expect(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('')).toMatch(/\S/);
    expect(chunks.at(-1)?.choices[0]?.finish_reason).toBe('stop');
    expect(chunks.filter((chunk) => chunk.choices.length === 0)).toEqual([]);
  });

  test('ends the stream with usage and cost when asked', async () => {
    const stream = await client.chat.completions.create({
      model,
      messages: ask('Count to five'),
      stream: true,
      stream_options: { include_usage: true },
    });
    const chunks: OpenAI.ChatCompletionChunk[] = [];
    for await (const chunk of stream) chunks.push(chunk);
    const last = chunks.at(-1);
    expect(last?.choices).toEqual([]);
    expect(last?.usage?.total_tokens).toBe((last?.usage?.prompt_tokens ?? 0) + (last?.usage?.completion_tokens ?? 0));
    expect(last?.usage).toHaveProperty('cost_usd');
  });

  test('streams through the SDK helper and collects the same text', async () => {
    const runner = client.chat.completions.stream({ model, messages: ask('Tell me about the sea') });
    let text = '';
    runner.on('content', (delta) => {
      text += delta;
    });
    const whole = await runner.finalChatCompletion();
    expect(whole.choices[0]?.message.content).toBe(text);
    expect(text).toMatch(/\S/);
  });
});

describe.each(GENERATING)('what a %s model can be asked for', (model) => {
  test('tokens are counted and priced', async () => {
    const { usage } = await client.chat.completions.create({ model, messages: ask('Say hello'), max_tokens: 12 });
    expect(usage?.prompt_tokens).toBeGreaterThan(0);
    expect(usage?.completion_tokens).toBeGreaterThan(0);
    expect(usage?.completion_tokens).toBeLessThanOrEqual(12);
    expect((usage as unknown as { cost_usd: number }).cost_usd).toBeGreaterThan(0);
  });

  test('max_tokens cuts the answer and says so', async () => {
    const answer = await client.chat.completions.create({
      model,
      messages: ask('Write a long story about a lighthouse'),
      max_completion_tokens: 5,
    });
    expect(answer.choices[0]?.finish_reason).toBe('length');
  });

  test('a stop sequence ends the answer before it', async () => {
    const free = await client.chat.completions.create({
      model,
      messages: ask('Say hello to the world'),
      max_tokens: 60,
    });
    const word = free.choices[0]?.message.content?.split(/\s+/)[3] ?? '';
    expect(word).not.toBe('');
    const cut = await client.chat.completions.create({
      model,
      messages: ask('Say hello to the world'),
      max_tokens: 60,
      stop: [word],
    });
    expect(cut.choices[0]?.message.content).not.toContain(word);
    expect(cut.choices[0]?.finish_reason).toBe('stop');
  });

  test('calls a tool, whole', async () => {
    const answer = await client.chat.completions.create({
      model,
      messages: ask('What is the weather in Paris?'),
      tools: [WEATHER],
      tool_choice: { type: 'function', function: { name: 'get_weather' } },
    });
    const call = answer.choices[0]?.message.tool_calls?.[0];
    if (call?.type !== 'function') throw new Error(`no function call: ${JSON.stringify(answer)}`);
    expect(call.function.name).toBe('get_weather');
    const args = JSON.parse(call.function.arguments);
    expect(typeof args.city).toBe('string');
    expect(['celsius', 'fahrenheit']).toContain(args.unit);
  });

  test('calls a tool in a stream, takes its result, and answers', async () => {
    const messages = ask('What is the weather in Paris?');
    const first = await client.chat.completions
      .stream({ model, messages, tools: [WEATHER], tool_choice: 'required' })
      .finalChatCompletion();
    expect(first.choices[0]?.finish_reason).toBe('tool_calls');
    const call = first.choices[0]?.message.tool_calls?.[0];
    if (call === undefined) throw new Error('no tool call');
    const second = await client.chat.completions.create({
      model,
      messages: [
        ...messages,
        { role: 'assistant', content: null, tool_calls: [call] },
        { role: 'tool', tool_call_id: call.id, content: '21 degrees and sunny' },
      ],
      tools: [WEATHER],
    });
    expect(second.choices[0]?.message.content).toMatch(/\S/);
  });

  test.each([false, true])('gives JSON that fits the schema (stream: %s)', async (stream) => {
    const response_format: OpenAI.ResponseFormatJSONSchema = {
      type: 'json_schema',
      json_schema: {
        name: 'person',
        strict: true,
        schema: {
          type: 'object',
          properties: { name: { type: 'string' }, age: { type: 'integer' } },
          required: ['name', 'age'],
          additionalProperties: false,
        },
      },
    };
    const request = { model, messages: ask('Invent a person'), response_format };
    const answer = stream
      ? await client.chat.completions.stream(request).finalChatCompletion()
      : await client.chat.completions.create(request);
    const person = JSON.parse(answer.choices[0]?.message.content ?? '');
    expect(typeof person.name).toBe('string');
    expect(Number.isInteger(person.age)).toBe(true);
    expect(answer.choices[0]?.finish_reason).toBe('stop');
  });

  test('takes an image as a data URL', async () => {
    const answer = await client.chat.completions.create({
      model,
      messages: [
        {
          role: 'user',
          content: [
            { type: 'text', text: 'What colour is it?' },
            { type: 'image_url', image_url: { url: PIXEL } },
          ],
        },
      ],
    });
    expect(answer.choices[0]?.message.content).toMatch(/\S/);
  });

  test('a client that leaves does not disturb the next one', async () => {
    const stream = await client.chat.completions.create({
      model,
      messages: ask('Write a very long story about a lighthouse'),
      stream: true,
    });
    for await (const _ of stream) {
      stream.controller.abort();
      break;
    }
    const next = await client.chat.completions.create({ model, messages: ask('Say hello'), max_tokens: 8 });
    expect(next.choices[0]?.message.content).toMatch(/\S/);
  });
});

describe('models', () => {
  test('lists the names that can be asked for', async () => {
    const models = await client.models.list();
    expect(models.data.map((model) => model.id)).toEqual(expect.arrayContaining([...ALL]));
    for (const model of models.data) expect(model.object).toBe('model');
  });

  test('lists only what the tier may use', async () => {
    const narrow = new OpenAI({ baseURL: url, apiKey: keys.narrow, maxRetries: 0 });
    expect((await narrow.models.list()).data.map((model) => model.id)).toEqual(['static']);
  });

  test('tells one by its name, a name with a slash too', async () => {
    expect((await client.models.retrieve('static')).id).toBe('static');
    expect((await client.models.retrieve('acme/slashed')).id).toBe('acme/slashed');
  });

  test('an unknown one is not found', async () => {
    await expect(client.models.retrieve('nobody')).rejects.toBeInstanceOf(OpenAI.NotFoundError);
  });
});

describe('every failure is the error class that the SDK has for it', () => {
  const hello = { model: 'static', messages: ask('hello') };

  test('a key that is none: AuthenticationError', async () => {
    const wrong = new OpenAI({ baseURL: url, apiKey: 'sk-not-a-key', maxRetries: 0 });
    const error = await failureOf(wrong.chat.completions.create(hello));
    expect(error).toBeInstanceOf(OpenAI.AuthenticationError);
    expect(error.code).toBe('invalid_api_key');
  });

  test('a key that was never given out: AuthenticationError', async () => {
    const wrong = new OpenAI({ baseURL: url, apiKey: '0123456789012345678901234567890123456789', maxRetries: 0 });
    const error = await failureOf(wrong.chat.completions.create(hello));
    expect(error).toBeInstanceOf(OpenAI.AuthenticationError);
    expect(error.code).toBe('invalid_api_key');
  });

  test('x-api-key works as well as Authorization', async () => {
    const response = await fetch(`${url}/models`, { headers: { 'x-api-key': keys.standard } });
    expect(response.status).toBe(200);
    await response.body?.cancel();
  });

  test('an unknown model: NotFoundError with code model_not_found', async () => {
    const error = await failureOf(client.chat.completions.create({ ...hello, model: 'gpt-99' }));
    expect(error).toBeInstanceOf(OpenAI.NotFoundError);
    expect(error.code).toBe('model_not_found');
    expect(error.message).toContain('gpt-99');
  });

  test('a model that the tier may not use: PermissionDeniedError', async () => {
    const narrow = new OpenAI({ baseURL: url, apiKey: keys.narrow, maxRetries: 0 });
    const error = await failureOf(narrow.chat.completions.create({ ...hello, model: 'bedrock' }));
    expect(error).toBeInstanceOf(OpenAI.PermissionDeniedError);
  });

  test('no messages: BadRequestError', async () => {
    const error = await failureOf(client.chat.completions.create({ model: 'static', messages: [] }));
    expect(error).toBeInstanceOf(OpenAI.BadRequestError);
    expect(error.type).toBe('invalid_request_error');
  });

  test.each([
    ['a temperature of 3', { temperature: 3 }, 'temperature'],
    ['a tool_choice that is none', { tool_choice: 'maybe' }, 'tool_choice'],
    ['content that is a number', { messages: [{ role: 'user', content: 7 }] }, 'messages[0].content'],
    ['a role that is none', { messages: [{ role: 'ユーザー', content: 'hi' }] }, 'messages[0].role'],
  ])('%s: BadRequestError that names the parameter', async (_, wrong, param) => {
    const error = await failureOf(client.chat.completions.create({ ...hello, ...wrong } as typeof hello));
    expect(error).toBeInstanceOf(OpenAI.BadRequestError);
    expect(error.param).toBe(param);
  });

  test('a parameter that no backend of the model can honour: BadRequestError that names it', async () => {
    const error = await failureOf(
      client.chat.completions.create({ model: 'bedrock', messages: ask('hello'), logprobs: true }),
    );
    expect(error).toBeInstanceOf(OpenAI.BadRequestError);
    expect(error.param).toBe('logprobs');
  });

  test('JSON that is none: 400 in the same shape', async () => {
    const response = await fetch(`${url}/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${keys.standard}`, 'content-type': 'application/json' },
      body: '{"model": "static", "messages": [',
    });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { type: 'invalid_request_error' } });
  });

  test('a quota that is used up: RateLimitError with code insufficient_quota', async () => {
    const frugal = new OpenAI({ baseURL: url, apiKey: keys.frugal, maxRetries: 0 });
    await frugal.chat.completions.create(hello);
    await frugal.chat.completions.create(hello);
    const error = await failureOf(frugal.chat.completions.create(hello));
    expect(error).toBeInstanceOf(OpenAI.RateLimitError);
    expect(error.code).toBe('insufficient_quota');
  });

  test('too many requests a second: RateLimitError with code rate_limit_exceeded', async () => {
    const slow = new OpenAI({ baseURL: url, apiKey: keys.slow, maxRetries: 0 });
    const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => slow.chat.completions.create(hello)));
    const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
    expect(refused.length).toBeGreaterThan(0);
    for (const { reason } of refused) {
      expect(reason).toBeInstanceOf(OpenAI.RateLimitError);
      expect(reason.code).toBe('rate_limit_exceeded');
    }
  });

  test.each([
    [400, OpenAI.BadRequestError],
    [429, OpenAI.RateLimitError],
    [500, OpenAI.InternalServerError],
    [503, OpenAI.InternalServerError],
  ])('a backend that answers %i, with none behind it', async (status, errorClass) => {
    const error = await failureOf(
      client.chat.completions.create({ model: 'faulty', messages: ask(`status ${status}`) }),
    );
    expect(error).toBeInstanceOf(errorClass);
    expect(error.message).not.toContain('127.0.0.1');
  });

  test('a backend that dies in mid-stream: what came, then an error, never a silent end', async () => {
    const stream = await client.chat.completions.create({ model: 'faulty', messages: ask('cut'), stream: true });
    let text = '';
    await expect(async () => {
      for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? '';
    }).rejects.toThrow();
    expect(text).toMatch(/\S/);
  });

  test('a request over the size limit: 413', async () => {
    const error = await failureOf(
      client.chat.completions.create({ model: 'static', messages: ask('x'.repeat(7 * 1024 * 1024)) }),
    );
    expect(error.status).toBe(413);
  });
});

describe('the next backend answers when the first one fails', () => {
  test.each([false, true])('stream: %s', async (stream) => {
    const response = await fetch(`${url}/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${keys.standard}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'resilient', messages: ask('hello'), stream }),
    });
    expect(response.status).toBe(200);
    expect(response.headers.get('x-llm-fallbacks')).toBe('1');
    expect(response.headers.get('x-llm-backend')).toContain('static');
    expect(await response.text()).toContain('We will be back');
  });
});

test('/health needs no key', async () => {
  const response = await fetch(new URL('/health', url));
  expect(response.status).toBe(200);
  expect(await response.json()).toMatchObject({ status: 'ok' });
});

async function failureOf(promise: Promise<unknown>): Promise<InstanceType<typeof OpenAI.APIError>> {
  const error = await promise.then(
    () => {
      throw new Error('it succeeded');
    },
    (reason: unknown) => reason,
  );
  if (!(error instanceof OpenAI.APIError)) throw error;
  return error;
}
