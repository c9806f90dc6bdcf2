import type { AttributeValue } from '@aws-sdk/client-dynamodb';

/**
 * An account's item of a month: all that admission has to know, in one item, so that one conditional update decides.
 *
 * | attribute | holds |
 * |---|---|
 * | `pk`, `sk` | `account#<account>`, `2026-11` (UTC) |
 * | `<purse>/k` | committed: what was spent and what is reserved, nanodollars |
 * | `<purse>/r<second>` | of that, what is reserved by requests that are over at that Unix second at the latest |
 * | `<purse>/w<minute>` | tokens of the requests of that minute (minutes since 1970) |
 * | `<purse>/q<minute>` | requests of that minute |
 * | `<purse>/h<hour>`, `<purse>/d<day>` | where a tier has hard limits: nanodollars of that hour or day (since 1970, UTC) |
 * | `<purse>/e` | Unix second at which the budget first had no room for a request |
 * | `o` | usage records of the latest requests, which a later request puts into an item of their own |
 * | `m` | the month again, for the index `by-month`: which accounts there are |
 * | `x` | Unix second after which DynamoDB may delete the item |
 *
 * A purse is something that a limit holds for: `c:<consumer>` or `t:<team>`. A team's consumers share an account.
 */
export type Item = Record<string, AttributeValue>;

export const accountOf = (consumer: string, team: string | undefined): string =>
  team === undefined ? `consumer:${consumer}` : `team:${team}`;

export const consumerPurse = (consumer: string): string => `c:${consumer}`;
export const teamPurse = (team: string): string => `t:${team}`;

export const committedOf = (purse: string): string => `${purse}/k`;
export const reservedOf = (purse: string, untilSecond: number): string => `${purse}/r${untilSecond}`;
export const tokensOfMinute = (purse: string, minute: number): string => `${purse}/w${minute}`;
export const requestsOfMinute = (purse: string, minute: number): string => `${purse}/q${minute}`;
export const spentInHour = (purse: string, hour: number): string => `${purse}/h${hour}`;
export const spentInDay = (purse: string, day: number): string => `${purse}/d${day}`;
export const exhaustedOf = (purse: string): string => `${purse}/e`;
export const OUTBOX = 'o';
export const EXPIRES = 'x';
/** Partition of the index; that of a key's item is `keys`. */
export const LISTED_UNDER = 'm';
export const LISTING_INDEX = 'by-month';

export const accountKey = (account: string, month: string): Item => ({
  pk: { S: `account#${account}` },
  sk: { S: month },
});

/** Of the records that left an account's item. */
export const recordsPk = (account: string, month: string): string => `usage#${account}#${month}`;

export const minuteOf = (ms: number): number => Math.floor(ms / 60_000);
export const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;
export const hourOf = (ms: number): number => Math.floor(ms / HOUR_MS);
export const dayOf = (ms: number): number => Math.floor(ms / DAY_MS);
/** `2026-11`, UTC. */
export const monthOf = (ms: number): string => new Date(ms).toISOString().slice(0, 7);

/** Milliseconds until the next minute, and until the next month, UTC. */
export const untilNextMinute = (ms: number): number => (minuteOf(ms) + 1) * 60_000 - ms;
export function untilNextMonth(ms: number): number {
  const date = new Date(ms);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1) - ms;
}

export const numberIn = (item: Item | undefined, name: string): number => Number(item?.[name]?.N ?? 0);

export const recordsIn = (item: Item | undefined): string[] =>
  (item?.[OUTBOX]?.L ?? []).flatMap((value) => value.S ?? []);

/** Reservations in an item, by attribute. */
export function* reservationsIn(item: Item | undefined) {
  for (const [name, value] of Object.entries(item ?? {})) {
    const [, purse, second] = /^(.+)\/r(\d+)$/.exec(name) ?? [];
    if (purse === undefined) continue;
    yield { name, purse, untilSecond: Number(second), nano: Number(value.N ?? 0) };
  }
}

/** What a purse spent in the month, nanodollars: reservations are promises, whether alive or forgotten. */
export function spentIn(item: Item | undefined, purse: string): number {
  let spent = numberIn(item, committedOf(purse));
  for (const reserved of reservationsIn(item)) if (reserved.purse === purse) spent -= reserved.nano;
  return spent;
}

/** Whoever is late by this much had a clock that is wrong by it. */
const GRACE_SECONDS = 5;

export const isOver = (untilSecond: number, now: number): boolean => now / 1000 > untilSecond + GRACE_SECONDS;

/** Hours and days that hard limits don't look at any more. */
export function staleSpendingIn(item: Item | undefined, now: number): string[] {
  return Object.keys(item ?? {}).filter((name) => {
    const [, unit, of] = /\/([hd])(\d+)$/.exec(name) ?? [];
    return of !== undefined && Number(of) < (unit === 'h' ? hourOf(now) : dayOf(now)) - 1;
  });
}

/** Attributes that say nothing any more: minutes that are over, and reservations of which nothing is left. */
export function staleIn(item: Item | undefined, now: number): string[] {
  const minute = minuteOf(now);
  const minutes = Object.keys(item ?? {}).filter((name) => {
    const [, of] = /\/[wq](\d+)$/.exec(name) ?? [];
    return of !== undefined && Number(of) < minute - 1;
  });
  const settled = [...reservationsIn(item)].filter(({ untilSecond, nano }) => nano === 0 && isOver(untilSecond, now));
  return [...minutes, ...settled.map(({ name }) => name)];
}
