import { randomBytes } from 'node:crypto';
import type { Item } from './account.ts';
import type { Updated } from './table.ts';
import { Update } from './update.ts';

/** What can be paused: all requests of a consumer, of a team's consumers, or for a model. */
export const PAUSE_KINDS = ['consumer', 'team', 'model'] as const;
export type PauseKind = (typeof PAUSE_KINDS)[number];

export interface PauseSubject {
  readonly kind: PauseKind;
  /** Of a model the first, not an alias. */
  readonly name: string;
}

/** Who paused: somebody by the command line, an alarm of CloudWatch, or the hard limit of a consumer's tier. */
export type PausedBy = 'operator' | 'alarm' | 'limit';

/** Times are Unix milliseconds. */
export interface Pause extends PauseSubject {
  readonly since: number;
  /** Absent: until somebody resumes. */
  readonly until?: number;
  readonly by: PausedBy;
  /** Clients are told it. */
  readonly reason?: string;
  /** What operators are told besides: who, which alarm, how much. */
  readonly detail?: string;
  /** A message about it went out. */
  readonly told: boolean;
  /** Of this entry, which no other has. */
  readonly revision: string;
}

/** What pauses are written to and read from: the ledger's table, or as much of it as a role may touch. */
export interface PauseTable {
  readonly name: string;
  get(key: Item): Promise<Item | undefined>;
  update(input: ReturnType<Update['input']>): Promise<Updated>;
}

/**
 * All pauses are one small item, which each process reads every few seconds: an attribute for each that is or was paused,
 * `m:<model>`, `c:<consumer>` or `t:<team>`, a map of
 *
 * | field | holds |
 * |---|---|
 * | `at` | Unix milliseconds of what was done last: the alarm, the crossing, or the command |
 * | `until` | when the pause ends by itself |
 * | `by`, `reason`, `detail` | as above |
 * | `told` | whether a message about it went out |
 * | `over` | that it was resumed. Kept, so that an alarm that is delivered late doesn't pause it again |
 * | `rev` | another one for each change: what a change is conditional on |
 */
export const PAUSES_KEY: Item = { pk: { S: 'pauses' }, sk: { S: 'pauses' } };

const PREFIXES: Readonly<Record<PauseKind, string>> = { consumer: 'c:', team: 't:', model: 'm:' };

/** SNS tries for 23 days to deliver to a function: nothing older comes late. */
const KEPT_MS = 30 * 86_400_000;
/** An update expression has 4 KB at most. */
const MAX_CLEARED = 10;
const ATTEMPTS = 5;

const attributeOf = ({ kind, name }: PauseSubject): string => PREFIXES[kind] + name;

interface Entry {
  readonly at: number;
  readonly revision: string;
  /** Nothing of one that was resumed. */
  readonly pause: Pause | undefined;
}

function entryOf(item: Item | undefined, attribute: string): Entry | undefined {
  const map = item?.[attribute]?.M;
  const kind = PAUSE_KINDS.find((each) => attribute.startsWith(PREFIXES[each]));
  if (map === undefined || kind === undefined) return undefined;
  const at = Number(map.at?.N ?? 0);
  const revision = map.rev?.S ?? '';
  if (map.over !== undefined) return { at, revision, pause: undefined };
  return {
    at,
    revision,
    pause: {
      ...{ kind, name: attribute.slice(PREFIXES[kind].length), since: at, revision },
      ...(map.until?.N === undefined ? {} : { until: Number(map.until.N) }),
      by: (map.by?.S ?? 'operator') as PausedBy,
      ...(map.reason?.S === undefined ? {} : { reason: map.reason.S }),
      ...(map.detail?.S === undefined ? {} : { detail: map.detail.S }),
      told: map.told !== undefined,
    },
  };
}

const isActive = ({ until }: Pause, now: number): boolean => until === undefined || until > now;

/** Those that hold now, the oldest first. */
export function pausesIn(item: Item | undefined, now: number): Pause[] {
  return Object.keys(item ?? {})
    .flatMap((attribute) => entryOf(item, attribute)?.pause ?? [])
    .filter((pause) => isActive(pause, now))
    .sort((a, b) => a.since - b.since);
}

export type PauseRequest = Pick<Pause, 'since' | 'until' | 'by' | 'reason' | 'detail'>;

/**
 * Pauses something, if what is known of it isn't newer: alarms are delivered more than once, and in any order. A pause
 * that lasts as long already stays as it is, but an operator's word always counts.
 *
 * @returns the pause, if this is what made it
 * @throws LedgerUnavailable
 */
