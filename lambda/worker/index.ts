import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { lazyCache } from '../cache/lazy.ts';
import { loadConfig, SERVING_CONFIG_FILE } from '../contract/config.ts';
import { every, handleEach, type SqsEvent, type SqsRecord, type SqsResult } from '../job/aws/messages.ts';
import { messageOf } from '../job/aws/queues.ts';
import { Visibility } from '../job/aws/visibility.ts';
import { isWanted, runBatch } from '../job/batch/run-batch.ts';
import { required } from '../job/environment.ts';
import { stores } from '../job/from-environment.ts';
import type { Job } from '../job/job.ts';
import { RENEW_MS, runJob } from '../job/run-job.ts';
import { Walk } from '../job/walk/ask.ts';
import { ledgerOf } from '../serving/ledger-steps.ts';
import { createServing } from '../serving/serve.ts';
import { stackOf } from '../serving/settle.ts';

/** Kept back of the function's time: for the checkpoint, and the messages. */
const RESERVE_MS = 20_000;

const log = (line: string): boolean => process.stdout.write(`${line}\n`);
const config = loadConfig(readFileSync(join(import.meta.dirname, SERVING_CONFIG_FILE), 'utf8'), process.env);
const walk = new Walk(config);
const cache = config.cache && lazyCache(config.cache, process.env);
cache?.warm();
const ledger = ledgerOf(config);
const serve = createServing(config, {
  ...{ log, withPrelude: walk.withPrelude, identify: walk.identify, takeAccount: walk.takeAccount, ledger },
  ...(cache && { cache }),
});
const shared = stores(process.env, { namespace: config.metrics.namespace, log });
const { jobs, queues, blobs, ended } = shared;
const visibility = new Visibility(required(process.env, 'LLM_JOBS_QUEUE_URL'));

export async function handler(event: SqsEvent, context: { getRemainingTimeInMillis(): number }): Promise<SqsResult> {
  const ask = walk.asker(serve, () => context.getRemainingTimeInMillis() - RESERVE_MS);
  const runner = {
    table: jobs,
    queues,
    blobs,
    ask,
    ended,
    isWanted: (job: Job) => isWanted(job, shared),
    settleAgain: walk.lateSettlement(ledger, log),
    now: Date.now,
    random: Math.random,
    newRun: randomUUID,
    every,
  };
  const batchRun = {
    ...shared,
    remainingMs: () => context.getRemainingTimeInMillis(),
    maxLineLength: config.limits.maxRequestBytes,
  };
  return handleEach(
    event,
    async (record) => {
      const message = messageOf(record.body);
      const alive = () => visibility.keep(record);
      await alive();
      if ('job' in message) await runJob(message.job, runner, alive);
      else if ('batch' in message) await keptVisible(record, () => runBatch(message.batch, batchRun));
      else throw new Error('no message for a worker');
    },
    (record, error) => {
      log(failureLine(record, error));
      return visibility.putOff(record);
    },
  );
}

/** A batch of many lines takes a while. */
async function keptVisible(record: SqsRecord, work: () => Promise<void>): Promise<void> {
  const stop = every(RENEW_MS, () => visibility.keep(record));
  try {
    await work();
  } finally {
    stop();
  }
}

/** Names and places: messages of errors may hold what they choked on. */
function failureLine({ messageId }: SqsRecord, thrown: unknown): string {
  const error = thrown instanceof Error ? thrown : new Error('not an error');
  return JSON.stringify({
    timestamp: new Date().toISOString(),
    level: 'ERROR',
    message: 'job message failed',
    message_id: messageId,
    error: error.name,
    at: stackOf(error),
  });
}
