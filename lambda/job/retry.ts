/** Runs that may fail, or die, before a job is given up. */
export const MAX_ATTEMPTS = 6;

/** The first failure is waited out for so long, each further one for twice that. */
const BASE_MS = 5_000;
const MAX_MS = 10 * 60_000;

/** For a 429 or 503 that says nothing: long enough for a minute's tokens to come back. */
const DEFAULT_WAIT_MS = 20_000;
/** For a pause without an end: somebody resumes it, and nobody tells the jobs. */
export const PAUSED_WAIT_MS = 5 * 60_000;
/** What waits long is looked at again sooner: a budget may be raised, a fleet may be up. */
const MAX_WAIT_MS = 15 * 60_000;

/** A message that failed for a reason of ours, such as a table out of reach, comes again after so long at first. */
const FAILED_MS = 30_000;
/** The visibility of the queue of jobs. */
const MAX_FAILED_MS = 15 * 60_000;

/** Statuses after which another run may do better. Others are the client's to mend. */
export function isRetryable(status: number): boolean {
  return status === 408 || status === 409 || status === 429 || status >= 500;
}

/**
 * Refused for now, by a limit or for want of room: that isn't the job's failure, so it waits, for as long as it may.
 */
export function isWait(status: number, retryAfterMs: number | undefined): boolean {
  return status === 429 || (status === 503 && retryAfterMs !== undefined);
}

/** Half of it is random: what failed together doesn't come back together. */
const jittered = (ms: number, random: number): number => Math.round(ms * (0.5 + random / 2));

export const backoffMs = (attempts: number, random: number): number =>
  jittered(Math.min(MAX_MS, BASE_MS * 2 ** Math.max(0, attempts - 1)), random);

/**
 * The twenty receives that a message has until it is a dead letter last for hours like that: an outage of ten minutes
 * needs no operator afterwards.
 *
 * @param receives how often the message has come, this time too
 */
export const failedMs = (receives: number, random: number): number =>
  jittered(Math.min(MAX_FAILED_MS, FAILED_MS * 2 ** Math.max(0, receives - 1)), random);

/** Not less than was asked for, and up to a quarter more. */
export const waitMs = (retryAfterMs: number | undefined, random: number): number =>
  Math.round(Math.min(MAX_WAIT_MS, Math.max(1_000, retryAfterMs ?? DEFAULT_WAIT_MS)) * (1 + random / 4));
