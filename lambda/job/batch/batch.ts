import { all, any, type Change, type Item, where } from '../change.ts';

export type BatchStatus =
  | 'validating'
  | 'failed'
  | 'in_progress'
  | 'finalizing'
  | 'completed'
  | 'expired'
  | 'cancelling'
  | 'cancelled';

/** A file of requests, run as a job a line. Times are Unix milliseconds. */
export interface Batch {
  readonly id: string;
  readonly consumer: string;
  readonly tier: string;
  readonly team?: string;
  readonly monthlyBudgetUsd?: number;
  readonly status: BatchStatus;
  readonly endpoint: string;
  readonly inputFileId: string;
  readonly inputKey: string;
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly ttl: number;
  readonly retentionMs: number;
  /** Lines of the file; known once it has been looked through. */
  readonly total?: number;
  /** Every line has its job. */
  readonly plannedAt?: number;
  readonly inProgressAt?: number;
  readonly finalizingAt?: number;
  readonly cancellingAt?: number;
  readonly endedAt?: number;
  readonly errors?: string;
  readonly outputFileId?: string;
  readonly errorFileId?: string;
  readonly metadata?: string;
}

export const asBatch = (item: Item): Batch => item as unknown as Batch;

export const batchKey = (id: string) => ({ pk: `batch#${id}`, sk: 'batch' });

const is = (status: BatchStatus) => where('status', '=', status);

/** The file is in order: its lines become jobs. */
export const begin = (now: number, total: number): Change => ({
  when: is('validating'),
  set: { status: 'in_progress', inProgressAt: now, total },
});

export const reject = (now: number, errors: string): Change => ({
  when: is('validating'),
  set: { status: 'failed', endedAt: now, errors },
});

export const planned = (now: number): Change => ({
  when: any(is('in_progress'), is('cancelling')),
  set: { plannedAt: now },
});

export const finalize = (now: number): Change => ({
  when: is('in_progress'),
  set: { status: 'finalizing', finalizingAt: now },
});

export const stop = (now: number): Change => ({
  when: any(is('validating'), is('in_progress')),
  set: { status: 'cancelling', cancellingAt: now },
});

/** All lines have ended and the files are written. */
export const close = (
  status: 'completed' | 'expired' | 'cancelled',
  now: number,
  files: Readonly<Record<string, string>>,
): Change => ({
  when: all(any(is('finalizing'), is('cancelling'))),
  set: { ...files, status, endedAt: now },
});
