import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateText, jsonSchema, Output, streamText, tool } from 'ai';
import { describe, expect, inject, test } from 'vitest';

const { url, keys } = inject('run');
const provider = createOpenAICompatible({
  name: 'serving',
  baseURL: url,
  apiKey: keys.standard,
  supportsStructuredOutputs: true,
  includeUsage: true,
});

describe.each(['bedrock', 'compatible', 'static'])("Vercel's AI SDK with a %s model", (model) => {
  test('generates text', async () => {
    const { text, finishReason } = await generateText({ model: provider(model), prompt: 'Say hello', maxRetries: 0 });
    expect(text).toMatch(/\S/);
    expect(finishReason).toBe('stop');
  });

  test('streams text', async () => {
    const result = streamText({ model: provider(model), prompt: 'Say hello', maxRetries: 0 });
    let text = '';
    for await (const delta of result.textStream) text += delta;
    expect(text).toMatch(/\S/);
    expect(await result.finishReason).toBe('stop');
  });
});

describe.each(['bedrock', 'compatible'])("Vercel's AI SDK: what a %s model can be asked for", (model) => {
  test('an object that fits a schema', async () => {
    const { output } = await generateText({
      model: provider(model),
      prompt: 'Invent a person',
      maxRetries: 0,
      output: Output.object({
        schema: jsonSchema<{ name: string; age: number }>({
          type: 'object',
          properties: { name: { type: 'string' }, age: { type: 'integer' } },
          required: ['name', 'age'],
          additionalProperties: false,
        }),
      }),
    });
    expect(typeof output.name).toBe('string');
    expect(Number.isInteger(output.age)).toBe(true);
  });

  test('a tool call', async () => {
    const cities: string[] = [];
    await generateText({
      model: provider(model),
      prompt: 'What is the weather in Paris?',
      maxRetries: 0,
      toolChoice: 'required',
      tools: {
        weather: tool({
          description: 'The weather in a city',
          inputSchema: jsonSchema<{ city: string }>({
            type: 'object',
            properties: { city: { type: 'string' } },
            required: ['city'],
            additionalProperties: false,
          }),
          execute: ({ city }) => {
            cities.push(city);
            return '21 degrees';
          },
        }),
      },
    });
    expect(cities).toHaveLength(1);
  });
});
