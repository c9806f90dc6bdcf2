import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { createTextModel, type RunningServer, startOpenAiServer, type TextModel } from '../../local/model/index.ts';
import { type LocalRun, startLocal } from '../../local/run.ts';
import { startValkeyServer, type ValkeyServer } from '../../local/valkey/server.ts';

const FOLDER = 'examples/typescript';
const CACHE_OF_LIMITS = 'rediss://valkey.internal.example.com:6379';
/** A minute of a fleet's time takes three seconds: a slow machine still keeps up with it. */
const SPEED = 20;
const patience = { timeout: 150_000, interval: 200 };

/** What each answers with when its first consumer asks for each model. An example that isn't here fails. */
const BACKENDS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'cost-alarms': { chat: 'bedrock-amazon-nova-lite-v1-0' },
  minimal: { assistant: 'bedrock-amazon-nova-lite-v1-0' },
  'own-server': { chat: 'openai-compatible-741a36d2-meta-llama-llama-3-1-8b-instruct' },
  tiers: { fast: 'openai-compatible-ac13b121-qwen-qwen3-8b' },
};
/** Those with a test of their own. */
const OTHERS = ['fleet', 'jobs', 'limits'];

let model: TextModel;
let server: RunningServer;
let cache: ValkeyServer;
const runs: LocalRun[] = [];
const folders: string[] = [];

beforeAll(async () => {
  model = await createTextModel({ tokensPerSecond: 2_000, timeToFirstTokenMs: 5 });
  server = await startOpenAiServer({ model });
  cache = await startValkeyServer();
});
afterAll(async () => {
  for (const run of runs) await run.close();
  await Promise.all([server.close(), cache.close()]);
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
});

/** As it stands, but with what is outside of it on this machine: servers of one's own, and a cache. */
async function start(example: string): Promise<LocalRun> {
  const folder = await mkdtemp(join(tmpdir(), 'e2e-example-'));
  folders.push(folder);
  await promisify(execFile)(process.execPath, [resolve(FOLDER, `${example}.mts`)], {
    env: {
      ...process.env,
      CDK_OUTDIR: folder,
      // As the CDK's command line does it.
      CDK_CONTEXT_JSON: JSON.stringify({ 'aws:cdk:enable-path-metadata': true }),
    },
  });
  for (const name of await readdir(folder, { recursive: true })) {
    if (!name.endsWith('serving-config.json') && !name.endsWith('.template.json')) continue;
    const file = join(folder, name);
    const text = (await readFile(file, 'utf8'))
      .replaceAll(/"baseUrl":\s*"[^"]*"/g, `"baseUrl": "${server.url}/v1"`)
      // A fleet's 30 s would be ten minutes of its own time here.
      .replaceAll(/"retryAfterMs":\s*\d+/g, '"retryAfterMs": 1000')
      .replaceAll(CACHE_OF_LIMITS, cache.url);
    await writeFile(file, text);
  }
  const run = await startLocal({
    assembly: folder,
    model,
    speed: SPEED,
    stateFolder: join(folder, 'state'),
    secrets: { 'llm/openai': 'o', 'llm/vllm': 'v', 'llm/valkey': 'c' },
    fleets: { instanceMs: 30_000, loadMs: 30_000 },
  });
  runs.push(run);
  return run;
}

function ask(run: LocalRun, path: string, body?: object): Promise<Response> {
  return fetch(`${run.url}${path}`, {
    headers: { authorization: `Bearer ${run.apiKey}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
  });
}

const hello = (name: string) => ({ model: name, max_tokens: 16, messages: [{ role: 'user', content: 'Hello' }] });

test('every example is run here', () => {
  const examples = readdirSync(FOLDER).map((name) => name.replace('.mts', ''));
  expect([...Object.keys(BACKENDS), ...OTHERS].sort()).toEqual(examples.sort());
});

describe.each(Object.entries(BACKENDS))('%s', (example, backends) => {
  test('runs on this machine and answers a request for each model', async () => {
    const run = await start(example);
    expect(run.missingSecrets).toEqual([]);
    const { data } = (await (await ask(run, '/models')).json()) as { data: { id: string }[] };
    const answered: Record<string, string | null> = {};
    for (const { id } of data) {
      const response = await ask(run, '/chat/completions', hello(id));
      expect(response.status, await response.clone().text()).toBe(200);
      expect(await response.text()).toContain('Simulated answer');
      answered[id] = response.headers.get('x-llm-backend');
    }
    expect(answered).toEqual(backends);
  });
});

test('limits: counts in the ledger of another stack, and answers a second time from the cache that is there', async () => {
  const run = await start('limits');
  expect(run.ledgerTable).toBe('llm-usage');
  expect(run.gaps.map(({ what }) => what)).toContain('the table llm-usage');
  // An answer that was cut off isn't kept, and a slow machine may bypass the cache at first.
  const request = { ...hello('chat'), temperature: 0, max_tokens: 500 };
  await vi.waitFor(async () => {
    expect((await ask(run, '/chat/completions', request)).headers.get('x-llm-cache')).toBe('hit');
  }, patience);
  const usage = (await (await ask(run, '/usage')).json()) as { total: { requests: number } };
  expect(usage).toMatchObject({ budgets: [{ of: 'consumer', budget_usd: 500 }] });
  expect(usage.total.requests).toBeGreaterThan(0);
}, 180_000);

test('fleet: runs without an API, and its load balancer answers whoever has the key', async () => {
  const run = await start('fleet');
  expect(run.dashboardUrl).toBeUndefined();
  expect(Object.keys(run.keys)).toEqual(['Qwen']);
  await vi.waitFor(async () => {
    expect((await ask(run, '/chat/completions', hello('Qwen/Qwen3-8B'))).status).toBe(200);
  }, patience);
  expect((await fetch(`${run.url}/models`)).status).toBe(401);
}, 180_000);

test('jobs: a job that is handed in wakes the fleet, which does it', async () => {
  const run = await start('jobs');
  const { id } = (await (await ask(run, '/jobs', hello('summaries'))).json()) as { id: string };
  await vi.waitFor(async () => {
    expect(await (await ask(run, `/jobs/${id}`)).json()).toMatchObject({ status: 'succeeded' });
  }, patience);
}, 180_000);
