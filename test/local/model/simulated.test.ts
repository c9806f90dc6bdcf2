import { Ajv } from 'ajv';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createTextModel } from '../../../local/model/index.ts';
import { schemaInstance } from '../../../local/model/schema-instance.ts';
import { countTokens, tokenize } from '../../../local/model/tokens.ts';
import { ask, generate, weather } from './generate.ts';

const fast = () => createTextModel({ tokensPerSecond: Number.POSITIVE_INFINITY, timeToFirstTokenMs: 0 });

describe('a simulated answer', () => {
  test('says that it is simulated and is about the prompt', async () => {
    const model = await fast();
    const { text } = await generate(model, ask('How do lighthouses work?'));
    expect(text).toMatch(/^Simulated answer: no model is running here\./);
    expect(text).toContain('How do lighthouses work?');
    expect((await generate(model, ask('What are tides?'))).text).not.toBe(text);
    expect(model.description).toContain('simulated');
  });

  test('takes a prompt of megabytes without a space', async () => {
    const { text } = await generate(await fast(), ask('x'.repeat(6_000_000)));
    expect(text).toContain('imulated');
  });

  test('is the same for the same prompt and seed, another for another seed', async () => {
    const model = await fast();
    const text = async (seed: number) => (await generate(model, ask('How do tall lighthouses work?', { seed }))).text;
    expect(await text(1)).toBe(await text(1));
    expect(await text(1)).not.toBe(await text(2));
  });

  test('counts the tokens that it streamed', async () => {
    const { events, text, end } = await generate(await fast(), ask('Hi'));
    expect(end.usage.outputTokens).toBe(events.length - 1);
    expect(end.usage.outputTokens).toBe(countTokens(text));
    expect(end.usage.inputTokens).toBeGreaterThan(0);
    expect(end.stop).toBe('stop');
  });

  test('ends at the token limit', async () => {
    const { events, end } = await generate(await fast(), ask('Hi', { maxTokens: 4 }));
    expect(events).toHaveLength(5);
    expect(end).toMatchObject({ stop: 'length', usage: { outputTokens: 4 } });
  });

  test('ends before a stop sequence, even one across tokens', async () => {
    const { text, end } = await generate(await fast(), ask('Hi', { stop: ['never', 'no mod'] }));
    expect(text).toBe('Simulated answer: ');
    expect(end.stop).toBe('stop-sequence');
  });

  test('has a fixed length when measurements want one', async () => {
    const model = await createTextModel({
      tokensPerSecond: Number.POSITIVE_INFINITY,
      timeToFirstTokenMs: 0,
      answerTokens: 64,
    });
    expect((await generate(model, ask('Hi'))).end.usage.outputTokens).toBe(64);
  });

  test('thinks aloud first when asked', async () => {
    const { events, reasoning } = await generate(await fast(), ask('Hi', { reasoning: true }));
    expect(reasoning).toContain('Simulated reasoning');
    expect(events[0]?.type).toBe('reasoning');
  });

  test('mentions images and the results of tools', async () => {
    const images = [{ mediaType: 'image/png', bytes: new Uint8Array(70) }];
    const { text } = await generate(
      await fast(),
      ask('', { messages: [{ role: 'user', text: 'What is this?', images }] }),
    );
    expect(text).toContain('image/png, 70 bytes');
    const messages = [
      { role: 'user', text: 'Weather in Paris?' },
      { role: 'assistant', text: '', toolCalls: [{ id: 'a', name: 'get_weather', arguments: '{}' }] },
      { role: 'tool', text: 'sunny', toolCallId: 'a' },
    ] as const;
    const answer = await generate(await fast(), ask('', { messages, tools: [weather] }));
    expect(answer.text).toContain('The tool returned: sunny');
    expect(answer.calls).toEqual([]);
  });
});

describe('the pace', () => {
  test('is the first token after its time, then so many a second', async () => {
    const model = await createTextModel({ tokensPerSecond: 200, timeToFirstTokenMs: 100, answerTokens: 41 });
    const start = performance.now();
    const times: number[] = [];
    for await (const _ of model.generate(ask('Hi'), new AbortController().signal))
      times.push(performance.now() - start);
    // Jitter is 15 %; a busy machine may be later, never earlier.
    expect(times[0]).toBeGreaterThan(80);
    expect(times.at(-1)).toBeGreaterThan(80 + 40 * 5 * 0.85);
    expect(times.at(-1)).toBeLessThan(2_000);
  });

  test('ends with the signal', async () => {
    const model = await createTextModel({ tokensPerSecond: 1, timeToFirstTokenMs: 0 });
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 20);
    await expect(generate(model, ask('Hi'), abort.signal)).rejects.toThrow(/abort/i);
  });
});

