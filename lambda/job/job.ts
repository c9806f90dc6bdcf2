import type { Item } from './change.ts';

/**
 * Where a job is in its life. `queued` and `running` may take turns (a wait, a worker that died, a run that was handed
 * on); the others are final, and nothing but an operator's `retry` leaves them.
 */
export type JobStatus = 'queued' | 'running' | 'succeeded' | 'failed' | 'cancelled' | 'expired';

export const FINAL: ReadonlySet<JobStatus> = new Set(['succeeded', 'failed', 'cancelled', 'expired']);

/** What asked for it: `POST /v1/jobs`, `POST /v1/responses`, or a line of a batch. */
export type JobKind = 'job' | 'response' | 'line';

/** Where the notification of a job's end is: none was asked for, to be delivered, delivered, or given up. */
export type NoticeStatus = 'none' | 'due' | 'delivered' | 'dead';

/** Higher is served first by engines that know priorities. */
export type JobPriority = 'low' | 'normal' | 'high';

/** A job as it is kept. Times are Unix milliseconds. What has structure is JSON text. */
export interface Job {
  readonly id: string;
  readonly kind: JobKind;
  readonly consumer: string;
  readonly tier: string;
  /** Who else pays, and how much the consumer may spend, as of the submission. */
  readonly team?: string;
  readonly monthlyBudgetUsd?: number;
  readonly model: string;
  readonly status: JobStatus;
  readonly priority: JobPriority;
  readonly createdAt: number;
  /** It isn't run before. */
  readonly notBefore: number;
  /** It isn't run after: the job expires instead. */
  readonly expiresAt: number;
  /** Until when its result can be fetched; also the table's TTL, which deletes days later. Unix seconds. */
  readonly ttl: number;
  readonly retentionMs: number;
  readonly startedAt?: number;
  readonly endedAt?: number;
  /** The run that holds it, and until when. */
  readonly run?: string;
  readonly leaseUntil?: number;
  /** Runs that were begun and not given back: those that failed or died, and the present one. */
  readonly attempts: number;
  /** Goes up with each `retry`: what is notified then is something new. */
  readonly generation: number;
  /** Output tokens of the runs that came to an end. */
  readonly outputTokens: number;
  /** Those, and what the present run has so far. */
  readonly progress?: number;
  /** A chat completion request; in S3 when `requestAt` is there. */
  readonly request?: string;
  readonly requestAt?: string;
  /** Of the client's words, to tell whether an idempotency key came with the same ones. */
  readonly fingerprint: string;
  /** What an interrupted run had of the answer; in S3 when `partialAt` is there. */
  readonly partial?: string;
  readonly partialAt?: string;
  readonly result?: string;
  readonly resultAt?: string;
  /** OpenAI's error object. */
  readonly error?: string;
  /** Why it waits, if it does. */
  readonly waitsFor?: string;
  readonly inputTokens?: number;
  readonly costUsd?: number;
  readonly backend?: string;
  /** A ledger's record of the last run that cost something: it may not have come as far as that. */
  readonly unsettled?: string;
  readonly metadata?: string;
  readonly feature?: string;
  /** What the client said of the job that its own form repeats (a response's instructions, …). */
  readonly form?: string;
  /** In S3, when it is long. */
  readonly formAt?: string;
  readonly webhookUrl?: string;
  readonly notice: NoticeStatus;
  readonly noticeRun?: string;
  readonly noticeLeaseUntil?: number;
  readonly noticeAttempts?: number;
  readonly noticeAt?: number;
  /** The last attempts at delivery. */
  readonly noticeLog?: string;
  readonly batch?: string;
  readonly line?: number;
  readonly customId?: string;
}

/** As the table gives it back. */
export const asJob = (item: Item): Job => item as unknown as Job;

/** A job as an item: what isn't there isn't written. */
export function itemOf(job: Job): Item {
  return Object.fromEntries(Object.entries(job).filter(([, value]) => value !== undefined)) as Item;
}

export const isFinal = (job: Pick<Job, 'status'>): boolean => FINAL.has(job.status);
