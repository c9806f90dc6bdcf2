import { randomBytes } from 'node:crypto';
import { PurgeQueueCommand, ReceiveMessageCommand } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Batch, batchKey, stop } from '../../../lambda/job/batch/batch.ts';
import { each } from '../../../lambda/job/batch/each.ts';
import { asFile, bytesOf, fileKey } from '../../../lambda/job/batch/files.ts';
import { lineId } from '../../../lambda/job/batch/line-job.ts';
import { BatchProgress } from '../../../lambda/job/batch/progress.ts';
import { isWanted, lineEnded, runBatch } from '../../../lambda/job/batch/run-batch.ts';
import { type BatchRun, getBatch } from '../../../lambda/job/batch/work.ts';
import type { Item } from '../../../lambda/job/change.ts';
import type { Job } from '../../../lambda/job/job.ts';
import { afterEnd, runJob } from '../../../lambda/job/run-job.ts';
import { claim, end } from '../../../lambda/job/transitions.ts';
import { startMessaging, startTable } from './support/stores.ts';

const ENDPOINT = '/v1/chat/completions';
const HOUR = 3_600_000;
const START = Date.parse('2026-11-28T00:00:00Z');
/** Of a worker that has time for one step of a work, and then hands on. */
const HURRIED = 1_000;

let table: Awaited<ReturnType<typeof startTable>>;
let messaging: Awaited<ReturnType<typeof startMessaging>>;
beforeAll(async () => {
  [table, messaging] = await Promise.all([startTable(), startMessaging()]);
});
afterAll(async () => {
  await Promise.all([table?.close(), messaging?.close()]);
});
beforeEach(async () => {
  await messaging.sqs.send(new PurgeQueueCommand({ QueueUrl: messaging.jobsUrl }));
});

const runOf = (more: Partial<BatchRun> = {}): BatchRun => ({
  ...{ items: table.items, jobs: table.jobs, queues: messaging.queues, blobs: messaging.blobs },
  now: () => START,
  remainingMs: () => 15 * 60_000,
  ...{ maxLineLength: 10_000, jobsAtOnce: 20, resultsAtOnce: 8 },
  ...more,
});

const line = (customId: string, more: object = {}): string =>
  JSON.stringify({
    custom_id: customId,
    method: 'POST',
    url: ENDPOINT,
    body: { model: 'chat', messages: [] },
    ...more,
  });

async function batchOf(text: string | readonly string[]): Promise<string> {
  const id = `batch_${randomBytes(16).toString('hex')}`;
  const parts = typeof text === 'string' ? [text] : text;
  for (const [index, part] of parts.entries()) await messaging.blobs.put(`files/${id}/${index}`, part);
  const batch: Batch = {
    ...{ id, consumer: 'alice', tier: 'standard', status: 'validating', endpoint: ENDPOINT, inputFileId: 'file-1' },
    ...{ inputKey: `files/${id}`, inputParts: JSON.stringify(parts.map((_, index) => String(index))) },
    ...{ createdAt: START, expiresAt: START + 24 * HOUR, ttl: START / 1000 + 100_000, retentionMs: HOUR },
  };
  await table.items.create(batchKey(id), batch as unknown as Item, START);
  return id;
}

/** Ends jobs as a worker would, without asking a model. */
async function answer(
  ids: readonly string[],
  result: (id: string) => string | undefined,
  run: BatchRun,
): Promise<void> {
  const ended = (job: Job) => lineEnded(job, run);
  await each(ids, async (id) => {
    await table.jobs.change(id, claim('run', START));
    const text = result(id);
    const job = await table.jobs.change(
      id,
      end('run', START, START / 1000 + 1000, {
        status: text === undefined ? 'failed' : 'succeeded',
        with: text === undefined ? { error: '{"type":"invalid_request_error"}' } : { result: text },
      }),
    );
    if (job !== undefined) await afterEnd(job, { queues: messaging.queues, ended });
  });
}

