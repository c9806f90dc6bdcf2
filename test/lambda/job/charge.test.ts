import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { cancelJob } from '../../../lambda/job/cancel-job.ts';
import type { Job } from '../../../lambda/job/job.ts';
import { MAX_ATTEMPTS } from '../../../lambda/job/retry.ts';
import type { Outcome, Runner } from '../../../lambda/job/run-job.ts';
import { claim, LEASE_MS } from '../../../lambda/job/transitions.ts';
import { allRecords, ledgerOf } from '../support/ledger.ts';
import { answerText, Upstream } from '../support/upstream.ts';
import { createLedgerTable, startDynamoDb, type TestDynamoDb } from '../usage/fixture.ts';
import { HOUR, workerOf } from './support/worker.ts';

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

const ledger = () => ledgerOf(dynamoDb.client, table, 'alice');
const nano = ({ costUsd = 0 }: Job): number => Math.round(costUsd * 1e9);

class Died extends Error {}

/** A worker that dies when its run settles in the ledger: before that, or after it. */
function dyingWith({ ask }: Runner, when: 'before' | 'after'): Partial<Runner> {
  return {
    ask: async (...args): Promise<Outcome> => {
      const outcome = await ask(...args);
      const { account } = outcome;
      if (account === undefined) throw new Error('the run has no account');
      return {
        ...outcome,
        account: {
          usage: account.usage,
          settle: async (charged) => {
            if (when === 'after') await account.settle(charged);
            throw new Died();
          },
        },
      };
    },
  };
}

describe('a run that dies', () => {
  test.each(['before', 'after'] as const)(
    'when its job is told, %s its settlement: the message that comes again settles once',
    async (when) => {
      const worker = workerOf({ monthlyBudgetUsd: 10 }, { table, url: upstream.url });
      worker.submit('job_1');
      await expect(worker.run('job_1', dyingWith(worker.runner, when))).rejects.toThrow(Died);
      const job = worker.job('job_1');
      expect(job).toMatchObject({ status: 'succeeded' });
      expect(await ledger()).toMatchObject({ cost: when === 'before' ? 0 : nano(job) });
      for (let i = 0; i < 3; i++) await worker.run('job_1');
      expect(nano(job)).toBeGreaterThan(0);
      expect(await ledger()).toMatchObject({ cost: nano(job), spent: nano(job) });
      expect(await allRecords(dynamoDb.client, table)).toHaveLength(1);
      expect(upstream.requests).toHaveLength(1);
    },
  );

  test('when it has given its job back: the next one settles it, and itself', async () => {
    const worker = workerOf({ monthlyBudgetUsd: 10 }, { table, url: upstream.url });
    worker.submit('job_1');
    const { ask } = dyingWith(worker.runner, 'before') as Pick<Runner, 'ask'>;
    const breaking: Runner['ask'] = async (...args) => {
      const { account, spent } = await ask(...args);
      const error = { message: 'm', type: 'server_error', param: null, code: 'c' };
      return { kind: 'refused', status: 502, error, spent, ...(account && { account }) };
    };
    await expect(worker.run('job_1', { ask: breaking })).rejects.toThrow(Died);
    const half = worker.job('job_1');
    expect(half).toMatchObject({ status: 'queued', attempts: 1 });
    worker.time.now = half.notBefore;
    const job = await worker.run('job_1');
    expect(job).toMatchObject({ status: 'succeeded', costUsd: 2 * (half.costUsd ?? 0) });
    expect(await ledger()).toMatchObject({ cost: nano(job), spent: nano(job) });
    expect(await allRecords(dynamoDb.client, table)).toHaveLength(2);
  });

  test.each([
    ['is not wanted any more', { isWanted: async () => false }, 0, 'cancelled'],
    ['has expired', {}, 25 * HOUR, 'expired'],
    ['was tried too often', {}, 0, 'failed'],
  ] as const)('when it has given back a job that %s: what it told is settled', async (_, changed, laterMs, status) => {
    const worker = workerOf({ monthlyBudgetUsd: 10 }, { table, url: upstream.url });
    worker.submit('job_1', {}, status === 'failed' ? { attempts: MAX_ATTEMPTS - 1 } : {});
    const { ask } = dyingWith(worker.runner, 'before') as Pick<Runner, 'ask'>;
    const stopped: Runner['ask'] = async (...args) => {
      const { account, spent } = await ask(...args);
      return { kind: 'stopped', partial: 'four', spent, ...(account && { account }) };
    };
    await expect(worker.run('job_1', { ask: stopped })).rejects.toThrow(Died);
    worker.time.now += laterMs;
    if (status === 'failed') {
      // Two more that die before they do anything.
      for (let i = 0; i < 2; i++) {
        await worker.runner.table.change('job_1', claim(`dead-${i}`, worker.time.now));
        worker.time.now += LEASE_MS;
      }
    }
    const job = await worker.run('job_1', changed);
    expect(job).toMatchObject({ status });
    expect(nano(job)).toBeGreaterThan(0);
    expect(await ledger()).toMatchObject({ cost: nano(job) });
    expect(upstream.requests).toHaveLength(1);
  });

  test('before its job is told costs nothing: the one that does it again does', async () => {
    const worker = workerOf({ monthlyBudgetUsd: 10 }, { table, url: upstream.url });
    worker.submit('job_1');
    const { table: jobs } = worker.runner;
    let writes = 0;
    const dying = {
      ...jobs,
      change: async (...args: Parameters<typeof jobs.change>) => {
        if (++writes === 2) throw new Died();
        return jobs.change(...args);
      },
    };
    await expect(worker.run('job_1', { table: dying })).rejects.toThrow(Died);
    worker.time.now += LEASE_MS;
    const job = await worker.run('job_1');
    expect(job).toMatchObject({ status: 'succeeded' });
    expect(await ledger()).toMatchObject({ cost: nano(job), spent: nano(job) });
  });
});

