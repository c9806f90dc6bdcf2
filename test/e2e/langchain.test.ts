import { HumanMessage } from '@langchain/core/messages';
import { ChatOpenAI } from '@langchain/openai';
import { describe, expect, inject, test } from 'vitest';

const { url, keys } = inject('run');

describe.each(['bedrock', 'compatible', 'static'])('LangChain with a %s model', (model) => {
  const chat = new ChatOpenAI({ model, apiKey: keys.standard, configuration: { baseURL: url }, maxRetries: 0 });

  test('invokes', async () => {
    const answer = await chat.invoke([new HumanMessage('Say hello')]);
    expect(answer.text).toMatch(/\S/);
  });

  test('streams', async () => {
    let text = '';
    for await (const chunk of await chat.stream('Say hello')) text += chunk.text;
    expect(text).toMatch(/\S/);
  });
});

test.each(['bedrock', 'compatible'])('LangChain gets structured output from a %s model', async (model) => {
  const chat = new ChatOpenAI({ model, apiKey: keys.standard, configuration: { baseURL: url }, maxRetries: 0 });
  const person = await chat
    .withStructuredOutput<{ name: string; age: number }>({
      title: 'person',
      type: 'object',
      properties: { name: { type: 'string' }, age: { type: 'integer' } },
      required: ['name', 'age'],
      additionalProperties: false,
    })
    .invoke('Invent a person');
  expect(typeof person.name).toBe('string');
  expect(Number.isInteger(person.age)).toBe(true);
});
