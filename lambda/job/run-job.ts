import type { Account } from '../serving/serve.ts';
import type { UsageRecord } from '../usage/usage-record.ts';
import type { Value } from './change.ts';
import { isFinal, type Job } from './job.ts';
import type { Blobs, JobQueues, JobTable } from './ports.ts';
import { backoffMs, isRetryable, isWait, MAX_ATTEMPTS, PAUSED_WAIT_MS, waitMs } from './retry.ts';
import { cancel, claim, type Ending, end, expire, giveBack, LEASE_MS, renew, tell } from './transitions.ts';

/** What came of a run, and its account, which is settled when the job has been told of it. */
export type Outcome = Ended & { readonly account?: Pick<Account, 'usage' | 'settle'> };

type Ended =
  | { readonly kind: 'answered'; readonly result: string; readonly spent: Spent }
  | {
      readonly kind: 'refused';
      readonly status: number;
      readonly error: ErrorBody;
      readonly retryAfterMs?: number;
      /** It asks for more than a limit ever has: however long it waits, there won't be room. */
      readonly neverFits?: boolean;
      /** Its consumer, team or model is paused: it waits for that to be over. */
      readonly isPaused?: boolean;
      /** What there was of the answer when it broke off, if another run can go on with it. */
      readonly partial?: string;
      readonly spent: Spent;
    }
  /** The run's time was up. With a text another run can go on; without, it would begin again. */
  | { readonly kind: 'stopped'; readonly partial?: string; readonly spent: Spent };

/** What a run used of the model. */
export interface Spent {
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly costUsd: number;
  readonly backend?: string;
}

export interface ErrorBody {
  readonly message: string;
  readonly type: string;
  readonly param: string | null;
  readonly code: string | null;
}

/** The same walk as a live request's. Resolves soon after the signal, with whatever came of it. */
export type Ask = (
  job: Job,
  request: string,
  options: { readonly partial?: string; readonly signal: AbortSignal; readonly onTokens: (count: number) => void },
) => Promise<Outcome>;

export interface Runner {
  readonly table: JobTable;
  readonly queues: JobQueues;
  readonly blobs: Blobs;
  readonly ask: Ask;
  /** Whether a job that a run has just taken is to be run at all: not when what it belongs to was cancelled. */
  readonly isWanted?: (job: Job) => Promise<boolean>;
  /** What has to happen when a job has come to its end, besides: a batch counts its lines. May be called again. */
  readonly ended?: (job: Job) => Promise<void>;
  /** Puts into the ledger what a run that is gone told the job, unless it is there. May be called again. */
  readonly settleAgain?: (job: Job, usage: UsageRecord) => Promise<void>;
  readonly now: () => number;
  readonly random: () => number;
  /** A new run's id, which no other has. */
  readonly newRun: () => string;
  /** Calls again and again until it is stopped. */
  readonly every: (ms: number, call: () => Promise<void>) => () => void;
}

/** How often a run says that it lives: it may miss twice. */
export const RENEW_MS = LEASE_MS / 4;

/** Longer texts are kept in S3: an item may have 400 KB in all, and each KB that is written costs. */
export const MAX_INLINE_BYTES = 64 * 1024;

/**
 * One message of the queue: runs the job, if it is there to be run. When this returns the message has done its work and
 * can be deleted; when it throws, or its worker dies, SQS will bring the message again.
 *
 * @param alive called as often as the lease is renewed: the message's visibility
 */
export async function runJob(id: string, runner: Runner, alive: () => Promise<void> = async () => {}): Promise<void> {
  const { table } = runner;
  const run = runner.newRun();
  const job = await table.change(id, claim(run, runner.now()));
  if (job === undefined) return notClaimed(id, runner);
  if (runner.isWanted !== undefined && !(await runner.isWanted(job))) {
    const now = runner.now();
    const cancelled = await table.change(id, cancel(now, ttlOf(job, now)));
    return cancelled === undefined ? notClaimed(id, runner) : afterLastRun(cancelled, runner);
  }
  try {
    await settleEarlier(job, runner);
  } catch {
    // The ledger's outage is no failure of the job's.
    await again(job, run, runner.now() + waitMs(undefined, runner.random()), whileUnsettled(job), runner);
    return;
  }
  if (job.attempts > MAX_ATTEMPTS) {
    await finish(job, run, { status: 'failed', with: { error: JSON.stringify(GIVEN_UP) } }, runner);
    return;
  }
  await settleRun(job, run, await attempt(job, run, runner, alive), runner);
}

const GIVEN_UP: ErrorBody = {
  message: `The job was given up after ${MAX_ATTEMPTS} attempts.`,
  type: 'server_error',
  param: null,
  code: 'too_many_attempts',
};