describe('a run whose job can not be told', () => {
  const lines = (worker: ReturnType<typeof workerOf>) =>
    worker.lines.filter((line) => line.includes('"chat completion"')).map((line) => JSON.parse(line));

  test('is in the log, and gives back what it had reserved', async () => {
    const worker = workerOf({ monthlyBudgetUsd: 10 }, { table, url: upstream.url });
    worker.submit('job_1');
    const { table: jobs } = worker.runner;
    let writes = 0;
    const change: typeof jobs.change = async (...args) => {
      if (++writes === 2) throw new Error('throttled');
      return jobs.change(...args);
    };
    await expect(worker.run('job_1', { table: { ...jobs, change } })).rejects.toThrow('throttled');
    expect(lines(worker)).toMatchObject([{ uncharged: true }]);
    expect(await ledger()).toEqual({ cost: 0, spent: 0, reserved: 0 });
  });

  test.each([
    ['but was, for only the answer was lost', 'table'],
    ['but was, and what came after failed', 'queue'],
  ] as const)('%s: is paid for once', async (_, place) => {
    const worker = workerOf({ monthlyBudgetUsd: 10 }, { table, url: upstream.url });
    worker.submit('job_1', {}, { notice: 'due' });
    const { table: jobs, queues } = worker.runner;
    let writes = 0;
    const change: typeof jobs.change = async (...args) => {
      const changed = await jobs.change(...args);
      if (++writes === 2) throw new Error('lost');
      return changed;
    };
    const notify = () => Promise.reject(new Error('lost'));
    const failing = place === 'table' ? { table: { ...jobs, change } } : { queues: { ...queues, notify } };
    await expect(worker.run('job_1', failing)).rejects.toThrow('lost');
    const job = worker.job('job_1');
    expect(job).toMatchObject({ status: 'succeeded' });
    expect(lines(worker).map(({ uncharged }) => uncharged)).toEqual([undefined]);
    expect(await ledger()).toMatchObject({ cost: nano(job), spent: nano(job), reserved: 0 });
    await worker.run('job_1');
    expect(await ledger()).toMatchObject({ cost: nano(job), spent: nano(job), reserved: 0 });
  });
});

test('a run that lost its job to another one is not paid for, and its line of the log says so', async () => {
  const worker = workerOf({ monthlyBudgetUsd: 10 }, { table, url: upstream.url });
  worker.submit('job_1');
  const { ask } = worker.runner;
  await worker.run('job_1', {
    ask: async (...args) => {
      const outcome = await ask(...args);
      // It slept for longer than its lease, and another one was as fast as that.
      worker.time.now += LEASE_MS;
      await worker.run('job_1');
      return outcome;
    },
  });
  const job = worker.job('job_1');
  expect(upstream.requests).toHaveLength(2);
  expect(await ledger()).toMatchObject({ cost: nano(job), spent: nano(job), reserved: 0 });
  const lines = worker.lines.filter((line) => line.includes('"chat completion"')).map((line) => JSON.parse(line));
  expect(lines.map(({ uncharged }) => uncharged)).toEqual([undefined, true]);
});

test('a run that is cancelled pays for what it had used, once', async () => {
  const worker = workerOf({ monthlyBudgetUsd: 10 }, { table, url: upstream.url });
  worker.submit('job_1');
  const { ask } = worker.runner;
  let costUsd = 0;
  await worker.run('job_1', {
    ask: async (...args) => {
      const outcome = await ask(...args);
      costUsd = outcome.spent.costUsd;
      await cancelJob(worker.job('job_1'), worker.runner);
      return outcome;
    },
  });
  expect(worker.job('job_1')).toMatchObject({ status: 'cancelled' });
  await worker.run('job_1');
  expect(costUsd).toBeGreaterThan(0);
  expect(await ledger()).toMatchObject({ cost: Math.round(costUsd * 1e9), spent: Math.round(costUsd * 1e9) });
});

test('a ledger that is out of reach makes no failure of a job, and gets its costs later', async () => {
  const worker = workerOf({ monthlyBudgetUsd: 10 }, { table, url: upstream.url });
  worker.submit('job_1');
  await expect(worker.run('job_1', dyingWith(worker.runner, 'before'))).rejects.toThrow(Died);
  const settleAgain = () => Promise.reject(new Error('out of reach'));
  // The message stays where it is.
  await expect(worker.run('job_1', { settleAgain })).rejects.toThrow('out of reach');
  expect(worker.job('job_1')).toMatchObject({ status: 'succeeded' });
  await worker.run('job_1');
  expect(await ledger()).toMatchObject({ cost: nano(worker.job('job_1')) });
});
