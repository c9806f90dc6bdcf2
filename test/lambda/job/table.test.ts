import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { DynamoJobs, ItemTable } from '../../../lambda/job/aws/table.ts';
import { all, any, type Change, where } from '../../../lambda/job/change.ts';
import { itemOf, type Job } from '../../../lambda/job/job.ts';
import {
  cancel,
  claim,
  claimNotice,
  end,
  expire,
  giveBack,
  noticeTried,
  redeliver,
  renew,
  retry,
  tell,
} from '../../../lambda/job/transitions.ts';
import { anyJob } from './support/jobs.ts';
import { applied } from './support/memory-table.ts';
import { startTable } from './support/stores.ts';

let table: Awaited<ReturnType<typeof startTable>>;
let items: ItemTable;
let jobs: DynamoJobs;

beforeAll(async () => {
  table = await startTable();
  ({ items, jobs } = table);
});
afterAll(() => table.close());

const time = fc.integer({ min: 0, max: 10 }).map((step) => step * 50_000);
const run = fc.constantFrom('a', 'b');
const change: fc.Arbitrary<Change> = fc.oneof(
  fc.tuple(run, time).map(([r, t]) => claim(r, t)),
  fc.tuple(run, time).map(([r, t]) => renew(r, t, 5)),
  fc.tuple(run, time).map(([r, t]) => end(r, t, 9, { status: 'succeeded', with: { result: '{}' } })),
  fc.tuple(run, time).map(([r, t]) => end(r, t, 9, { status: 'failed', with: { error: '{}' } })),
  fc.tuple(run, time, fc.boolean()).map(([r, t, counts]) => giveBack(r, t, { counts, waitsFor: 'x' })),
  run.map((r) => tell(r, '{}')),
  time.map((t) => cancel(t, 9)),
  time.map((t) => expire(t, 9)),
  time.map((t) => retry(t, t + 400_000, 9, true)),
  fc.tuple(run, time).map(([r, t]) => claimNotice(r, t)),
  run.map((r) => noticeTried(r, '[]', { delivered: true })),
  fc.tuple(run, time).map(([r, t]) => noticeTried(r, '[]', { again: t })),
  run.map((r) => noticeTried(r, '[]', { dead: true })),
  fc.constant(redeliver()),
);

/** Without what only the table knows. */
const plain = (job: Job | undefined) => {
  if (job === undefined) return undefined;
  const { pk: _, sk: __, list: ___, listKey: ____, ...rest } = job as unknown as Record<string, unknown>;
  return rest;
};

test('every change means to DynamoDB what it means to the model', async () => {
  let count = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 12 }), async (changes) => {
      const job = anyJob({ id: `job_${count++}`, notice: 'due', expiresAt: 300_000, ttl: 1 });
      expect(await jobs.create(job, 0)).toBe(true);
      let item = itemOf(job);
      for (const each of changes) {
        const next = applied(each, item);
        expect(plain(await jobs.change(job.id, each))).toEqual(next);
        item = next ?? item;
      }
      expect(plain(await jobs.get(job.id))).toEqual(item);
    }),
    { numRuns: 60 },
  );
}, 240_000);

describe('a table of jobs', () => {
  test('makes a job once; again only when the first one is past its TTL', async () => {
    const job = anyJob({ id: 'job_once', ttl: 100 });
    expect(await jobs.create(job, 0)).toBe(true);
    expect(await jobs.create(job, 100_000)).toBe(false);
    expect(await jobs.create(job, 101_000)).toBe(true);
  });

  test('changes no job that is not there', async () => {
    expect(await jobs.change('job_none', claim('a', 0))).toBeUndefined();
    expect(await jobs.get('job_none')).toBeUndefined();
  });

  test('lets one of many at once', async () => {
    await jobs.create(anyJob({ id: 'job_many' }), 0);
    const claims = await Promise.all(
      Array.from({ length: 20 }, (_, i) => jobs.change('job_many', claim(`run-${i}`, 1))),
    );
    expect(claims.filter((claimed) => claimed !== undefined)).toHaveLength(1);
  });

  test('takes lists of one condition, which DynamoDB wants without parentheses', async () => {
    await jobs.create(anyJob({ id: 'job_flat' }), 0);
    const when = all(any(where('status', '=', 'queued')));
    expect(await jobs.change('job_flat', { when, set: { backend: 'b' } })).toMatchObject({ backend: 'b' });
  });

  test('lists the newest first, in pages, and no lines of batches', async () => {
    for (const createdAt of [5, 40, 300]) {
      await jobs.create(anyJob({ id: `job_at_${createdAt}`, consumer: 'lister', createdAt }), 0);
    }
    await jobs.create(anyJob({ id: 'line_1', consumer: 'lister', kind: 'line' }), 0);
    const first = await items.list('job#lister', { limit: 2, after: undefined, now: 0 });
    expect(first.items.map(({ id }) => id)).toEqual(['job_at_300', 'job_at_40']);
    expect(first.hasMore).toBe(true);
    const second = await items.list('job#lister', { limit: 2, after: String(first.items[1]?.listKey), now: 0 });
    expect(second.items.map(({ id }) => id)).toEqual(['job_at_5']);
  });
});