export async function pause(
  table: PauseTable,
  subject: PauseSubject,
  request: PauseRequest,
): Promise<Pause | undefined> {
  const revision = revisionOf();
  const made = await change(table, subject, request.since, (entry) => {
    const isOperator = request.by === 'operator';
    const current = entry?.pause;
    if (!isOperator && entry !== undefined && entry.at >= request.since) return undefined;
    if (!isOperator && current !== undefined && isActive(current, request.since)) {
      if ((current.until ?? Number.POSITIVE_INFINITY) >= (request.until ?? Number.POSITIVE_INFINITY)) return undefined;
    }
    const since = Math.max(request.since, (entry?.at ?? 0) + 1);
    return { ...subject, ...request, since, told: isOperator, revision };
  });
  return made === undefined || 'over' in made ? undefined : made;
}

/** @returns the pause that is over now. @throws LedgerUnavailable */
export async function resume(table: PauseTable, subject: PauseSubject, now: number): Promise<Pause | undefined> {
  let ended: Pause | undefined;
  await change(table, subject, now, (entry) => {
    ended = entry?.pause !== undefined && isActive(entry.pause, now) ? entry.pause : undefined;
    if (ended === undefined) return undefined;
    // Whoever's clock is behind must be able to resume, too.
    return { over: true, since: Math.max(now, (entry?.at ?? 0) + 1), revision: revisionOf() };
  });
  return ended;
}

/** Says that a message about a pause went out. @throws LedgerUnavailable */
export async function markTold(table: PauseTable, told: Pause): Promise<void> {
  const update = new Update();
  const attribute = update.name(attributeOf(told));
  update
    .setPath(`${attribute}.${update.name('told')}`, update.value({ BOOL: true }))
    .when(`${attribute}.${update.name('rev')} = ${update.value({ S: told.revision })}`);
  await table.update(update.input(table.name, PAUSES_KEY));
}

type Next = Pause | { readonly over: true; readonly since: number; readonly revision: string };

/** One conditional update; again when somebody else was faster. */
async function change(
  table: PauseTable,
  subject: PauseSubject,
  now: number,
  next: (entry: Entry | undefined) => Next | undefined,
): Promise<Next | undefined> {
  const attribute = attributeOf(subject);
  let item = await table.get(PAUSES_KEY);
  for (let attempt = 1; ; attempt++) {
    const entry = entryOf(item, attribute);
    const wanted = next(entry);
    if (wanted === undefined) return undefined;
    const update = new Update();
    const name = update.name(attribute);
    update.set(attribute, update.value({ M: mapOf(wanted) }));
    const held = (placeholder: string, revision: string): string =>
      `${placeholder}.${update.name('rev')} = ${update.value({ S: revision })}`;
    update.when(entry === undefined ? `attribute_not_exists(${name})` : held(name, entry.revision));
    for (const [old, revision] of staleIn(item, attribute, now)) {
      update.remove(old).when(held(update.name(old), revision));
    }
    const updated = await table.update(update.input(table.name, PAUSES_KEY));
    if (updated.ok) return wanted;
    if (attempt >= ATTEMPTS) throw new Error('the pauses are being changed by too many at once: try again');
    item = updated.item;
  }
}

/** Entries that say nothing any more. */
function staleIn(item: Item | undefined, except: string, now: number): Array<readonly [string, string]> {
  return Object.keys(item ?? {})
    .flatMap((attribute) => {
      const entry = attribute === except ? undefined : entryOf(item, attribute);
      if (entry === undefined || (entry.pause !== undefined && isActive(entry.pause, now))) return [];
      const last = Math.max(entry.at, entry.pause?.until ?? 0);
      return last + KEPT_MS < now ? [[attribute, entry.revision] as const] : [];
    })
    .slice(0, MAX_CLEARED);
}

function mapOf(next: Next): Item {
  const entry = { at: { N: String(next.since) }, rev: { S: next.revision } };
  if ('over' in next) return { ...entry, over: { BOOL: true } };
  const { until, by, reason, detail, told } = next;
  return {
    ...entry,
    by: { S: by },
    ...(until === undefined ? {} : { until: { N: String(until) } }),
    ...(reason === undefined ? {} : { reason: { S: reason } }),
    ...(detail === undefined ? {} : { detail: { S: detail } }),
    ...(told ? { told: { BOOL: true } } : {}),
  };
}

const revisionOf = (): string => randomBytes(9).toString('base64url');