/** Somebody else has it, it is too early, or all is over: the message must neither be lost nor do anything twice. */
async function notClaimed(id: string, runner: Runner): Promise<void> {
  const now = runner.now();
  const job = await runner.table.get(id);
  // Deleted by its TTL, long ago.
  if (job === undefined) return;
  if (isFinal(job)) return afterLastRun(job, runner);
  if (job.expiresAt <= now) {
    const expired = await runner.table.change(id, expire(now, ttlOf(job, now)));
    if (expired !== undefined) return afterLastRun(expired, runner);
  }
  const due = job.status === 'running' ? (job.leaseUntil ?? now) : job.notBefore;
  await runner.queues.run(job, Math.max(1_000, due - now));
}

/** No run comes any more that would settle what an earlier one left. */
async function afterLastRun(job: Job, runner: Runner): Promise<void> {
  await afterEnd(job, runner);
  await settleEarlier(job, runner);
}

/** A run may have died between what it told the job and what it told the ledger. */
async function settleEarlier(job: Job, { settleAgain }: Runner): Promise<void> {
  if (job.unsettled !== undefined) await settleAgain?.(job, JSON.parse(job.unsettled) as UsageRecord);
}

const whileUnsettled = ({ unsettled = '' }: Job): Parameters<typeof giveBack>[2] => ({
  counts: false,
  waitsFor: 'ledger_unavailable',
  with: { unsettled },
});

/** Asks the model while the lease is kept. */
async function attempt(job: Job, run: string, runner: Runner, alive: () => Promise<void>): Promise<Attempted> {
  const lost = new AbortController();
  let tokens = job.outputTokens;
  const renewal = async (): Promise<void> => {
    const now = runner.now();
    const held = await runner.table.change(job.id, renew(run, now, tokens));
    if (held === undefined || now >= job.expiresAt) lost.abort();
    else await alive();
  };
  const stop = runner.every(RENEW_MS, renewal);
  try {
    const request = job.request ?? (await runner.blobs.get(job.requestAt ?? ''));
    // What is in S3 is the longer one, and so the later.
    const partial = job.partialAt === undefined ? job.partial : await runner.blobs.get(job.partialAt);
    const outcome = await runner.ask(job, request, {
      signal: lost.signal,
      onTokens: (count) => {
        tokens = job.outputTokens + count;
      },
      ...(partial === undefined ? {} : { partial }),
    });
    return { outcome, isLost: lost.signal.aborted && outcome.kind !== 'answered' };
  } finally {
    stop();
  }
}

interface Attempted {
  readonly outcome: Outcome;
  /** The job was cancelled, taken over, or expired meanwhile. */
  readonly isLost: boolean;
}

/**
 * First the job is told, in one write that only the run that holds it can make; what it told is what the ledger gets. A
 * run that can't tell isn't paid for: another one will be.
 */
async function settleRun(job: Job, run: string, { outcome, isLost }: Attempted, runner: Runner): Promise<void> {
  const { account } = outcome;
  const usage = account?.usage;
  const costs = usage === undefined ? {} : { unsettled: JSON.stringify(usage) };
  let hasTold: boolean;
  let thrown: unknown;
  try {
    hasTold =
      (isLost
        ? await tellLost(job, run, outcome, costs, runner)
        : await tellOutcome(job, run, outcome, costs, runner)) || (await tellEnded(job, run, costs, runner));
  } catch (error) {
    thrown = error;
    hasTold = await hasHeard(job, costs, runner);
  }
  const isSettled = (await account?.settle(hasTold)) ?? true;
  // The message comes again, and with it another attempt at whatever went wrong.
  if (thrown !== undefined) throw thrown;
  if (hasTold && !isSettled) throw new Error('the ledger is out of reach');
}

/** Whether the job was told all the same: the write's answer was lost, or what came after it failed. */
async function hasHeard({ id }: Job, { unsettled }: Costs, { table }: Runner): Promise<boolean> {
  const job = await table.get(id).catch(() => undefined);
  return unsettled !== undefined && job?.unsettled === unsettled;
}

type Costs = { readonly unsettled?: string };

/** Whoever ended it may not have been able to say so. */
async function tellLost(job: Job, run: string, { spent }: Outcome, costs: Costs, runner: Runner): Promise<boolean> {
  if (runner.now() >= job.expiresAt) {
    return finish(job, run, { status: 'expired', with: { ...add(job, spent), ...costs } }, runner);
  }
  await notClaimed(job.id, runner);
  return false;
}

/** Somebody else has ended it under the run's hands: it had cost something until then. */
async function tellEnded(job: Job, run: string, { unsettled }: Costs, { table }: Runner): Promise<boolean> {
  return unsettled !== undefined && (await table.change(job.id, tell(run, unsettled))) !== undefined;
}

