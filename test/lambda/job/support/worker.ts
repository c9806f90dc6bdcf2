import { randomUUID } from 'node:crypto';
import { loadConfig } from '../../../../lambda/contract/config.ts';
import type { Change, Item } from '../../../../lambda/job/change.ts';
import { asJob, itemOf, type Job } from '../../../../lambda/job/job.ts';
import { type Runner, runJob } from '../../../../lambda/job/run-job.ts';
import { Walk } from '../../../../lambda/job/walk/ask.ts';
import { createServing } from '../../../../lambda/serving/serve.ts';
import { openLedger } from '../../../../lambda/usage/index.ts';
import type { TierLimitsConfig } from '../../../../lib/private/serving-config.ts';
import { budgetedTier, ledgerConfig } from '../../support/ledger.ts';
import { HELLO, model, openAiBackend, servingConfig } from '../../support/serving.ts';
import { anyJob } from './jobs.ts';
import { applied } from './memory-table.ts';

/** Half past, in a month that has an hour left. */
export const START = Date.parse('2026-11-30T23:00:30Z');
export const HOUR = 3_600_000;

/** A worker before a ledger, both by the test's clock. */
export function workerOf(limits: Partial<TierLimitsConfig>, { table, url }: { table: string; url: string }) {
  const time = { now: START };
  const now = (): number => time.now;
  const config = loadConfig(
    JSON.stringify(servingConfig([model([openAiBackend(url)])], { ...ledgerConfig, tiers: [budgetedTier(limits)] })),
    { LEDGER: table },
  );
  if (config.ledger === undefined) throw new Error('the configuration has no ledger');
  const walk = new Walk(config);
  const { withPrelude, identify, takeAccount } = walk;
  const lines: string[] = [];
  const ledger = openLedger(config.ledger, { now });
  const serve = createServing(config, {
    log: (line) => void lines.push(line),
    withPrelude,
    identify,
    takeAccount,
    ledger,
  });
  const items = new Map<string, Item>();
  const messages: Array<{ id: string; delayMs: number }> = [];
  const job = (id: string): Job => asJob(items.get(id) as Item);
  const runner: Runner = {
    table: {
      get: async (id: string) => job(id),
      create: () => Promise.reject(new Error('not here')),
      change: async (id: string, change: Change) => {
        const next = applied(change, items.get(id) as Item);
        if (next !== undefined) items.set(id, next);
        return next === undefined ? undefined : asJob(next);
      },
    },
    queues: {
      run: async ({ id }: { id: string }, delayMs: number) => void messages.push({ id, delayMs }),
      notify: async () => {},
    },
    blobs: { put: () => Promise.reject(new Error('none')), get: () => Promise.reject(new Error('none')) },
    ask: walk.asker(serve, () => 60_000),
    settleAgain: walk.lateSettlement(Promise.resolve(ledger), (line) => void lines.push(line)),
    now,
    random: () => 0,
    newRun: randomUUID,
    every: () => () => {},
  };
  return {
    runner,
    lines,
    time,
    messages,
    job,
    submit(id: string, more: object = {}, of: Partial<Job> = {}): void {
      const request = JSON.stringify({ ...HELLO, ...more });
      items.set(id, itemOf(anyJob({ id, request, createdAt: START, expiresAt: START + 24 * HOUR, ...of })));
    },
    /** @param changed what its worker does otherwise, such as die */
    run: async (id: string, changed: Partial<Runner> = {}): Promise<Job> => {
      await runJob(id, { ...runner, ...changed });
      return job(id);
    },
  };
}
