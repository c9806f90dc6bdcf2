import { cancelJob } from '../cancel-job.ts';
import { isFinal, type Job } from '../job.ts';
import { advance, type Batch, batchKey } from './batch.ts';
import { each } from './each.ts';
import { lineIds } from './line-job.ts';
import { BatchProgress, SHARD_LINES } from './progress.ts';
import { type BatchRun, isHandedOn } from './work.ts';

/**
 * Cancels what hasn't ended yet. Lines that get their jobs meanwhile are cancelled by the workers that would run them.
 *
 * @returns whether all is done; else another worker is at it, or will be
 */
export async function cancelLines(batch: Batch, run: BatchRun): Promise<boolean> {
  const { id, total = 0, ttl } = batch;
  const progress = new BatchProgress(run.items);
  // They are counted together, a counter at a time.
  const runner = { table: run.jobs, queues: run.queues, now: run.now };
  for (let from = batch.cancelledLines ?? 0; from < total; ) {
    const to = Math.min(total, from + (run.jobsAtOnce ?? SHARD_LINES));
    const jobs = await run.jobs.getAll(lineIds(id, from, to));
    const unanswered: number[] = [];
    await each([...jobs.values()], async (job: Job) => {
      const { status, line } = isFinal(job) ? job : await cancelJob(job, runner);
      if (status !== 'succeeded' && line !== undefined) unanswered.push(line);
    });
    await progress.unanswered({ id, total, ttl }, unanswered);
    if ((await run.items.change(batchKey(id), advance('cancelled', from, to))) === undefined) return false;
    from = to;
    if (from < total && (await isHandedOn(batch, run))) return false;
  }
  return true;
}
