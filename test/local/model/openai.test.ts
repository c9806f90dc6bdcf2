import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createTextModel, type RunningServer, startOpenAiServer, type TextModel } from '../../../local/model/index.ts';
import { ask, generate, weather } from './generate.ts';

let server: RunningServer;
let client: OpenAI;
let upstream: TextModel;

beforeAll(async () => {
  const model = await createTextModel({ tokensPerSecond: 2_000, timeToFirstTokenMs: 1 });
  server = await startOpenAiServer({ model, apiKey: 'secret', modelName: 'tiny' });
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'secret', maxRetries: 0 });
  upstream = await createTextModel({ upstream: server.url, upstreamApiKey: 'secret' });
});
afterAll(() => server.close());

const tool = { type: 'function', function: { name: 'get_weather', parameters: weather.schema } } as const;
const messages = [{ role: 'user', content: "What's the weather in Paris today?" }] as const;

describe('the OpenAI SDK against the server', () => {
  test('lists the model', async () => {
    expect((await client.models.list()).data.map((model) => model.id)).toEqual(['tiny']);
  });

  test('streams, with usage when asked for', async () => {
    const request = { model: 'tiny', messages: [...messages], stream_options: { include_usage: true } };
    const chunks = [];
    for await (const chunk of await client.chat.completions.create({ ...request, stream: true })) chunks.push(chunk);
    expect(chunks[0]?.choices[0]?.delta.role).toBe('assistant');
    expect(chunks.at(-2)?.choices[0]?.finish_reason).toBe('stop');
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: chunks.length - 3 } });
    const whole = await client.chat.completions.create({ model: 'tiny', messages: [...messages] });
    expect(whole.choices[0]?.message.content).toBe(
      chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join(''),
    );
  });

  test('calls tools and answers in JSON', async () => {
    const called = await client.chat.completions.create({ model: 'tiny', messages: [...messages], tools: [tool] });
    expect(called.choices[0]).toMatchObject({
      finish_reason: 'tool_calls',
      message: { content: null, tool_calls: [{ function: { name: 'get_weather' } }] },
    });
    const json = await client.chat.completions.create({
      model: 'tiny',
      messages: [...messages],
      response_format: { type: 'json_schema', json_schema: { name: 'x', schema: weather.schema } },
    });
    expect(JSON.parse(json.choices[0]?.message.content ?? '')).toEqual({ city: 'Paris', unit: 'celsius' });
  });

  test('gets its own error classes', async () => {
    const stranger = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'wrong', maxRetries: 0 });
    await expect(stranger.models.list()).rejects.toBeInstanceOf(OpenAI.AuthenticationError);
    await expect(client.chat.completions.create({ model: 'tiny', messages: [] })).rejects.toBeInstanceOf(
      OpenAI.BadRequestError,
    );
    await expect(client.moderations.create({ input: 'x' })).rejects.toBeInstanceOf(OpenAI.NotFoundError);
  });
});

describe('an upstream model', () => {
  test('gives what the server behind it gives, with its usage', async () => {
    const direct = await createTextModel({ tokensPerSecond: Number.POSITIVE_INFINITY, timeToFirstTokenMs: 0 });
    const expected = await generate(direct, ask('Tell me about tides'));
    const { text, end } = await generate(upstream, ask('Tell me about tides'));
    expect(text).toBe(expected.text);
    expect(end).toEqual(expected.end);
  });

  test('calls tools, and hands on their results', async () => {
    const first = await generate(upstream, ask("What's the weather in Paris today?", { tools: [weather] }));
    expect(first.calls).toEqual([{ name: 'get_weather', arguments: '{"city":"Paris","unit":"celsius"}' }]);
    expect(first.end.stop).toBe('tool-calls');
    const second = await generate(
      upstream,
      ask('', {
        tools: [weather],
        messages: [
          { role: 'user', text: 'Weather?' },
          { role: 'assistant', text: '', toolCalls: [{ id: 'a', name: 'get_weather', arguments: '{}' }] },
          { role: 'tool', text: 'sunny', toolCallId: 'a' },
        ],
      }),
    );
    expect(second.text).toContain('The tool returned: sunny');
  });

  test('is a clear error when it is not there', async () => {
    const gone = await createTextModel({ upstream: 'http://127.0.0.1:9' });
    await expect(generate(gone, ask('Hi'))).rejects.toMatchObject({ status: 503, message: /is the server running/ });
    await expect(createTextModel({ upstream: 'not a url' })).rejects.toThrow(/is not a URL/);
  });

  test("passes on the upstream's own refusal", async () => {
    const stranger = await createTextModel({ upstream: `${server.url}/v1/`, upstreamModel: 'tiny' });
    await expect(generate(stranger, ask('Hi'))).rejects.toMatchObject({ status: 401 });
  });
});
