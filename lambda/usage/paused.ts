import { ApiError } from '../serving/errors.ts';
import type { Pause, PausedBy } from './pauses.ts';

const CODES = { consumer: 'consumer_paused', team: 'team_paused', model: 'model_paused' } as const;

/** The codes of errors that a pause is the reason of. */
export const PAUSE_CODES: ReadonlySet<string> = new Set(Object.values(CODES));

const BY: Readonly<Record<PausedBy, string>> = {
  operator: 'the operator',
  alarm: 'a spending alarm',
  limit: 'its hard limit',
};

/**
 * A request that ends because of a pause. 403, which no client library asks again by itself: 429 and 503 are repeated by
 * those that don't know `x-should-retry`.
 */
export class Paused extends ApiError {
  constructor(pause: Pause, now: number) {
    super(403, messageOf(pause), {
      code: CODES[pause.kind],
      param: pause.kind === 'model' ? 'model' : null,
      headers: { 'x-should-retry': 'false' },
      ...(pause.until === undefined ? {} : { retryAfterMs: Math.max(1000, pause.until - now) }),
    });
  }
}

function messageOf({ kind, name, by, since, until, reason }: Pause): string {
  const what = kind === 'model' ? `The model \`${name}\`` : `The ${kind} '${name}'`;
  const end = until === undefined ? 'until it is resumed' : `until ${iso(until)}`;
  const why = reason === undefined ? '.' : `: ${reason}`;
  return `${what} is paused by ${BY[by]} since ${iso(since)}, ${end}${why}`;
}

/** Whole seconds. */
const iso = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
