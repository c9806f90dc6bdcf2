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
const lines: string[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'e2e-cache-'));
  up = await Upstream.start(answerText('one two three'));
  await promisify(execFile)(process.execPath, [fileURLToPath(new URL('./cache-app.ts', import.meta.url))], {
    env: { ...process.env, CDK_OUTDIR: folder, E2E_UPSTREAM_URL: up.url },
  });
  const log = (_: string, line: string) => lines.push(line);
  run = await startLocal({ assembly: folder, model: await createTextModel(), maxConcurrency: 8, log });
}, 120_000);
afterAll(async () => {
  await run?.close();
  await up?.stop();
  await rm(folder, { recursive: true, force: true });
});

interface Answer {
  readonly text: string;
  readonly cache: string | null;
  readonly age: string | null;
}

async function ask(
  key: 'alice' | 'bob' | 'carol',
  model: string,
  content: string,
  { stream = false, cacheControl }: { stream?: boolean; cacheControl?: string } = {},
): Promise<Answer> {
  const client = new OpenAI({ baseURL: run.url, apiKey: run.keys[key] ?? '', maxRetries: 0 });
  const headers = cacheControl === undefined ? {} : { 'cache-control': cacheControl };
  const messages = [{ role: 'user' as const, content }];
  let text = '';
  let response: Response;
  if (stream) {
    const streamed = await client.chat.completions.create({ model, messages, stream }, { headers }).withResponse();
    for await (const { choices } of streamed.data) text += choices[0]?.delta.content ?? '';
    response = streamed.response;
  } else {
    const whole = await client.chat.completions.create({ model, messages }, { headers }).withResponse();
    text = whole.data.choices[0]?.message.content ?? '';
    response = whole.response;
  }
  return { text, cache: response.headers.get('x-llm-cache'), age: response.headers.get('age') };
}

/** A request's line is written once its answer is kept. */
async function kept(): Promise<void> {
  const asked = up.requests.length;
  await eventually(() => {
    const anew = lines.filter(
      (line) => line.includes('"message":"chat completion"') && /"cache":"(miss|bypass)"/.test(line),
    );
    expect(anew.length).toBeGreaterThanOrEqual(asked);
  }, 10_000);
}

test('the local run stands in for the cache', () => {
  expect(run.caches).toEqual([expect.stringMatching(/^redis:\/\/127\.0\.0\.1:\d+$/)]);
  expect(run.gaps.map(({ what }) => what)).not.toContain('AWS::ElastiCache::ServerlessCache');
});

test.each([false, true])('miss, hit and bypass by the OpenAI SDK (streamed: %s)', async (stream) => {
  const content = `hello ${stream}`;
  expect(await ask('alice', 'consumer', content, { stream })).toMatchObject({ text: 'one two three', cache: 'miss' });
  await kept();
  expect(await ask('alice', 'consumer', content, { stream })).toMatchObject({
    text: 'one two three',
    cache: 'hit',
    age: expect.stringMatching(/^\d+$/),
  });
  expect((await ask('alice', 'consumer', content, { stream: !stream })).cache).toBe('hit');
  expect((await ask('alice', 'consumer', content, { cacheControl: 'no-store' })).cache).toBe('bypass');
  expect((await ask('alice', 'consumer', content, { cacheControl: 'no-cache' })).cache).toBe('miss');
  expect((await ask('alice', 'off', content)).cache).toBe('bypass');
});

test('an answer expires', async () => {
  await ask('alice', 'brief', 'soon forgotten');
  await kept();
  await eventually(async () => expect((await ask('alice', 'brief', 'soon forgotten')).cache).toBe('miss'), 10_000);
});

test.each([
  ['consumer', 'miss', 'miss'],
  ['tier', 'hit', 'miss'],
  ['global', 'hit', 'hit'],
] as const)('model %s: another of the tier gets a %s, one of another tier a %s', async (model, bob, carol) => {
  await ask('alice', model, 'scoped');
  await kept();
  expect((await ask('bob', model, 'scoped')).cache).toBe(bob);
  expect((await ask('carol', model, 'scoped')).cache).toBe(carol);
});

test('identical requests at once, one process of the function each, cost one dispatch', async () => {
  const before = up.requests.length;
  up.answer = answerText('one two three', { pauseMs: 700 });
  const answers = await Promise.all(
    Array.from({ length: 6 }, (_, index) => ask('alice', 'consumer', 'at once', { stream: index % 2 === 0 })),
  );
  expect(answers.map(({ text }) => text)).toEqual(Array.from({ length: 6 }, () => 'one two three'));
  expect(up.requests.length - before).toBe(1);
}, 30_000);
