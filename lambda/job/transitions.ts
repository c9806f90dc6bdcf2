import { all, any, type Change, type Condition, type Value, where } from './change.ts';
import type { JobStatus } from './job.ts';

/**
 * Every way from one state of a job to another: one conditional write each. What two workers, a cancellation and SQS's
 * repetitions do at once comes out as if one had come after the other, because each of these happens or doesn't.
 *
 * A run holds a job by its id and a lease. The id is the fence: a run that lost the job (its lease ran out and another
 * took over, or the job was cancelled) can't write a word of it any more.
 */

/** How long a run holds a job without saying that it lives. Renewed several times within it. */
export const LEASE_MS = 90_000;

const is = (status: JobStatus): Condition => where('status', '=', status);
const isOpen = any(is('queued'), is('running'));
const isHeldBy = (run: string): Condition => all(is('running'), where('run', '=', run));
const isAbandoned = (now: number): Condition => all(is('running'), where('leaseUntil', '<=', now));

/** A run takes a job that waits, or that a run has let go by dying. */
export const claim = (run: string, now: number): Change => ({
  when: all(where('expiresAt', '>', now), any(all(is('queued'), where('notBefore', '<=', now)), isAbandoned(now))),
  set: { status: 'running', run, leaseUntil: now + LEASE_MS, startedAt: now },
  add: { attempts: 1 },
  remove: ['waitsFor', 'progress'],
});

/** The run lives, and has come so far. */
export const renew = (run: string, now: number, progress: number): Change => ({
  when: isHeldBy(run),
  set: { leaseUntil: now + LEASE_MS, progress },
});

export interface Ending {
  readonly status: 'succeeded' | 'failed' | 'expired';
  /** Result, error, tokens, cost: what belongs to this end. */
  readonly with?: Readonly<Record<string, Value>>;
}

const ended = (status: JobStatus, now: number, ttl: number): Record<string, Value> => ({ status, endedAt: now, ttl });
const LET_GO = ['leaseUntil', 'waitsFor', 'progress', 'partial', 'partialAt'];

/** The run has an answer, or an error that another run wouldn't mend. */
export const end = (run: string, now: number, ttl: number, ending: Ending): Change => ({
  when: isHeldBy(run),
  set: { ...ending.with, ...ended(ending.status, now, ttl) },
  remove: [...LET_GO, 'run', ...unlessSet('unsettled', ending.with)],
});

/** What a run before this one had to settle is settled: it is done before anything else. */
const unlessSet = (attribute: string, set: Readonly<Record<string, Value>> = {}): string[] =>
  attribute in set ? [] : [attribute];

/**
 * A run that finds its job cancelled, or expired, tells what it had cost until then. Only the last one may, and once:
 * the job's end left its name there.
 */
export const tell = (run: string, unsettled: string): Change => ({
  when: all(any(is('cancelled'), is('expired')), where('run', '=', run)),
  set: { unsettled },
  remove: ['run'],
});

/** The run gives the job back, to be run again. */
export const giveBack = (
  run: string,
  notBefore: number,
  options: {
    /** The run failed: it stays counted. One that only had to wait or to stop isn't. */
    readonly counts: boolean;
    readonly waitsFor?: string;
    readonly with?: Readonly<Record<string, Value>>;
  },
): Change => ({
  when: isHeldBy(run),
  set: {
    ...options.with,
    status: 'queued',
    notBefore,
    ...(options.waitsFor === undefined ? {} : { waitsFor: options.waitsFor }),
  },
  ...(options.counts ? {} : { add: { attempts: -1 } }),
  remove: ['run', 'leaseUntil', 'progress', ...unlessSet('unsettled', options.with)],
});

/** Nobody waits for it any more. A run that holds it finds out when it next writes. */
export const cancel = (now: number, ttl: number): Change => ({
  when: all(isOpen, where('expiresAt', '>', now)),
  set: ended('cancelled', now, ttl),
  remove: LET_GO,
});

/** Its time is over, and no run holds it. */
export const expire = (now: number, ttl: number): Change => ({
  when: all(where('expiresAt', '<=', now), any(is('queued'), isAbandoned(now))),
  set: ended('expired', now, ttl),
  remove: LET_GO,
});

/** An operator's second chance. Nothing of the first end stays; what is notified then is a new notification. */
export const retry = (now: number, expiresAt: number, ttl: number, hasWebhook: boolean): Change => ({
  when: any(is('failed'), is('expired'), is('cancelled')),
  set: {
    status: 'queued',
    notBefore: now,
    expiresAt,
    ttl,
    attempts: 0,
    notice: hasWebhook ? 'due' : 'none',
  },
  add: { generation: 1 },
  remove: [
    ...['run', 'endedAt', 'error', 'result', 'resultAt'],
    ...['noticeRun', 'noticeLeaseUntil', 'noticeAttempts', 'noticeAt'],
  ],
});

/** The deliverer's lease: longer than an attempt may last. */
export const NOTICE_LEASE_MS = 60_000;

/** A deliverer takes a notification that is due. */
export const claimNotice = (run: string, now: number): Change => ({
  when: all(
    where('notice', '=', 'due'),
    any(is('succeeded'), is('failed'), is('cancelled'), is('expired')),
    any({ absent: 'noticeLeaseUntil' }, where('noticeLeaseUntil', '<=', now)),
    any({ absent: 'noticeAt' }, where('noticeAt', '<=', now)),
  ),
  set: { noticeRun: run, noticeLeaseUntil: now + NOTICE_LEASE_MS },
  add: { noticeAttempts: 1 },
});

/** The attempt is over: delivered, to be tried again at `again`, or given up. */
export const noticeTried = (
  run: string,
  log: string,
  outcome: { readonly delivered: true } | { readonly again: number } | { readonly dead: true },
): Change => ({
  when: all(where('notice', '=', 'due'), where('noticeRun', '=', run)),
  set: {
    noticeLog: log,
    ...('delivered' in outcome ? { notice: 'delivered' } : {}),
    ...('dead' in outcome ? { notice: 'dead' } : {}),
    ...('again' in outcome ? { noticeAt: outcome.again } : {}),
  },
  remove: ['noticeRun', 'noticeLeaseUntil'],
});

/** An operator has the notification sent once more, with the id that it had. */
export const redeliver = (): Change => ({
  when: any(where('notice', '=', 'dead'), where('notice', '=', 'delivered')),
  set: { notice: 'due', noticeAttempts: 0 },
  remove: ['noticeAt', 'noticeRun', 'noticeLeaseUntil'],
});
