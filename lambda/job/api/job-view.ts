import { isFinal, type Job } from '../job.ts';
import { logOf, noticeIdOf } from '../notice/deliver.ts';
import { seconds } from './scope.ts';

/** A job as its owner sees it. */
export function jobView(job: Job, result?: string): { readonly id: string; readonly [field: string]: unknown } {
  return {
    id: job.id,
    object: 'job',
    status: job.status,
    model: job.model,
    priority: job.priority,
    created_at: seconds(job.createdAt),
    not_before: job.notBefore > job.createdAt && job.startedAt === undefined ? seconds(job.notBefore) : null,
    expires_at: seconds(job.expiresAt),
    started_at: seconds(job.startedAt),
    completed_at: seconds(job.endedAt),
    result_until: isFinal(job) ? job.ttl : null,
    progress: { output_tokens: isFinal(job) ? job.outputTokens : (job.progress ?? job.outputTokens) },
    ...(job.status === 'queued' && job.waitsFor !== undefined ? { waiting_for: job.waitsFor } : {}),
    attempts: job.attempts,
    backend: job.backend ?? null,
    usage:
      job.costUsd === undefined
        ? null
        : {
            prompt_tokens: job.inputTokens ?? 0,
            completion_tokens: job.outputTokens,
            total_tokens: (job.inputTokens ?? 0) + job.outputTokens,
            cost_usd: job.costUsd,
          },
    ...(result === undefined ? {} : { result: JSON.parse(result) }),
    error: errorOf(job),
    metadata: job.metadata === undefined ? null : JSON.parse(job.metadata),
    webhook: job.webhookUrl === undefined ? null : webhookView(job),
  };
}

export function errorOf(job: Job): object | null {
  if (job.error !== undefined) return JSON.parse(job.error) as object;
  if (job.status !== 'expired') return null;
  return {
    message: 'The job could not be finished before it expired.',
    type: 'server_error',
    param: null,
    code: 'expired',
  };
}

const webhookView = (job: Job): object => ({
  url: job.webhookUrl,
  status: isFinal(job) ? job.notice : 'pending',
  id: noticeIdOf(job),
  next_attempt_at: job.notice === 'due' ? seconds(job.noticeAt) : null,
  attempts: logOf(job).map(({ at, status, reason }) => ({
    at: seconds(at),
    status: status ?? null,
    error: reason ?? null,
  })),
});

/** Seconds. */
const MAX_POLL = 30;

/** When it is worth asking again: soon for a young job, later for one that takes long. */
export function pollAfter(job: Job, now: number): number {
  const age = (now - job.createdAt) / 1000;
  const untilDue = job.status === 'queued' ? (job.notBefore - now) / 1000 : 0;
  return Math.max(1, Math.round(Math.min(MAX_POLL, Math.max(untilDue, age / 4))));
}
