import { describe, expect, test } from 'vitest';
import { cancelJob } from '../../../lambda/job/cancel-job.ts';
import { CountedJobs } from '../../../lambda/job/count-ends.ts';
import { asJob, itemOf, type Job } from '../../../lambda/job/job.ts';
import type { LineTable } from '../../../lambda/job/ports.ts';
import { cancel, claim, end, expire, giveBack, renew } from '../../../lambda/job/transitions.ts';
import { putEmbeddedMetrics } from '../../../local/cloudwatch/emf.ts';
import { MetricStore } from '../../../local/cloudwatch/metric-store.ts';
import { anyJob } from './support/jobs.ts';
import { applied } from './support/memory-table.ts';

const NOW = Date.UTC(2026, 10, 11, 12);
const DAY = 86_400_000;

function memoryTable(): LineTable {
  const jobs = new Map<string, Job>();
  return {
    get: async (id) => jobs.get(id),
    getAll: async (ids) => new Map([...jobs].filter(([id]) => ids.includes(id))),
    create: async (job) => jobs.set(job.id, job) !== undefined,
    async change(id, change) {
      const job = jobs.get(id);
      const next = job && applied(change, itemOf(job));
      if (next !== undefined) jobs.set(id, asJob(next));
      return next && asJob(next);
    },
  };
}

async function tableWith(...ids: string[]) {
  const lines: string[] = [];
  const table = new CountedJobs(memoryTable(), { namespace: 'N', log: (line) => lines.push(line) });
  for (const id of ids)
    await table.create(anyJob({ id, createdAt: NOW - 5000, notBefore: NOW, expiresAt: NOW + DAY }), NOW);
  const store = new MetricStore({ now: () => NOW });
  const counted = (name: string): number | undefined => {
    for (const line of lines.splice(0)) putEmbeddedMetrics(store, line);
    return store.statistic({ namespace: 'N', name, dimensions: {} }, 'Sum', 0, NOW + 1);
  };
  return { table, lines, counted };
}

describe('the end of a job', () => {
  test.each([
    ['succeeded', 'JobsSucceeded'],
    ['failed', 'JobsFailed'],
    ['expired', 'JobsExpired'],
  ] as const)('is counted as %s by the write that ended it, and by no other', async (status, metric) => {
    const { table, counted } = await tableWith('a');
    await table.change('a', claim('run', NOW));
    await table.change('a', renew('run', NOW, 3));
    expect(counted(metric)).toBeUndefined();
    await table.change('a', end('run', NOW, 9, { status }));
    // Another run, and SQS's repetition.
    await table.change('a', end('run', NOW, 9, { status: 'failed' }));
    await table.change('a', cancel(NOW, 9));
    expect(counted(metric)).toBe(1);
    expect(counted(metric === 'JobsFailed' ? 'JobsSucceeded' : 'JobsFailed')).toBeUndefined();
  });

  test('is counted when it is cancelled, or expires while it waits', async () => {
    const { table, counted } = await tableWith('a', 'b');
    const job = await table.get('a');
    if (job === undefined) throw new Error('no job');
    const queues = { run: async () => {}, notify: async () => {} };
    await cancelJob(job, { table, queues, now: () => NOW });
    await cancelJob(job, { table, queues, now: () => NOW });
    await table.change('b', expire(NOW + 2 * DAY, 9));
    expect(counted('JobsCancelled')).toBe(1);
    expect(counted('JobsExpired')).toBe(1);
  });

  test('is none when the job is given back', async () => {
    const { table, lines } = await tableWith('a');
    await table.change('a', claim('run', NOW));
    await table.change('a', giveBack('run', NOW, { counts: true }));
    expect(lines).toEqual([]);
  });

  test('is told in a line without what the job was about', async () => {
    const { table, lines } = await tableWith('a');
    await table.change('a', claim('run', NOW));
    await table.change('a', end('run', NOW, 9, { status: 'succeeded', with: { result: 'a secret' } }));
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      message: 'job ended',
      job: 'a',
      status: 'succeeded',
      seconds: 5,
    });
    expect(lines[0]).not.toContain('secret');
  });
});
