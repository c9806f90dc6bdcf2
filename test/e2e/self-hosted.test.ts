import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { Situation } from '../../local/engine/situation.ts';
import { isLlamaCppInstalled } from '../../local/model/gguf-install.ts';
import { createTextModel, startOpenAiServer, type TextModel } from '../../local/model/index.ts';
import { type LocalRun, startLocal } from '../../local/run.ts';
import { writeTinyGguf } from '../local/model/tiny-gguf.ts';

const folder = mkdtempSync(join(tmpdir(), 'e2e-self-hosted-'));
const ends: Array<() => Promise<void>> = [];
afterAll(async () => {
  for (const end of ends.splice(0).reverse()) await end();
  rmSync(folder, { recursive: true });
});

async function synthesize(app: string, context: Record<string, unknown> = {}): Promise<string> {
  const outdir = join(folder, app.replaceAll(/\W/g, '-'));
  await promisify(execFile)(process.execPath, [app], {
    env: { PATH: process.env.PATH, CDK_OUTDIR: outdir, CDK_CONTEXT_JSON: JSON.stringify(context) },
  });
  return outdir;
}

async function start(assembly: string, model: Situation['model']): Promise<LocalRun> {
  const run = await startLocal({
    assembly,
    stateFolder: join(folder, 'state'),
    model: await createTextModel({ tokensPerSecond: 2_000, timeToFirstTokenMs: 5 }),
    speed: 200,
    fleets: {
      instanceMs: 5_000,
      loadMs: 5_000,
      model,
      pace: { baseMs: 5, perSequenceMs: 0.2, prefillTokensPerSecond: 5e4 },
    },
  });
  ends.push(() => run.close());
  await vi.waitFor(
    () => expect(run.fleets.map(({ service }) => service.healthyTasks.length).every((count) => count > 0)).toBe(true),
    { timeout: 30_000, interval: 50 },
  );
  return run;
}

const client = ({ url, apiKey }: LocalRun): OpenAI => new OpenAI({ baseURL: url, apiKey, maxRetries: 0 });
const messages = [{ role: 'user' as const, content: 'Hello' }];

async function streamed(openai: OpenAI, model: string): Promise<string> {
  let text = '';
  for await (const chunk of await openai.chat.completions.create({ model, messages, stream: true, max_tokens: 20 })) {
    text += chunk.choices[0]?.delta.content ?? '';
  }
  return text;
}

describe('the preset self-hosted', () => {
  let assembly = '';
  beforeAll(async () => {
    assembly = await synthesize('bin/app.ts', { preset: 'self-hosted', 'aws:cdk:enable-path-metadata': true });
  });

  test('answers through the gateway, whole and streamed, from its fleet', async () => {
    const run = await start(assembly, { answerTokens: 12 });
    const { data, response } = await client(run).chat.completions.create({ model: 'chat', messages }).withResponse();
    expect(response.headers.get('x-llm-backend')).toBe('fleet-main');
    expect(data.usage?.completion_tokens).toBe(12);
    expect(await streamed(client(run), 'chat')).not.toBe('');
  });

  test('has what --upstream names behind its engines', async () => {
    const upstream = await startOpenAiServer({ model: saying('the upstream says so') });
    ends.push(() => upstream.close());
    const run = await start(assembly, { upstream: `${upstream.url}/v1` });
    const whole = await client(run).chat.completions.create({ model: 'chat', messages });
    expect(whole.choices[0]?.message.content).toBe('the upstream says so');
    expect(await streamed(client(run), 'chat')).toBe('the upstream says so');
  });

  test.skipIf(!isLlamaCppInstalled())('has what --gguf names behind its engines', async () => {
    writeTinyGguf(join(folder, 'tiny.gguf'));
    const run = await start(assembly, { gguf: join(folder, 'tiny.gguf') });
    const { usage } = await client(run).chat.completions.create({ model: 'chat', messages, max_tokens: 5 });
    expect(usage?.completion_tokens).toBe(5);
  });
});

describe('every other engine', () => {
  let run: LocalRun;
  beforeAll(async () => {
    run = await start(await synthesize('test/e2e/engines-app.ts'), { answerTokens: 12 });
  });

  test.each(['sglang', 'tensorrtllm', 'tgi', 'mine'])(
    '%s answers through the gateway, whole and streamed',
    async (name) => {
      const { data, response } = await client(run).chat.completions.create({ model: name, messages }).withResponse();
      expect(response.headers.get('x-llm-backend')).toBe(`fleet-${name}`);
      expect(data.usage?.completion_tokens).toBe(12);
      expect(await streamed(client(run), name)).not.toBe('');
    },
  );
});

function saying(text: string): TextModel {
  return {
    description: 'says the same',
    async *generate() {
      yield { type: 'text', text };
      yield { type: 'end', stop: 'stop', usage: { inputTokens: 1, outputTokens: 1 } };
    },
    close: async () => {},
  };
}
