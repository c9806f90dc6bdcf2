import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { createTextModel } from '../../local/model/index.ts';
import { type LocalRun, startLocal } from '../../local/run.ts';
import { type Answerer, chunk, DONE, ROLE, sleep, sse, Upstream, usageChunk } from '../lambda/support/upstream.ts';
import { Receiver } from './receiver.ts';

/** Of the worker's function. It keeps 21 s of them for its end, so that a run has four. */
const TIMEOUT_SECONDS = 25;
/** Of the whole answer, which takes more than two runs, however quick the machine. */
const WORDS = Array.from({ length: 100 }, (_, i) => `word${i} `);
const WORD_MS = 100;
const patience = { timeout: 90_000, interval: 100 };

let folder: string;
let run: LocalRun;
let upstream: Upstream;
let receiver: Receiver;
const lines: string[] = [];

/** Goes on after what it is told to have said. */
const count: Answerer = async (response, { body }) => {
  const messages = body.messages as Array<{ role: string; content: string }>;
  const begun = messages.findLast(({ role }) => role === 'assistant')?.content ?? '';
  const rest = WORDS.slice(begun.split(/(?<= )/).filter((word) => word !== '').length);
  sse(response).write(ROLE);
  for (const word of rest) {
    await sleep(WORD_MS);
    if (response.destroyed) return;
    response.write(chunk({ content: word }));
  }
  response.write(chunk({}, 'stop'));
  response.end(usageChunk(10, rest.length) + DONE);
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'e2e-jobs-long-'));
  upstream = await Upstream.start(count);
  receiver = await Receiver.start();
  await promisify(execFile)(process.execPath, [fileURLToPath(new URL('./jobs-long-app.ts', import.meta.url))], {
    env: { ...process.env, CDK_OUTDIR: folder, E2E_SLOW_URL: upstream.url },
  });
  await shortenWorkers();
  run = await startLocal({
    assembly: folder,
    stateFolder: join(folder, 'state'),
    model: await createTextModel({}),
    log: (label, line) => lines.push(`${label} ${line}`),
  });
});
afterAll(async () => {
  await run?.close();
  await Promise.all([upstream?.stop(), receiver?.close()]);
  await rm(folder, { recursive: true, force: true });
});

/** Nobody waits a quarter of an hour for a test. */
async function shortenWorkers(): Promise<void> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.template.json'));
  let shortened = 0;
  for (const name of names) {
    const template = JSON.parse(await readFile(join(folder, name), 'utf8'));
    for (const { Type, Properties } of Object.values<{ Type: string; Properties: Record<string, unknown> }>(
      template.Resources,
    )) {
      if (Type !== 'AWS::Lambda::Function' || Properties.Description !== 'Runs jobs') continue;
      Properties.Timeout = TIMEOUT_SECONDS;
      shortened += 1;
    }
    await writeFile(join(folder, name), JSON.stringify(template));
  }
  expect(shortened).toBe(1);
}

interface JobView {
  readonly id: string;
  readonly status: string;
  readonly usage: { readonly prompt_tokens: number; readonly completion_tokens: number; readonly cost_usd: number };
  readonly [field: string]: unknown;
}

async function call<T = JobView>(method: string, path: string, body?: object): Promise<T> {
  const response = await fetch(`${run.url}${path}`, {
    method,
    headers: { authorization: `Bearer ${run.apiKey}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return (await response.json()) as T;
}

const submit = (more: object = {}): Promise<JobView> =>
  call('POST', '/jobs', { model: 'chat', messages: [{ role: 'user', content: 'Count' }], ...more });

const ended = (id: string, status: string): Promise<JobView> =>
  vi.waitFor(async () => {
    const job = await call('GET', `/jobs/${id}`);
    expect(job).toMatchObject({ status });
    return job;
  }, patience);

/** The log lines of a job's runs. */
const runsOf = (id: string): Array<{ status: number; error_code?: string; CostUsd: number; OutputTokens: number }> =>
  lines
    .filter((line) => line.includes('"message":"chat completion"') && line.includes(id))
    .map((line) => JSON.parse(line.slice(line.indexOf('{'))));

const sum = (numbers: readonly number[]): number => numbers.reduce((all, each) => all + each, 0);

test('an answer that outlasts its workers is gone on with: one result, all of it paid for once, one notification', async () => {
  const { id } = await submit({ webhook: { url: receiver.url } });
  const job = await ended(id, 'succeeded');
  expect(job.result).toMatchObject({ choices: [{ message: { content: WORDS.join('') }, finish_reason: 'stop' }] });
  // Being handed on is no failure.
  expect(job.attempts).toBe(1);
  // The job is told first; the last run's line follows.
  await vi.waitFor(() => expect(runsOf(id).at(-1)).not.toHaveProperty('error_code'), patience);
  const runs = runsOf(id);
  expect(runs.length).toBeGreaterThan(2);
  expect(runs.slice(0, -1).map(({ error_code }) => error_code)).toEqual(Array(runs.length - 1).fill('timeout'));
  // What the runs used together, those that were cut short too.
  expect(job.usage.completion_tokens).toBe(sum(runs.map(({ OutputTokens }) => OutputTokens)));
  expect(job.usage.cost_usd).toBeCloseTo(sum(runs.map(({ CostUsd }) => CostUsd)), 10);
  expect(job.result).toMatchObject({ usage: { cost_usd: job.usage.cost_usd } });
  await vi.waitFor(() => expect(receiver.of(id)).toHaveLength(1), patience);
  expect(lines.filter((line) => line.includes('Task timed out'))).toEqual([]);
});

test('one that nobody could go on with fails when the time is up, and costs what it cost', async () => {
  const { id } = await submit({ response_format: { type: 'json_object' } });
  const job = await ended(id, 'failed');
  expect(job.error).toMatchObject({ code: 'timeout' });
  await vi.waitFor(() => expect(runsOf(id)).not.toEqual([]), patience);
  const [only, ...others] = runsOf(id);
  expect(others).toEqual([]);
  expect(job.usage.cost_usd).toBe(only?.CostUsd);
  expect(job.usage.cost_usd).toBeGreaterThan(0);
});

test('the ledger has what the jobs say', async () => {
  const { data } = await call<{ data: JobView[] }>('GET', '/jobs');
  expect(data).toHaveLength(2);
  await vi.waitFor(async () => {
    const { total } = await call<{ total: { cost_usd: number } }>('GET', '/usage');
    expect(total.cost_usd).toBeCloseTo(sum(data.map(({ usage }) => usage.cost_usd)), 10);
  }, patience);
});
