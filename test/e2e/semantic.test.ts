import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import OpenAI from 'openai';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTextModel } from '../../local/model/index.ts';
import { type LocalRun, startLocal } from '../../local/run.ts';
import { eventually } from '../lambda/cache/eventually.ts';
import { answerText, Upstream } from '../lambda/support/upstream.ts';

let folder: string;
let up: Upstream;
let run: LocalRun;
const lines: Array<Record<string, unknown>> = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'e2e-semantic-'));
  up = await Upstream.start(answerText('one two three'));
  await promisify(execFile)(process.execPath, [fileURLToPath(new URL('./semantic-app.ts', import.meta.url))], {
    env: { ...process.env, CDK_OUTDIR: folder, E2E_UPSTREAM_URL: up.url },
  });
  const log = (_: string, line: string) => {
    if (line.startsWith('{')) lines.push(JSON.parse(line) as Record<string, unknown>);
  };
  run = await startLocal({ assembly: folder, model: await createTextModel(), maxConcurrency: 4, log });
  // Whatever is loaded with the first embedding is: a busy machine isn't a slow one.
  await ask('alice', 'own', 'Is anybody there at all?');
}, 180_000);
afterAll(async () => {
  await run?.close();
  await up?.stop();
  await rm(folder, { recursive: true, force: true });
});

async function ask(key: 'alice' | 'bob', model: string, content: string, stream = false) {
  const client = new OpenAI({ baseURL: run.url, apiKey: run.keys[key] ?? '', maxRetries: 0 });
  const before = lines.filter(({ message }) => message === 'chat completion').length;
  const request = { model, messages: [{ role: 'user' as const, content }] };
  let text = '';
  let response: Response;
  if (stream) {
    const streamed = await client.chat.completions.create({ ...request, stream }).withResponse();
    for await (const { choices } of streamed.data) text += choices[0]?.delta.content ?? '';
    response = streamed.response;
  } else {
    const whole = await client.chat.completions.create(request).withResponse();
    text = whole.data.choices[0]?.message.content ?? '';
    response = whole.response;
  }
  // Its line is written once its answer is kept.
  await eventually(
    () => expect(lines.filter(({ message }) => message === 'chat completion').length).toBeGreaterThan(before),
    10_000,
  );
  return { text, cache: response.headers.get('x-llm-cache'), score: response.headers.get('x-llm-cache-score') };
}

const FIRST = 'How do I reset my password?';
const SIMILAR = 'Please tell me how I can reset my password';

test('the local run stands in for nodes that search, and names what is different', () => {
  expect(run.caches).toEqual([expect.stringMatching(/^redis:\/\/127\.0\.0\.1:\d+$/)]);
  expect(run.gaps.map(({ what }) => what)).not.toContain('AWS::ElastiCache::ReplicationGroup');
});

test.each([false, true])(
  'a similar request gets the answer by the OpenAI SDK (streamed: %s)',
  async (stream) => {
    const [first, similar] = [FIRST, SIMILAR].map((text) => (stream ? text.replace('password', 'PIN') : text)) as [
      string,
      string,
    ];
    expect(await ask('alice', 'own', first, stream)).toMatchObject({ text: 'one two three', cache: 'miss' });
    const asked = up.requests.length;
    const answer = await ask('alice', 'own', similar, stream);
    expect(answer).toMatchObject({ text: 'one two three', cache: 'semantic' });
    expect(Number(answer.score)).toBeGreaterThanOrEqual(0.8);
    expect(await ask('alice', 'own', first, stream)).toMatchObject({ cache: 'hit', score: null });
    expect(await ask('bob', 'own', similar, stream)).toMatchObject({ cache: 'miss' });
    expect(up.requests.length).toBe(asked + 1);
    const line = lines.find(({ cache }) => cache === 'semantic');
    expect(line).toMatchObject({ SemanticHits: 1, consumer: 'alice', embedding_tokens: expect.any(Number) });
  },
  60_000,
);

test('all consumers get it where the policy says so; nobody where it says nothing', async () => {
  await ask('alice', 'shared', FIRST);
  expect((await ask('bob', 'shared', SIMILAR)).cache).toBe('semantic');
  await ask('alice', 'exact', FIRST);
  expect((await ask('alice', 'exact', SIMILAR)).cache).toBe('miss');
}, 60_000);