/** Handles what is in the queue about batches until nothing is; gives back the ids of jobs. */
async function work(run: BatchRun): Promise<{ jobs: string[]; batches: number }> {
  const jobs: string[] = [];
  let batches = 0;
  for (;;) {
    const { Messages = [] } = await messaging.sqs.send(
      new ReceiveMessageCommand({ QueueUrl: messaging.jobsUrl, MaxNumberOfMessages: 10, VisibilityTimeout: 43_200 }),
    );
    if (Messages.length === 0) return { jobs, batches };
    for (const { Body = '' } of Messages) {
      const { job, batch } = JSON.parse(Body) as { job?: string; batch?: string };
      if (job !== undefined) jobs.push(job);
      if (batch === undefined) continue;
      batches++;
      await runBatch(batch, run);
    }
  }
}

const batch = async (id: string): Promise<Batch> => (await getBatch(id, { items: table.items })) as Batch;

async function contentOf(id: string | undefined): Promise<Array<Record<string, unknown>>> {
  const file = asFile((await table.items.get(fileKey(String(id)))) as Item);
  let text = '';
  for await (const chunk of bytesOf(file, messaging.blobs)) text += Buffer.from(chunk).toString('utf8');
  expect(Buffer.byteLength(text)).toBe(file.bytes);
  return text
    .trim()
    .split('\n')
    .map((each) => JSON.parse(each));
}

describe('a batch that is longer than a worker has time', () => {
  const LINES = 50;

  test('is handed on from worker to worker, and comes out whole and in order', async () => {
    const id = await batchOf(Array.from({ length: LINES }, (_, i) => line(`c${i}`)).join('\n'));
    const hurried = runOf({ remainingMs: () => HURRIED });
    await runBatch(id, hurried);
    expect(await batch(id)).toMatchObject({ status: 'in_progress', total: LINES, plannedLines: 20 });
    const planned = await work(hurried);
    expect(await batch(id)).toMatchObject({ plannedLines: LINES, plannedAt: START });
    // Each line has one message, and the batch one for each hand that it went through.
    expect(planned.jobs.sort()).toEqual(Array.from({ length: LINES }, (_, i) => lineId(id, i)).sort());
    expect(planned.batches).toBe(2);
    await answer(planned.jobs, (job) => (job.endsWith('7') ? undefined : JSON.stringify({ of: job })), hurried);
    expect(await batch(id)).toMatchObject({ status: 'finalizing' });
    expect((await work(hurried)).batches).toBeGreaterThanOrEqual(Math.ceil(LINES / 8));
    const done = await batch(id);
    expect(done).toMatchObject({ status: 'completed', writtenLines: LINES });
    const output = await contentOf(done.outputFileId);
    const wanted = Array.from({ length: LINES }, (_, i) => `c${i}`);
    expect(output.map(({ custom_id }) => custom_id)).toEqual(wanted.filter((each) => !each.endsWith('7')));
    const errors = await contentOf(done.errorFileId);
    expect(errors.map(({ custom_id }) => custom_id)).toEqual(wanted.filter((each) => each.endsWith('7')));
  });

  test('is not done twice by two workers with the same message', async () => {
    const id = await batchOf(Array.from({ length: LINES }, (_, i) => line(`c${i}`)).join('\n'));
    await Promise.all([runBatch(id, runOf()), runBatch(id, runOf())]);
    const { jobs } = await work(runOf());
    expect(new Set(jobs).size).toBe(LINES);
    await answer([...new Set(jobs)], () => '{}', runOf());
    await Promise.all([runBatch(id, runOf()), runBatch(id, runOf())]);
    const done = await batch(id);
    expect(done.status).toBe('completed');
    expect(await contentOf(done.outputFileId)).toHaveLength(LINES);
  });

  test('runs no line any more that gets its job while the batch is cancelled', async () => {
    const id = await batchOf(Array.from({ length: LINES }, (_, i) => line(`c${i}`)).join('\n'));
    await runBatch(id, runOf({ remainingMs: () => HURRIED }));
    // A worker has the message to plan the rest, and another one that of the cancellation.
    await table.items.change(batchKey(id), stop(START));
    await runBatch(id, runOf());
    expect(await batch(id)).toMatchObject({ status: 'cancelled', cancelledLines: LINES });
    expect(await table.jobs.get(lineId(id, 19))).toMatchObject({ status: 'cancelled' });
    expect(await new BatchProgress(table.items).of(id)).toEqual({ done: 20, failed: 20 });
    const late = { ...((await table.jobs.get(lineId(id, 19))) as Job), id: lineId(id, 20), line: 20 };
    await table.jobs.create({ ...late, status: 'queued' }, START);
    let asked = 0;
    await runJob(late.id, {
      ...{ table: table.jobs, queues: messaging.queues, blobs: messaging.blobs, now: () => START, random: () => 0 },
      ask: async () => {
        asked++;
        throw new Error('not to be asked');
      },
      isWanted: (job) => isWanted(job, { items: table.items }),
      newRun: () => 'run',
      every: () => () => {},
    });
    expect(asked).toBe(0);
    expect(await table.jobs.get(late.id)).toMatchObject({ status: 'cancelled' });
  });
});

