import { all, any, type Change, type Item, type Value, where } from '../change.ts';

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
  /** Of a file that is in parts. */
  readonly inputParts?: string;
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly ttl: number;
  readonly retentionMs: number;
  /** Lines of the file; known once it has been looked through. */
  readonly total?: number;
  /** How far each of its works has come, in lines: another worker goes on from there. */
  readonly plannedLines?: number;
  readonly cancelledLines?: number;
  readonly writtenLines?: number;
  /** What there is of the files so far: names of parts, as JSON, and bytes. */
  readonly outputParts?: string;
  readonly errorParts?: string;
  readonly outputBytes?: number;
  readonly errorBytes?: number;
  /** A line had no time left. */
  readonly someExpired?: number;
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
  set: { status: 'in_progress', inProgressAt: now, total, plannedLines: 0, cancelledLines: 0, writtenLines: 0 },
});

export const reject = (now: number, errors: string): Change => ({
  when: is('validating'),
  set: { status: 'failed', endedAt: now, errors },
});

/** One of its works, which goes through the lines in their order. */
export type Work = 'planned' | 'cancelled' | 'written';

const DURING: Readonly<Record<Work, Change['when']>> = {
  planned: is('in_progress'),
  cancelled: is('cancelling'),
  written: any(is('finalizing'), is('cancelling')),
};

/** A work has come so much further. Of two workers that are at it (a message came twice) one is told to stop. */
export const advance = (work: Work, from: number, to: number, more: Readonly<Record<string, Value>> = {}): Change => ({
  when: all(DURING[work], where(`${work}Lines`, '=', from)),
  set: { ...more, [`${work}Lines`]: to },
});

export const planned = (now: number): Change => ({ when: is('in_progress'), set: { plannedAt: now } });

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
  when: any(is('finalizing'), is('cancelling')),
  set: { ...files, status, endedAt: now },
});
