import type { Job } from '../../../../lambda/job/job.ts';

/** A job that waits to be run, at the time 0. */
export function anyJob(job: Partial<Job> = {}): Job {
  return {
    id: 'job_1',
    kind: 'job',
    consumer: 'alice',
    tier: 'standard',
    model: 'chat',
    status: 'queued',
    priority: 'normal',
    createdAt: 0,
    notBefore: 0,
    expiresAt: 1_000_000_000,
    ttl: 2_000_000,
    retentionMs: 1_000_000,
    attempts: 0,
    generation: 0,
    outputTokens: 0,
    request: '{}',
    fingerprint: 'f',
    notice: 'none',
    ...job,
  };
}