test('counters of a batch are deleted with it', async () => {
  const id = await batchOf(line('a'));
  await runBatch(id, runOf());
  await answer([lineId(id, 0)], () => '{}', runOf());
  const counter = await table.items.get({ pk: `batch#${id}`, sk: 'shard#0000' });
  expect(counter?.ttl).toBeGreaterThan(START / 1000);
});

describe('what a file may hold', () => {
  const problemsOf = async (text: string | readonly string[]) => {
    const id = await batchOf(text);
    await runBatch(id, runOf());
    const { errors, status, total } = await batch(id);
    return { status, total, errors: JSON.parse(errors ?? '[]') as Array<{ code: string; line: number }> };
  };

  test.each<[string, string | readonly string[], number]>([
    ['lines of Windows, after its byte order mark', `\uFEFF${line('a')}\r\n${line('b')}\r\n`, 2],
    ['blank lines', `\n\n${line('a')}\n  \n${line('b')}\n\n\n`, 2],
    ['no line end at its end', line('a'), 1],
    ['parts that end in the middle of a line', [line('a').slice(0, 30), line('a').slice(30)], 1],
    ['U+2028, which is no line end in JSONL', line('a', { body: { model: 'chat', text: '\u2028' } }), 1],
    ['a name of a model that is none, and long', line('a', { body: { model: 'm'.repeat(9_000) } }), 1],
  ])('%s', async (_, text, total) => {
    expect(await problemsOf(text)).toMatchObject({ status: 'in_progress', total, errors: [] });
  });

  test.each<[string, string, string, number | null]>([
    ['nothing', '', 'empty_file', null],
    ['only blank lines', '\n \n\r\n', 'empty_file', null],
    ['a line that is no JSON', `${line('a')}\n{`, 'invalid_json_line', 2],
    ['null', 'null', 'missing_required_parameter', 1],
    ['a list', '[]', 'missing_required_parameter', 1],
    ['a number', '7', 'missing_required_parameter', 1],
    ['a line without a custom_id', line('', { custom_id: undefined }), 'missing_required_parameter', 1],
    ['a custom_id that is a number', line('', { custom_id: 7 }), 'missing_required_parameter', 1],
    ['a custom_id twice', `${line('a')}\n${line('b')}\n${line('a')}`, 'duplicate_custom_id', 3],
    ['a custom_id too long for an item', line('x'.repeat(513)), 'invalid_custom_id', 1],
    ['another method', line('a', { method: 'GET' }), 'invalid_method', 1],
    ['another url', line('a', { url: '/v1/embeddings' }), 'invalid_url', 1],
    ['a body that is a list', line('a', { body: [] }), 'missing_required_parameter', 1],
    [
      'a line longer than a request may be',
      `${line('a')}\n${line('b', { x: 'x'.repeat(10_000) })}`,
      'line_too_long',
      2,
    ],
  ])('not %s', async (_, text, code, number) => {
    expect(await problemsOf(text)).toMatchObject({ status: 'failed', errors: [{ code, line: number }] });
  });

  test('not more than 50,000 lines, of which it reads no further', async () => {
    const text = Array.from({ length: 50_010 }, (_, i) => line(`c${i}`)).join('\n');
    expect(await problemsOf(text)).toMatchObject({ status: 'failed', errors: [{ code: 'too_many_tasks' }] });
  });
});
