import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isLlamaCppInstalled } from '../../../local/model/gguf-install.ts';
import { createTextModel, type TextModel } from '../../../local/model/index.ts';
import { ask, generate, weather } from './generate.ts';
import { writeTinyGguf } from './tiny-gguf.ts';

test('a file that is not there is a clear error, before anything is installed', async () => {
  await expect(createTextModel({ gguf: '/no/such.gguf' })).rejects.toThrow('there is no file /no/such.gguf');
});

test('a file that is no GGUF is a clear error, before anything is installed', async () => {
  const file = fileURLToPath(import.meta.url);
  await expect(createTextModel({ gguf: file })).rejects.toThrow(`${file} is no GGUF file`);
});

// Installed by the first `npm start -- --gguf FILE`, or by `npm ci --no-workspaces` in local/gguf.
describe.skipIf(!isLlamaCppInstalled())('llama.cpp with a tiny random model', () => {
  const folder = mkdtempSync(join(tmpdir(), 'gguf-'));
  let model: TextModel;

  beforeAll(async () => {
    writeTinyGguf(join(folder, 'tiny.gguf'));
    model = await createTextModel({ gguf: join(folder, 'tiny.gguf') });
  });
  afterAll(async () => {
    await model.close();
    rmSync(folder, { recursive: true });
  });

  test('generates up to the limit, and counts the whole prompt every time', async () => {
    const first = await generate(model, ask('Hello there', { maxTokens: 8 }));
    const second = await generate(model, ask('Hello there', { maxTokens: 8 }));
    expect(first.end).toMatchObject({ stop: 'length', usage: { outputTokens: 8 } });
    expect(first.end.usage.inputTokens).toBeGreaterThan(10);
    expect(Math.abs(second.end.usage.inputTokens - first.end.usage.inputTokens)).toBeLessThan(3);
  });

  test('answers in JSON that satisfies the schema, by its grammar', async () => {
    const { text } = await generate(
      model,
      ask('Hi', { maxTokens: 300, jsonSchema: { type: 'object', properties: { ok: { type: 'boolean' } } } }),
    );
    expect(JSON.parse(text)).toEqual({ ok: expect.any(Boolean) });
  });

  test('calls a tool that it must call', async () => {
    const tools = [
      { ...weather, schema: { type: 'object', properties: { unit: { enum: ['c', 'f'] } }, required: ['unit'] } },
    ];
    const { calls, end } = await generate(
      model,
      ask('Hi', { maxTokens: 300, tools, toolChoice: { name: 'get_weather' } }),
    );
    expect(calls.map((call) => call.name)).toEqual(['get_weather']);
    expect(JSON.parse(calls[0]?.arguments ?? '')).toEqual({ unit: expect.stringMatching(/^[cf]$/) });
    expect(end.stop).toBe('tool-calls');
  });

  test('serves more requests than it has room for, one after the other', async () => {
    const answers = await Promise.all([1, 2, 3, 4, 5].map((i) => generate(model, ask(`Hi ${i}`, { maxTokens: 5 }))));
    expect(answers.map((answer) => answer.end.usage.outputTokens)).toEqual([5, 5, 5, 5, 5]);
  });

  test('frees its place when the reader leaves', async () => {
    for (let i = 0; i < 4; i += 1) {
      for await (const _ of model.generate(ask('Hi', { maxTokens: 400 }), new AbortController().signal)) break;
    }
    expect((await generate(model, ask('Hi', { maxTokens: 2 }))).end.usage.outputTokens).toBe(2);
  });
});
