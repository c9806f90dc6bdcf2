import { afterAll, beforeAll, expect, test } from 'vitest';
import { JOBS_ROUTES } from '../../../lambda/job/api/jobs.ts';
import type { JobsScope } from '../../../lambda/job/api/scope.ts';
import type { Job } from '../../../lambda/job/job.ts';
import { anyJob } from './support/jobs.ts';
import { startTable } from './support/stores.ts';

const HOUR = 3_600_000;

let table: Awaited<ReturnType<typeof startTable>>;
beforeAll(async () => {
  table = await startTable();
});
afterAll(() => table.close());

/** The API at a time after the jobs' own, without a worker: their messages are dead letters. */
function api(consumer: string) {
  const notified: string[] = [];
  const ended: string[] = [];
  const scope = {
    ...{ items: table.items, jobs: table.jobs, retentionMs: HOUR, now: () => 2 * HOUR },
    queues: { notify: async ({ id }: Job) => void notified.push(id) },
    ended: async ({ id }: Job) => void ended.push(id),
    caller: { consumer, tier: { name: 'standard' } },
  } as unknown as JobsScope;
  const get = async (path: string, params: JobsScope['params'] = {}): Promise<unknown> => {
    const route = JOBS_ROUTES.find((each) => each.method === 'GET' && each.path === path);
    const answer = await route?.answer({ ...scope, params, event: { path } as JobsScope['event'] });
    return answer && 'body' in answer ? answer.body : undefined;
  };
  return { get, notified, ended };
}

const open = (job: Partial<Job>): Job =>
  anyJob({ expiresAt: HOUR, ttl: 10 * HOUR, webhookUrl: 'https://example.com/', notice: 'due', ...job });

test.each([
  ['waits', {}],
  ['was run by a worker that died', { status: 'running', run: 'dead', leaseUntil: HOUR / 2 }],
] as const)(
  'a job that %s and whose message is gone has expired for whoever looks at it, and says so',
  async (_, job) => {
    const id = `job_${'status' in job ? job.status : 'queued'}`;
    await table.jobs.create(open({ id, ...job }), 0);
    const { get, notified, ended } = api('alice');
    const expired = { status: 'expired', error: { code: 'expired' }, webhook: { status: 'due' } };
    expect(await get('/v1/jobs/{id}', { id })).toMatchObject(expired);
    expect(await get('/v1/jobs/{id}', { id })).toMatchObject(expired);
    expect({ notified, ended }).toEqual({ notified: [id], ended: [id] });
  },
);

test('a list has them expired too, and the others as they are', async () => {
  await table.jobs.create(open({ id: 'job_late', consumer: 'bob', createdAt: 1 }), 0);
  await table.jobs.create(open({ id: 'job_early', consumer: 'bob', createdAt: 2, expiresAt: 3 * HOUR }), 0);
  await table.jobs.create(open({ id: 'job_done', consumer: 'bob', createdAt: 3, status: 'succeeded' }), 0);
  const { get, notified } = api('bob');
  expect(await get('/v1/jobs')).toMatchObject({
    data: [
      { id: 'job_done', status: 'succeeded' },
      { id: 'job_early', status: 'queued' },
      { id: 'job_late', status: 'expired' },
    ],
  });
  expect(notified).toEqual(['job_late']);
  expect(await table.jobs.get('job_late')).toMatchObject({ status: 'expired' });
});
