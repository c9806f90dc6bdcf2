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
 * | `u<id>` | usage record of one of the latest requests, which a later one moves into an item of its own with others |
 * | `v` | how many requests were counted: of every so many, one moves records |
 * | `m` | the month again, for the index `by-month`: which accounts there are |
 * | `x` | Unix second after which DynamoDB may delete the item |
 *
 * A purse is something that a limit holds for: `c:<consumer>` or `t:<team>`. A team's consumers share an account.
 */
export type Item = Record<string, AttributeValue>;

export const accountOf = (consumer: string, team: string | undefined): string =>
  team === undefined ? `consumer:${consumer}` : `team:${team}`;

/** The consumer whose account it is, and nobody else's. */
export const ownerOf = (account: string): string | undefined =>
  account.startsWith('consumer:') ? account.slice('consumer:'.length) : undefined;

export const consumerPurse = (consumer: string): string => `c:${consumer}`;
export const teamPurse = (team: string): string => `t:${team}`;

/** What the attributes of usage records begin with. */
const RECORD = 'u';

export const committedOf = (purse: string): string => `${purse}/k`;
export const reservedOf = (purse: string, untilSecond: number): string => `${purse}/r${untilSecond}`;
export const tokensOfMinute = (purse: string, minute: number): string => `${purse}/w${minute}`;
export const requestsOfMinute = (purse: string, minute: number): string => `${purse}/q${minute}`;
export const spentInHour = (purse: string, hour: number): string => `${purse}/h${hour}`;
export const spentInDay = (purse: string, day: number): string => `${purse}/d${day}`;
export const exhaustedOf = (purse: string): string => `${purse}/e`;
export const COUNTED = 'v';
export const recordOf = (id: string): string => `${RECORD}${id}`;
export const idOf = (record: string): string => record.slice(RECORD.length);
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
export const monthOf = (ms: number): string => monthAt(ms).name;

/** Milliseconds until the next minute, and until the next month, UTC. */
export const untilNextMinute = (ms: number): number => (minuteOf(ms) + 1) * 60_000 - ms;
export const untilNextMonth = (ms: number): number => monthAt(ms).to - ms;

interface Month {
  readonly name: string;
  /** Unix milliseconds; the end is not included. */
  readonly from: number;
  readonly to: number;
}

/** The last one that was asked for: each request asks several times. */
let lastMonth: Month = { name: '', from: 0, to: 0 };

function monthAt(ms: number): Month {
  if (ms >= lastMonth.from && ms < lastMonth.to) return lastMonth;
  const date = new Date(ms);
  const [year, month] = [date.getUTCFullYear(), date.getUTCMonth()];
  lastMonth = { name: date.toISOString().slice(0, 7), from: Date.UTC(year, month), to: Date.UTC(year, month + 1) };
  return lastMonth;
}

export const numberIn = (item: Item | undefined, name: string): number => Number(item?.[name]?.N ?? 0);

/** Attributes of usage records, in an account's item as in one that they were moved to. */
export const recordsIn = (item: Item | undefined): string[] =>
  Object.keys(item ?? {}).filter((name) => name.startsWith(RECORD));

export interface Reserved {
  readonly name: string;
  readonly purse: string;
  readonly untilSecond: number;
  readonly nano: number;
}

/** Reservations in an item, by attribute. */
export function reservationsIn(item: Item | undefined): Reserved[] {
  const reservations: Reserved[] = [];
  for (const name of Object.keys(item ?? {})) {
    const slash = kindAt(name);
    if (name[slash + 1] !== 'r') continue;
    const untilSecond = Number(name.slice(slash + 2));
    reservations.push({ name, purse: name.slice(0, slash), untilSecond, nano: numberIn(item, name) });
  }
  return reservations;
}

/** Where an attribute of a purse says what it holds; consumers' names have slashes as they like. */
const kindAt = (name: string): number => (name[1] === ':' ? name.lastIndexOf('/') : name.length);

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
  return Object.keys(item ?? {}).filter((name) => {
    const slash = kindAt(name);
    const kind = name[slash + 1];
    const time = Number(name.slice(slash + 2));
    if (kind === 'w' || kind === 'q') return time < minute - 1;
    return kind === 'r' && numberIn(item, name) === 0 && isOver(time, now);
  });
}
