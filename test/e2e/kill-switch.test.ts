import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import OpenAI, { PermissionDeniedError } from 'openai';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { main } from '../../bin/llm/main.ts';
import { createTextModel, startOpenAiServer } from '../../local/model/index.ts';
import { type LocalRun, startLocal } from '../../local/run.ts';

const MINUTES = 60_000;
/** Alarms are evaluated each second. */
const SPEED = 60;
const patience = { timeout: 2 * MINUTES, interval: 200 };
/** After this every process knows of a pause, or of its end. */
const KNOWN_MS = 15_500;

const folder = mkdtempSync(join(tmpdir(), 'kill-switch-'));
let run: LocalRun;
let upstream: Awaited<ReturnType<typeof startOpenAiServer>>;
const lines: Array<Record<string, unknown>> = [];

beforeAll(async () => {
  const model = await createTextModel({ tokensPerSecond: 2000, timeToFirstTokenMs: 5 });
  upstream = await startOpenAiServer({ model });
  await promisify(execFile)(process.execPath, [fileURLToPath(new URL('./kill-switch-app.ts', import.meta.url))], {
    env: { ...process.env, CDK_OUTDIR: folder, E2E_UPSTREAM_URL: `${upstream.url}/v1` },
  });
  run = await startLocal({
    ...{ assembly: folder, model, speed: SPEED, stateFolder: join(folder, 'state') },
    // Some processes, each with many requests at once.
    compute: { kind: 'managed-instances', concurrency: 16 },
    log: (_, line) => {
      if (line.startsWith('{')) lines.push(JSON.parse(line) as Record<string, unknown>);
    },
  });
  Object.assign(process.env, { AWS_ENDPOINT_URL_DYNAMODB: run.dynamoDbUrl, AWS_REGION: 'us-east-1' });
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'local', AWS_SECRET_ACCESS_KEY: 'local' });
}, 3 * MINUTES);

afterAll(async () => {
  await run?.close();
  await upstream?.close();
  rmSync(folder, { recursive: true, force: true });
});