test('at full speed, others get their turn', async () => {
  const model = await createTextModel({
    tokensPerSecond: Number.POSITIVE_INFINITY,
    timeToFirstTokenMs: 0,
    answerTokens: 2_000_000,
  });
  const abort = new AbortController();
  let tokens = 0;
  await expect(async () => {
    for await (const _ of model.generate(ask('Hi', { stop: [] }), abort.signal)) {
      tokens += 1;
      // Not before the first one: making so long an answer takes its time.
      if (tokens === 1) setTimeout(() => abort.abort(), 200);
    }
  }).rejects.toThrow(/abort/i);
  expect(tokens).toBeGreaterThan(100);
});

describe('a tool is called', () => {
  test('when the prompt asks for what it does, with what the prompt says', async () => {
    const { calls, end } = await generate(
      await fast(),
      ask("What's the weather in Paris today?", { tools: [weather] }),
    );
    expect(calls).toEqual([{ name: 'get_weather', arguments: '{"city":"Paris","unit":"celsius"}' }]);
    expect(end.stop).toBe('tool-calls');
  });

  test('not when the prompt is about something else, or no tool may be called', async () => {
    expect((await generate(await fast(), ask('Tell me a joke', { tools: [weather] }))).calls).toEqual([]);
    const none = ask('The weather in Paris?', { tools: [weather], toolChoice: 'none' });
    expect((await generate(await fast(), none)).calls).toEqual([]);
  });

  test.each(['required', { name: 'get_weather' }] as const)('when it must be: %j', async (toolChoice) => {
    const { calls } = await generate(await fast(), ask('Tell me a joke', { tools: [weather], toolChoice }));
    expect(calls.map((call) => call.name)).toEqual(['get_weather']);
  });
});

describe('JSON', () => {
  const ajv = new Ajv({ strict: false });
  const schemas = [
    { type: 'object' },
    { type: 'object', properties: { a: { type: 'integer', minimum: 3, maximum: 3 } }, required: ['a'] },
    { type: 'object', properties: { a: { type: 'number', exclusiveMinimum: 1, maximum: 2 } }, required: ['a'] },
    { type: 'object', properties: { a: { type: 'integer', maximum: -5 } }, required: ['a'] },
    { type: 'object', properties: { a: { type: 'integer', multipleOf: 7 } }, required: ['a'] },
    { type: 'object', properties: { a: { type: 'string', minLength: 30, maxLength: 31 } }, required: ['a'] },
    { type: 'object', properties: { a: { enum: ['x', 'y'] }, b: { const: 4 } }, required: ['a', 'b'] },
    { type: 'array', items: { type: 'boolean' }, minItems: 2, maxItems: 3 },
    { anyOf: [{ type: 'null' }, { type: 'object', properties: { k: { type: 'string' } }, required: ['k'] }] },
    { type: ['string', 'null'] },
    { type: 'object', required: ['free'] },
    {
      $defs: {
        node: {
          type: 'object',
          properties: { next: { $ref: '#/$defs/node' }, id: { type: 'integer' } },
          required: ['id'],
        },
      },
      $ref: '#/$defs/node',
    },
    {
      allOf: [
        { properties: { a: { type: 'boolean' } }, required: ['a'] },
        { properties: { b: { type: 'null' } }, required: ['b'] },
      ],
      type: 'object',
    },
  ];

  test.each(schemas)('satisfies %j', async (schema) => {
    expect(ajv.validate(schema, schemaInstance(schema, ['Paris'])), ajv.errorsText()).toBe(true);
    const { text } = await generate(await fast(), ask('Hello', { jsonSchema: schema }));
    expect(ajv.validate(schema, JSON.parse(text))).toBe(true);
  });
});

test('tokens put together are the text, whatever it is', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => tokenize(text).join('') === text));
});

test('an upstream and a file both are one model too many', async () => {
  await expect(createTextModel({ upstream: 'http://127.0.0.1:1', gguf: 'x' })).rejects.toThrow(/choose one model/);
});
