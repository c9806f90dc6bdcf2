import type { Job } from './job.ts';
import { afterEnd, type Runner, ttlOf } from './run-job.ts';
import { cancel, expire } from './transitions.ts';

/** Ends a job that nobody waits for, whether it is queued or runs. @returns the job as it is then */
export async function cancelJob(job: Job, runner: Pick<Runner, 'table' | 'queues' | 'ended' | 'now'>): Promise<Job> {
  const now = runner.now();
  const ended =
    (await runner.table.change(job.id, cancel(now, ttlOf(job, now)))) ??
    (await runner.table.change(job.id, expire(now, ttlOf(job, now))));
  if (ended !== undefined) await afterEnd(ended, runner);
  return ended ?? (await runner.table.get(job.id)) ?? job;
}
