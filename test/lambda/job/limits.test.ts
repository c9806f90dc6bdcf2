import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { pause, resume } from '../../../lambda/usage/pauses.ts';
import { LedgerTable } from '../../../lambda/usage/table.ts';
import type { TierLimitsConfig } from '../../../lib/private/serving-config.ts';
import { ledgerOf } from '../support/ledger.ts';
import { answerText, Upstream } from '../support/upstream.ts';
import { createLedgerTable, startDynamoDb, type TestDynamoDb } from '../usage/fixture.ts';
import { HOUR, START, workerOf as workerBefore } from './support/worker.ts';

const MINUTE = 60_000;

let dynamoDb: TestDynamoDb;
let upstream: Upstream;
let table: string;
beforeAll(async () => {
  dynamoDb = await startDynamoDb();
  upstream = await Upstream.start(answerText('four tokens of text'));
});
afterAll(async () => {
  await upstream.stop();
  await dynamoDb.close();
});
beforeEach(async () => {
  table = await createLedgerTable(dynamoDb.client);
  upstream.requests.length = 0;
});

const workerOf = (limits: Partial<TierLimitsConfig>) => workerBefore(limits, { table, url: upstream.url });

test("a job that its minute has no tokens for waits for the next one, and isn't a failure the poorer for it", async () => {
  // Each asks for something over a hundred tokens, and uses fourteen.
  const worker = workerOf({ tokensPerMinute: 115 });
  worker.submit('first');
  worker.submit('second');
  expect(await worker.run('first')).toMatchObject({ status: 'succeeded' });
  expect(await worker.run('second')).toMatchObject({
    status: 'queued',
    waitsFor: 'rate_limit_exceeded',
    attempts: 0,
    notBefore: START + MINUTE / 2,
  });
  expect(worker.messages).toEqual([{ id: 'second', delayMs: MINUTE / 2 }]);
  expect(upstream.requests).toHaveLength(1);
  worker.time.now = worker.job('second').notBefore;
  expect(await worker.run('second')).toMatchObject({ status: 'succeeded', attempts: 1 });
  const all = ['first', 'second'].map(worker.job);
  const cost = Math.round(all.reduce((sum, { costUsd = 0 }) => sum + costUsd, 0) * 1e9);
  expect(await ledgerOf(dynamoDb.client, table, 'alice')).toMatchObject({ cost });
});

test('a job larger than a whole minute fails at once, with the error that a live request would get', async () => {
  const worker = workerOf({ tokensPerMinute: 150 });
  worker.submit('large', { messages: [{ role: 'user', content: 'long '.repeat(500) }] });
  const job = await worker.run('large');
  expect(job.status).toBe('failed');
  expect(JSON.parse(job.error ?? '')).toMatchObject({
    code: 'rate_limit_exceeded',
    message: expect.stringContaining('Request too large'),
  });
  expect(worker.messages).toEqual([]);
});

test("a job that its month has no money for waits for the next one, if it doesn't expire before", async () => {
  const worker = workerOf({ monthlyBudgetUsd: 0.0003 });
  worker.submit('first');
  expect(await worker.run('first')).toMatchObject({ status: 'succeeded' });
  for (let i = 0; worker.job('first').status === 'succeeded'; i++) {
    worker.submit('first');
    await worker.run('first');
    if (i > 50) throw new Error('the budget has no end');
  }
  expect(worker.job('first')).toMatchObject({ status: 'queued', waitsFor: 'insufficient_quota', attempts: 0 });
  worker.submit('hasty', {}, { expiresAt: START + HOUR / 2 });
  expect(await worker.run('hasty')).toMatchObject({ status: 'failed' });
  worker.time.now = START + HOUR;
  expect(await worker.run('first')).toMatchObject({ status: 'succeeded' });
});

test.each([
  { kind: 'consumer', name: 'alice' },
  { kind: 'model', name: 'chat' },
] as const)('a job whose $kind is paused waits, asks nobody, and runs when that is resumed', async (subject) => {
  const pauses = new LedgerTable(table, 30_000);
  await pause(pauses, subject, { since: START, by: 'operator' });
  const worker = workerOf({ monthlyBudgetUsd: 1 });
  worker.submit('first');
  for (let look = 0; look < 10; look++) {
    expect(await worker.run('first')).toMatchObject({
      status: 'queued',
      waitsFor: `${subject.kind}_paused`,
      attempts: 0,
      notBefore: worker.time.now + 5 * MINUTE,
    });
    worker.time.now = worker.job('first').notBefore;
  }
  expect(upstream.requests).toEqual([]);
  await resume(pauses, subject, worker.time.now);
  worker.time.now += MINUTE;
  expect(await worker.run('first')).toMatchObject({ status: 'succeeded', attempts: 1 });
});

test('a job that a pause with an end outlasts fails at once, with the error that a live request would get', async () => {
  const until = START + 2 * HOUR;
  const pauses = new LedgerTable(table, 30_000);
  await pause(pauses, { kind: 'model', name: 'chat' }, { since: START, until, by: 'alarm', reason: 'too dear' });
  const worker = workerOf({});
  worker.submit('patient');
  worker.submit('hasty', {}, { expiresAt: START + HOUR });
  expect(await worker.run('patient')).toMatchObject({ status: 'queued', waitsFor: 'model_paused' });
  const failed = await worker.run('hasty');
  expect(failed.status).toBe('failed');
  expect(JSON.parse(failed.error ?? '')).toMatchObject({
    code: 'model_paused',
    message: expect.stringContaining('too dear'),
  });
  // It looks sooner, for somebody may resume.
  expect(worker.job('patient').notBefore).toBe(START + 15 * MINUTE);
});