async function tellOutcome(job: Job, run: string, outcome: Outcome, costs: Costs, runner: Runner): Promise<boolean> {
  const now = runner.now();
  const spent = { ...add(job, outcome.spent), ...costs };
  if (outcome.kind === 'answered') {
    const result = await kept('result', job, run, outcome.result, runner);
    return finish(job, run, { status: 'succeeded', with: { ...spent, ...result } }, runner);
  }
  if (outcome.kind === 'stopped') {
    if (outcome.partial === undefined) {
      return finish(job, run, { status: 'failed', with: { ...spent, error: JSON.stringify(TOO_LONG) } }, runner);
    }
    const partial = await kept('partial', job, run, outcome.partial, runner);
    return again(job, run, now, { counts: false, with: { ...spent, ...partial } }, runner);
  }
  const { status, error, isPaused = false, neverFits = false } = outcome;
  const retryAfterMs = outcome.retryAfterMs ?? (isPaused ? PAUSED_WAIT_MS : undefined);
  const fail = { status: 'failed', with: { ...spent, error: JSON.stringify(error) } } as const;
  const waits = isPaused || isWait(status, retryAfterMs);
  if (neverFits || !(waits || isRetryable(status))) return finish(job, run, fail, runner);
  if (!waits && job.attempts >= MAX_ATTEMPTS) return finish(job, run, fail, runner);
  // As long as was asked for; how long it sleeps at a stretch is another matter.
  if (waits && now + (retryAfterMs ?? 0) >= job.expiresAt) return finish(job, run, fail, runner);
  const delay = waits ? waitMs(retryAfterMs, runner.random()) : backoffMs(job.attempts, runner.random());
  if (now + delay >= job.expiresAt) return finish(job, run, fail, runner);
  const partial = outcome.partial === undefined ? {} : await kept('partial', job, run, outcome.partial, runner);
  const waitsFor = error.code ?? String(status);
  return again(job, run, now + delay, { counts: !waits, waitsFor, with: { ...spent, ...partial } }, runner);
}

const TOO_LONG: ErrorBody = {
  message:
    'The answer took longer than a run may last, and an answer of this form (several choices, log probabilities, a JSON format, tool calls) cannot be continued.',
  type: 'server_error',
  param: null,
  code: 'timeout',
};

async function again(
  job: Job,
  run: string,
  notBefore: number,
  options: Parameters<typeof giveBack>[2],
  runner: Runner,
): Promise<boolean> {
  const given = await runner.table.change(job.id, giveBack(run, notBefore, options));
  // Dying between the two is harmless: the message at hand isn't deleted yet.
  if (given === undefined) await notClaimed(job.id, runner);
  else await runner.queues.run(given, Math.max(0, notBefore - runner.now()));
  return given !== undefined;
}

/** @returns whether the run still held the job */
async function finish(job: Job, run: string, ending: Ending, runner: Runner): Promise<boolean> {
  const now = runner.now();
  const ended = await runner.table.change(job.id, end(run, now, ttlOf(job, now), ending));
  if (ended === undefined) await notClaimed(job.id, runner);
  else await afterEnd(ended, runner);
  return ended !== undefined;
}

/**
 * What follows from a job's end. Whoever finds it ended does this, whether or not somebody did before: it changes nothing
 * the second time.
 */
export async function afterEnd(job: Job, runner: Pick<Runner, 'queues' | 'ended'>): Promise<void> {
  if (job.notice === 'due') await runner.queues.notify(job, 0);
  await runner.ended?.(job);
}

/** Unix seconds. */
export const ttlOf = (job: Pick<Job, 'retentionMs'>, now: number): number => Math.ceil((now + job.retentionMs) / 1000);

/** What all runs of the job used, as far as they lived to tell. */
function add(job: Job, spent: Spent): Record<string, Value> {
  return {
    inputTokens: (job.inputTokens ?? 0) + spent.inputTokens,
    outputTokens: job.outputTokens + spent.outputTokens,
    costUsd: (job.costUsd ?? 0) + spent.costUsd,
    ...(spent.backend === undefined ? {} : { backend: spent.backend }),
  };
}

/** In the item, or under a key of this run's own: another run writes elsewhere. */
async function kept(
  name: 'result' | 'partial',
  job: Job,
  run: string,
  text: string,
  { blobs }: Runner,
): Promise<Record<string, Value>> {
  if (Buffer.byteLength(text) <= MAX_INLINE_BYTES) return { [name]: text };
  const key = `${name}s/${job.id}/${run}`;
  await blobs.put(key, text);
  return { [`${name}At`]: key };
}