async function post(
  consumer: string,
  path: string,
  body: object,
): Promise<{ status: number; code: string | undefined }> {
  const response = await fetch(`${run.url}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${run.keys[consumer]}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const answer = (await response.json()) as { error?: { code?: string } };
  return { status: response.status, code: answer.error?.code };
}

const question = (model: string) => ({ model, messages: [{ role: 'user', content: 'What is dear?' }] });
const chat = (consumer: string, model = 'chat') => post(consumer, '/chat/completions', question(model));

const everybodyKnows = () => new Promise((resolve) => setTimeout(resolve, KNOWN_MS));

/** Asks and asks until somebody is refused, and then once more when all processes know. @returns the last answers */
async function floodUntilRefused(consumer: string) {
  const round = () => Promise.all(Array.from({ length: 8 }, () => chat(consumer)));
  await vi.waitFor(async () => expect((await round()).some(({ status }) => status === 403)).toBe(true), patience);
  await everybodyKnows();
  return round();
}

async function llm(...args: string[]): Promise<string> {
  const out: string[] = [];
  const io = { out: (text: string) => void out.push(text), err: (text: string) => void out.push(text) };
  const status = await main([...args, '--table', run.ledgerTable ?? ''], io);
  expect(`${status} ${status === 0 ? '' : out.join('')}`).toBe('0 ');
  return out.join('');
}

const paused = async () => JSON.parse(await llm('paused', '--format', 'json')) as Array<Record<string, string>>;
const answered = () => lines.filter((line) => line.message === 'chat completion' && line.status === 200).length;
const messageAbout = (subject: string) => run.observability.messages.find((message) => message.subject === subject);

test(
  'a flood that an alarm goes off for pauses the model, and resume revives it',
  async () => {
    expect(await floodUntilRefused('alice')).toEqual(Array(8).fill({ status: 403, code: 'model_paused' }));
    const before = answered();
    const [pause, ...others] = await paused();
    expect(others).toEqual([]);
    expect(pause).toMatchObject({
      kind: 'model',
      name: 'chat',
      by: 'alarm',
      reason: 'the standard tier has had enough',
    });
    expect(pause?.detail).toMatch(/TierSpend/);

    // Whoever asks for it, in whatever way, and nothing else.
    expect(await chat('bob')).toEqual({ status: 403, code: 'model_paused' });
    expect(await post('alice', '/jobs', question('chat'))).toEqual({ status: 403, code: 'model_paused' });
    expect(await chat('alice', 'free')).toEqual({ status: 200, code: undefined });
    const client = new OpenAI({ baseURL: run.url, apiKey: run.keys.alice ?? '' });
    // A line of the log follows the answer.
    await expect.poll(answered).toBe(before + 1);
    const requests = () => lines.filter((line) => line.message === 'chat completion').length;
    const known = requests();
    await expect(
      client.chat.completions.create({ model: 'chat', messages: [{ role: 'user', content: 'Hello?' }] }),
    ).rejects.toBeInstanceOf(PermissionDeniedError);
    // The SDK, which repeats twice by default, didn't.
    await expect.poll(requests).toBe(known + 1);
    expect(answered()).toBe(before + 1);

    const told = await vi.waitFor(() => {
      const message = messageAbout('Paused: model chat of LlmServing/KillSwitchTest-Serving');
      expect(message).toBeDefined();
      return message;
    }, patience);
    expect(told?.body).toContain('How much: alarm ');
    expect(told?.body).toContain(`llm-serving resume model chat --table ${run.ledgerTable}`);

    await llm('resume', 'model', 'chat');
    // It is in alarm still, and that alone pauses nothing.
    await everybodyKnows();
    expect(await chat('alice')).toEqual({ status: 200, code: undefined });
    expect(await paused()).toEqual([]);
  },
  6 * MINUTES,
);

test(
  'a consumer that crosses its hard limit is paused, the others are not, and resume revives it',
  async () => {
    expect(await floodUntilRefused('bob')).toEqual(Array(8).fill({ status: 403, code: 'consumer_paused' }));
    expect(await paused()).toMatchObject([{ kind: 'consumer', name: 'bob', by: 'limit' }]);
    expect(await chat('alice', 'free')).toEqual({ status: 200, code: undefined });
    expect(await chat('bob', 'free')).toEqual({ status: 403, code: 'consumer_paused' });
    await expect
      .poll(() => lines.find(({ message }) => message === 'consumer paused'), patience)
      .toMatchObject({ consumer: 'bob', limit_usd: 0.5 });
    const told = await vi.waitFor(() => {
      const message = messageAbout('Paused: consumer bob of LlmServing/KillSwitchTest-Serving');
      expect(message).toBeDefined();
      return message;
    }, patience);
    expect(told?.body).toMatch(/How much: spent \$[\d.]+ in the hour from .+; the hard limit of its tier is \$0.5/);

    await llm('resume', 'consumer', 'bob');
    await everybodyKnows();
    expect(await chat('bob')).toEqual({ status: 200, code: undefined });
  },
  6 * MINUTES,
);

test(
  'a job whose consumer is paused before it runs waits',
  async () => {
    const response = await fetch(`${run.url}/jobs`, {
      method: 'POST',
      headers: { authorization: `Bearer ${run.keys.alice}`, 'content-type': 'application/json' },
      body: JSON.stringify({ ...question('free'), not_before: Math.ceil(Date.now() / 1000) + 3 }),
    });
    const { id } = (await response.json()) as { id: string };
    await llm('pause', 'consumer', 'alice', '--for', '1h', '--reason', 'tea');
    const job = async () => {
      const view = await fetch(`${run.url}/jobs/${id}`, { headers: { authorization: `Bearer ${run.keys.alice}` } });
      return (await view.json()) as Record<string, unknown>;
    };
    // Its owner sees it, paused or not.
    await expect.poll(job, patience).toMatchObject({ status: 'queued', waiting_for: 'consumer_paused' });
    await llm('resume', 'consumer', 'alice');
  },
  6 * MINUTES,
);
