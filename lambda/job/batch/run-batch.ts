import { isFinal, type Job } from '../job.ts';
import { advance, asBatch, type Batch, batchKey, begin, finalize, planned, reject } from './batch.ts';
import { cancelLines } from './cancel-lines.ts';
import { each } from './each.ts';
import { bytesOf } from './files.ts';
import { type Line, Requests } from './input.ts';
import { lineJob } from './line-job.ts';
import { linesOf } from './lines.ts';
import { BatchProgress, SHARD_LINES } from './progress.ts';
import { type BatchDeps, type BatchRun, getBatch, isHandedOn } from './work.ts';
import { writeFiles } from './write-files.ts';

/**
 * One message about a batch: takes it on from wherever it is. Each work goes through the lines in steps that may be done
 * again, and keeps how far it has come, so that a batch of any size outlives its workers and their 15 minutes.
 */
export async function runBatch(id: string, run: BatchRun): Promise<void> {
  const batch = await getBatch(id, run);
  if (batch === undefined) return;
  if (batch.status === 'validating') await start(batch, run);
  else if (batch.status === 'in_progress' && batch.plannedAt === undefined) await plan(batch, run);
  else if (batch.status === 'in_progress') await finishIfDone(batch, run);
  else if (batch.status === 'finalizing') await writeFiles(batch, run);
  else if (batch.status === 'cancelling' && (await cancelLines(batch, run))) await writeFiles(batch, run);
}

function requestsOf(batch: Batch, requests: Requests, { blobs, maxLineLength }: BatchRun): AsyncGenerator<Line> {
  const { inputKey: key, inputParts: parts } = batch;
  const bytes = bytesOf({ key, ...(parts === undefined ? {} : { parts }) }, blobs);
  return requests.of(linesOf(bytes, maxLineLength));
}

async function start(batch: Batch, run: BatchRun): Promise<void> {
  const requests = new Requests(batch.endpoint);
  for await (const _ of requestsOf(batch, requests, run)) {
    // Only looked at: nothing is run of a file that is wrong.
  }
  const { problems, count } = requests;
  const change = problems.length > 0 ? reject(run.now(), JSON.stringify(problems)) : begin(run.now(), count);
  const next = await run.items.change(batchKey(batch.id), change);
  if (next !== undefined && problems.length === 0) await plan(asBatch(next), run);
}

/** A job for each line. */
async function plan(batch: Batch, run: BatchRun): Promise<void> {
  let from = batch.plannedLines ?? 0;
  let step: Line[] = [];
  let index = 0;
  for await (const line of requestsOf(batch, new Requests(batch.endpoint), run)) {
    if (index++ < from) continue;
    step.push(line);
    if (step.length < (run.jobsAtOnce ?? SHARD_LINES)) continue;
    if (!(await submitLines(batch, from, step, run))) return;
    from += step.length;
    step = [];
    if (await isHandedOn(batch, run)) return;
  }
  if (step.length > 0 && !(await submitLines(batch, from, step, run))) return;
  const next = await run.items.change(batchKey(batch.id), planned(run.now()));
  // The lines may have been quicker than this.
  if (next !== undefined) await finishIfDone(asBatch(next), run);
}

/**
 * Some lines' jobs. What is there already is left as it is; its message is sent again, which does no harm.
 *
 * @returns whether to go on: not when the batch was cancelled, or another worker is at it
 */
async function submitLines(batch: Batch, from: number, lines: readonly Line[], run: BatchRun): Promise<boolean> {
  const jobs = new Array<Job>(lines.length);
  await each(lines, async (line, index) => {
    const job = await lineJob(batch, from + index, line, run.blobs);
    await run.jobs.create(job, run.now());
    jobs[index] = job;
  });
  await run.queues.runAll(jobs);
  const next = await run.items.change(batchKey(batch.id), advance('planned', from, from + lines.length));
  return next !== undefined;
}

/**
 * Whether a line's job is still to be run: one may have been made, or a message of it be on its way, when its batch was
 * cancelled.
 */
export async function isWanted(job: Job, deps: Pick<BatchDeps, 'items'>): Promise<boolean> {
  if (job.kind !== 'line' || job.batch === undefined) return true;
  const batch = await getBatch(job.batch, deps);
  return batch !== undefined && batch.status !== 'cancelling' && batch.status !== 'cancelled';
}

/** A line's job has come to its end. May be called again. */
export async function lineEnded(job: Job, deps: BatchDeps): Promise<void> {
  if (job.kind !== 'line' || job.batch === undefined || !isFinal(job)) return;
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
