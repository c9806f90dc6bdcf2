import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type Change, where } from '../../lambda/job/change.ts';
import { stores } from '../../lambda/job/from-environment.ts';
import { isFinal, type Job } from '../../lambda/job/job.ts';
import { SqsClient } from '../../local/messaging/sqs-client.ts';
import { createTextModel } from '../../local/model/index.ts';
import { type LocalRun, startLocal } from '../../local/run.ts';
import { answerText, Upstream } from '../lambda/support/upstream.ts';
import { Receiver } from './receiver.ts';

/**
 * Through the real functions, each a process of its own, before DynamoDB's, SQS's and S3's stand-ins: fewer than the
 * 2,000 of `test/lambda/job/chaos.test.ts`, whose workers die at every call in one process.
 */
const JOBS = 60;
const JOBS_AT_ONCE = 20;
const KILLS = 8;
const CALLS_AT_ONCE = 5;
const DUPLICATES = 0.2;
const MODEL_FAILURES = 0.2;
/** Of one job: each doubles what it waits for the next attempt. */
const MOST_MODEL_FAILURES = 2;
const FIRST_DELIVERY_FAILURES = 0.5;
const patience = { timeout: 240_000, interval: 500 };

let folder: string;
let run: LocalRun;
let upstream: Upstream;
let receiver: Receiver;
/** Ids of messages that a worker had when it died, or couldn't handle, and that haven't come again. */
const left = new Set<string>();
let deaths = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'e2e-jobs-chaos-'));
  const failures = new Map<string, number>();
  upstream = await Upstream.start(async (response, request, incoming) => {
    const [{ content }] = request.body.messages as [{ content: string }];
    const failed = failures.get(content) ?? 0;
    await sleep(50 + Math.random() * 200);
    if (failed < MOST_MODEL_FAILURES && Math.random() < MODEL_FAILURES) {
      failures.set(content, failed + 1);
      response.writeHead(500).end('{"error":{"message":"chaos"}}');
    } else await answerText(answerTo(content))(response, request, incoming);
  });
  receiver = await Receiver.start();
  await promisify(execFile)(process.execPath, [fileURLToPath(new URL('./jobs-long-app.ts', import.meta.url))], {
    env: { ...process.env, CDK_OUTDIR: folder, E2E_SLOW_URL: upstream.url, E2E_JOBS_AT_ONCE: String(JOBS_AT_ONCE) },
  });
  run = await startLocal({
    assembly: folder,
    stateFolder: join(folder, 'state'),
    model: await createTextModel({}),
    log: (_, line) => {
      const [, died] = /SIGKILL; not handled: (.*)/.exec(line) ?? [];
      if (died !== undefined) deaths++;
      const [, failed] = /"job message failed","message_id":"([^"]*)"/.exec(line) ?? [];
      for (const id of (died ?? failed)?.split(' ') ?? []) left.add(id);
    },
  });
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await run?.close();
  await Promise.all([upstream?.stop(), receiver?.close()]);
  await rm(folder, { recursive: true, force: true });
});

const answerTo = (question: string): string => `The answer to ${question}.`;

interface JobView {
  readonly id: string;
  readonly status: string;
  readonly usage: { readonly cost_usd: number } | null;
  readonly webhook: { readonly status: string };
  readonly [field: string]: unknown;
}

