import type { Job } from '../job.ts';
import type { JobQueues, JobTable } from '../ports.ts';
import { claimNotice, noticeTried } from '../transitions.ts';
import { pauseMs } from './schedule.ts';

/** What came of one request to a receiver. */
export interface Sent {
  /** A 2xx, and nothing else. */
  readonly ok: boolean;
  readonly status?: number;
  /** Why not, in a word or two. */
  readonly reason?: string;
  /** Nothing would change that: the address is one that isn't asked. */
  readonly isLasting?: boolean;
}

export interface Deliverer {
  readonly table: JobTable;
  readonly queues: JobQueues;
  /** A signed notification. The same job's end has the same id, however often it is sent. */
  send(job: Job, noticeId: string): Promise<Sent>;
  /** What can't be delivered is put where an operator finds it. May be called again. */
  bury(job: Job, reason: string): Promise<void>;
  readonly pauses?: readonly number[];
  readonly now: () => number;
  readonly random: () => number;
  readonly newRun: () => string;
}

/** One attempt, as the job tells it to its owner. */
export interface LogEntry {
  readonly at: number;
  readonly status?: number;
  readonly reason?: string;
}

const MAX_LOG_ENTRIES = 20;

/** What a receiver tells one notification from another by: a repetition has the same id. */
export const noticeIdOf = (job: Pick<Job, 'id' | 'generation'>): string =>
  job.generation === 0 ? `msg_${job.id}` : `msg_${job.id}_${job.generation}`;

/** One message of the notices' queue: one attempt, if one is due. */
export async function deliver(id: string, deliverer: Deliverer): Promise<void> {
  const { table, queues } = deliverer;
  const run = deliverer.newRun();
  const job = await table.change(id, claimNotice(run, deliverer.now()));
  if (job === undefined) {
    const now = deliverer.now();
    const current = await table.get(id);
    if (current?.notice !== 'due') return;
    // Too early, or somebody else is at it, and may die.
    const due = Math.max(current.noticeAt ?? 0, current.noticeLeaseUntil ?? 0);
    await queues.notify(current, Math.max(1_000, due - now));
    return;
  }
  const at = deliverer.now();
  const sent = await deliverer.send(job, noticeIdOf(job));
  const entry: LogEntry = {
    at,
    ...(sent.status === undefined ? {} : { status: sent.status }),
    ...(sent.reason === undefined ? {} : { reason: sent.reason }),
  };
  const log = JSON.stringify([...logOf(job), entry].slice(-MAX_LOG_ENTRIES));
  if (sent.ok) {
    await table.change(id, noticeTried(run, log, { delivered: true }));
    return;
  }
  const pause = sent.isLasting ? undefined : pauseMs(job.noticeAttempts ?? 1, deliverer.random(), deliverer.pauses);
  if (pause === undefined) {
    // First where it is found, then marked: the other way round a death between the two would lose it.
    await deliverer.bury(job, sent.reason ?? 'failed');
    await table.change(id, noticeTried(run, log, { dead: true }));
    return;
  }
  const again = deliverer.now() + pause;
  const waiting = await table.change(id, noticeTried(run, log, { again }));
  if (waiting !== undefined) await queues.notify(waiting, pause);
}

export const logOf = (job: Pick<Job, 'noticeLog'>): readonly LogEntry[] =>
  job.noticeLog === undefined ? [] : (JSON.parse(job.noticeLog) as LogEntry[]);
