import type { SqsQueues } from '../aws/queues.ts';
import type { ItemTable } from '../aws/table.ts';
import { cancelJob } from '../cancel-job.ts';
import { isFinal, type Job } from '../job.ts';
import type { Blobs, JobTable } from '../ports.ts';
import { MAX_INLINE_BYTES, ttlOf } from '../run-job.ts';
import { asBatch, type Batch, batchKey, begin, close, finalize, planned, reject } from './batch.ts';
import { keepFile } from './files.ts';
import { readLines } from './input.ts';
import { type ResultLine, resultLine } from './output.ts';
import { BatchProgress } from './progress.ts';

export interface BatchDeps {
  readonly items: ItemTable;
  readonly jobs: JobTable;
  readonly queues: SqsQueues;
  readonly blobs: Blobs;
  readonly now: () => number;
}

/** Calls to the table at once. */
const AT_ONCE = 40;

const lineId = (batch: string, line: number): string => `line_${batch.slice('batch_'.length)}_${line}`;

/** One message about a batch: takes it a step on from wherever it is. Any step may be done again. */
export async function runBatch(id: string, deps: BatchDeps): Promise<void> {
  const batch = await getBatch(id, deps);
  if (batch === undefined) return;
  if (batch.status === 'validating') await start(batch, deps);
  else if (batch.status === 'in_progress' && batch.plannedAt === undefined) await plan(batch, deps);
  else if (batch.status === 'in_progress') await finishIfDone(batch, deps);
  else if (batch.status === 'finalizing') await finish(batch, deps);
  else if (batch.status === 'cancelling') await cancelLines(batch, deps);
}

export async function getBatch(id: string, { items }: Pick<BatchDeps, 'items'>): Promise<Batch | undefined> {
  const item = await items.get(batchKey(id));
  return item === undefined ? undefined : asBatch(item);
}

async function start(batch: Batch, deps: BatchDeps): Promise<void> {
  const { lines, problems } = readLines(await deps.blobs.get(batch.inputKey), batch.endpoint);
  const change = problems.length > 0 ? reject(deps.now(), JSON.stringify(problems)) : begin(deps.now(), lines.length);
  const next = await deps.items.change(batchKey(batch.id), change);
  if (next !== undefined && problems.length === 0) await plan(asBatch(next), deps);
}

/** A job for each line. What is there already is left as it is; its message is sent again, which does no harm. */
async function plan(batch: Batch, deps: BatchDeps): Promise<void> {
  const { lines } = readLines(await deps.blobs.get(batch.inputKey), batch.endpoint);
  await each(lines.length, async (index) => {
    const line = lines[index];
    if (line === undefined) return;
    const id = lineId(batch.id, index);
    const isLong = Buffer.byteLength(line.request) > MAX_INLINE_BYTES;
    const requestAt = `inputs/${id}/line`;
    if (isLong) await deps.blobs.put(requestAt, line.request);
    const job: Job = {
      id,
      kind: 'line',
      consumer: batch.consumer,
      tier: batch.tier,
      ...(batch.team === undefined ? {} : { team: batch.team }),
      ...(batch.monthlyBudgetUsd === undefined ? {} : { monthlyBudgetUsd: batch.monthlyBudgetUsd }),
      model: line.model,
      status: 'queued',
      // Whoever takes a day may let others go first.
      priority: 'low',
      createdAt: batch.createdAt,
      notBefore: batch.createdAt,
      expiresAt: batch.expiresAt,
      ttl: batch.ttl,
      retentionMs: batch.retentionMs,
      attempts: 0,
      generation: 0,
      outputTokens: 0,
      ...(isLong ? { requestAt } : { request: line.request }),
      fingerprint: '',
      notice: 'none',
      batch: batch.id,
      line: index,
      customId: line.customId,
    };
    await deps.jobs.create(job, deps.now());
    await deps.queues.run(job, 0);
  });
  const next = await deps.items.change(batchKey(batch.id), planned(deps.now()));
  // The lines may have been quicker than this.
  if (next !== undefined) await finishIfDone(asBatch(next), deps);
}

/** A line's job has come to its end. May be called again. */
export async function lineEnded(job: Job, deps: BatchDeps): Promise<void> {
  if (job.kind !== 'line' || job.batch === undefined) return;
  const batch = await getBatch(job.batch, deps);
  if (batch?.total === undefined) return;
  const isShardDone = await new BatchProgress(deps.items).ended(job, batch.total);
  if (isShardDone) await finishIfDone(batch, deps);
}

/** By a message of its own: writing the files takes longer than a line's worker has. */
async function finishIfDone(batch: Batch, deps: BatchDeps): Promise<void> {
  const { done } = await new BatchProgress(deps.items).of(batch.id);
  if (done < (batch.total ?? Number.POSITIVE_INFINITY)) return;
  if (batch.status === 'in_progress') await deps.items.change(batchKey(batch.id), finalize(deps.now()));
  if (batch.status === 'in_progress' || batch.status === 'cancelling') await deps.queues.batch(batch.id, 0);
}

async function cancelLines(batch: Batch, deps: BatchDeps): Promise<void> {
  const runner = {
    table: deps.jobs,
    queues: deps.queues,
    now: deps.now,
    ended: (job: Job) => countLine(job, batch, deps),
  };
  await each(batch.total ?? 0, async (index) => {
    const job = await deps.jobs.get(lineId(batch.id, index));
    if (job !== undefined && !isFinal(job)) await cancelJob(job, runner);
  });
  await finish(batch, deps);
}

const countLine = async (job: Job, batch: Batch, deps: BatchDeps): Promise<void> => {
  await new BatchProgress(deps.items).ended(job, batch.total ?? 0);
};

/** Writes the files, in the lines' order. The same again, should it be done twice. */
async function finish(batch: Batch, deps: BatchDeps): Promise<void> {
  const results: ResultLine[] = new Array<ResultLine>(batch.total ?? 0);
  let isExpired = false;
  await each(results.length, async (index) => {
    const job = await deps.jobs.get(lineId(batch.id, index));
    if (job?.status === 'expired') isExpired = true;
    results[index] = await resultLine(job, lineId(batch.id, index), deps.blobs);
  });
  const files: Record<string, string> = {};
  const told = results.filter(({ text }) => text !== undefined);
  for (const [attribute, name, isError] of [
    ['outputFileId', 'output', false],
    ['errorFileId', 'error', true],
  ] as const) {
    const lines = told.filter((result) => result.isError === isError).map(({ text }) => `${text}\n`);
    if (lines.length > 0) files[attribute] = await writeFile(batch, name, lines.join(''), deps);
  }
  const status = batch.status === 'cancelling' ? 'cancelled' : isExpired ? 'expired' : 'completed';
  await deps.items.change(batchKey(batch.id), close(status, deps.now(), files));
}

async function writeFile(batch: Batch, name: string, text: string, deps: BatchDeps): Promise<string> {
  const id = `file-${batch.id.slice('batch_'.length)}-${name}`;
  const key = `files/${id}`;
  const now = deps.now();
  await deps.blobs.put(key, text);
  await keepFile(
    {
      id,
      consumer: batch.consumer,
      filename: `${batch.id}_${name}.jsonl`,
      bytes: Buffer.byteLength(text),
      purpose: 'batch_output',
      createdAt: now,
      key,
      ttl: ttlOf(batch, now),
    },
    deps.items,
  );
  return id;
}

/** For each number below, some at once. */
async function each(count: number, call: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < count) await call(next++);
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, count) }, work));
}