/** A connection that breaks is nothing to give up for: what is submitted again is the same job. */
async function call<T>(method: string, path: string, body?: object): Promise<T> {
  const request = {
    method,
    headers: {
      authorization: `Bearer ${run.apiKey}`,
      'content-type': 'application/json',
      'idempotency-key': randomUUID(),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  };
  const response = await vi.waitFor(() => fetch(`${run.url}${path}`, request), patience);
  expect(response.ok, `${method} ${path}: ${response.status}`).toBe(true);
  return (await response.json()) as T;
}

async function inTurns<T, R>(all: readonly T[], work: (one: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const turns = async (): Promise<void> => {
    for (let index = next++; index < all.length; index = next++) results[index] = await work(all[index] as T);
  };
  await Promise.all(Array.from({ length: CALLS_AT_ONCE }, turns));
  return results;
}

/** Ends workers' processes, whatever they are at. One that was at nothing doesn't count. */
async function kill(signal: AbortSignal): Promise<void> {
  while (deaths < KILLS && !signal.aborted) {
    await sleep(300 + Math.random() * 700);
    const pids = run.pidsOf('Worker');
    const pid = pids[Math.floor(Math.random() * pids.length)];
    if (pid !== undefined) process.kill(pid, 'SIGKILL');
  }
}

/** A lease that nobody renewed. */
const runOut = (): Change => ({ when: where('status', '=', 'running'), set: { leaseUntil: Date.now() } });

interface InFlight {
  readonly receiptHandle: string;
  readonly message: { readonly messageId: string; readonly body: string };
}

/**
 * Nobody waits two minutes for a test to notice that a worker is dead: they are over at once for the messages that it
 * left, and for the jobs that it held.
 */
async function passTime({ jobs }: Pick<ReturnType<typeof stores>, 'jobs'>): Promise<void> {
  const { AWS_ENDPOINT_URL_SQS: endpoint = '', LLM_JOBS_QUEUE_URL: QueueUrl = '' } = run.jobs ?? {};
  const response = await fetch(`${endpoint}/_fauxqs/queues/${QueueUrl.split('/').at(-1)}`);
  const { messages } = (await response.json()) as { messages: { inflight: InFlight[] } };
  for (const { receiptHandle: ReceiptHandle, message } of messages.inflight) {
    if (!left.delete(message.messageId)) continue;
    await jobs.change((JSON.parse(message.body) as { job: string }).job, runOut());
    const VisibilityTimeout = 2;
    await new SqsClient(endpoint)
      .call('ChangeMessageVisibility', { QueueUrl, ReceiptHandle, VisibilityTimeout })
      // It came again by itself just now.
      .catch(() => {});
  }
}

test('jobs through workers that are killed, duplicates, a failing model and a failing receiver end once each', async () => {
  const { secret } = await call<{ secret: string }>('GET', '/webhooks/secret');
  receiver.secrets = [secret];
  receiver.statusOf = (id) => (receiver.of(id).length === 1 && Math.random() < FIRST_DELIVERY_FAILURES ? 503 : 204);
  for (const [name, value] of Object.entries(run.jobs ?? {})) vi.stubEnv(name, value);
  const { queues, jobs } = stores(process.env);

  const ended = new AbortController();
  const killing = kill(ended.signal);
  const questions = Array.from({ length: JOBS }, (_, index) => `question ${index}`);
  const ids = await inTurns(questions, async (content) => {
    const messages = [{ role: 'user', content }];
    const { id } = await call<JobView>('POST', '/jobs', { model: 'chat', messages, webhook: { url: receiver.url } });
    if (Math.random() < DUPLICATES) await queues.run({ id, consumer: 'team' }, Math.random() * 3_000);
    return id;
  });
  const isOpen = (job: Job): boolean => !isFinal(job) || job.notice === 'due';
  await vi.waitFor(async () => {
    await passTime({ jobs });
    const all = await jobs.getAll(ids);
    expect([...all.values()].filter(isOpen).map(({ id, status, notice }) => ({ id, status, notice }))).toEqual([]);
  }, patience);
  ended.abort();
  await killing;
  expect(deaths).toBeGreaterThan(KILLS / 2);

  const views = await inTurns(ids, (id) => call<JobView>('GET', `/jobs/${id}`));
  for (const [index, job] of views.entries()) {
    const result = { choices: [{ message: { content: answerTo(`question ${index}`) } }] };
    expect(['succeeded', 'failed']).toContain(job.status);
    if (job.status === 'succeeded') expect(job).toMatchObject({ result, error: null });
    else expect(job.error).not.toBeNull();
    expect(job.webhook.status).toBe('delivered');
    const notices = receiver.of(job.id);
    expect(new Set(notices.map(({ id }) => id))).toEqual(new Set([`msg_${job.id}`]));
    // However often: the same words, signed.
    expect(new Set(notices.map(({ body }) => JSON.stringify(body))).size).toBe(1);
    expect(notices.every(({ verifiedWith }) => verifiedWith === secret)).toBe(true);
  }
  expect(views.filter(({ status }) => status === 'succeeded').length).toBeGreaterThan(JOBS * 0.9);
  // One charge each: what the jobs say that they cost is what the ledger has, to the nanodollar.
  const sum = views.reduce((all, { usage }) => all + Math.round((usage?.cost_usd ?? 0) * 1e9), 0);
  expect(sum).toBeGreaterThan(0);
  await vi.waitFor(async () => {
    await passTime({ jobs });
    const { total } = await call<{ total: { cost_usd: number } }>('GET', '/usage');
    expect(Math.round(total.cost_usd * 1e9)).toBe(sum);
  }, patience);
}, 600_000);
