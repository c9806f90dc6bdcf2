import { accountKey, LISTED_UNDER, LISTING_INDEX, monthOf, recordsPk } from './account.ts';
import type { LedgerTable } from './table.ts';
import { recordsOf, type UsageRecord } from './usage-record.ts';

export interface Period {
  /** Unix milliseconds; the end is not included. */
  readonly from: number;
  readonly to: number;
}

/** A record's item is written after its request has ended, which is at most so much later than it began. */
const LATEST_MS = 3_600_000;
/** Records are in two places only while they are moved: of so many of the latest ones the ids are remembered. */
const REMEMBERED = 2000;

/** The months that a period touches, as `2026-11`. */
export function monthsOf({ from, to }: Period): string[] {
  const months: string[] = [];
  for (let at = from; at < to; ) {
    months.push(monthOf(at));
    const date = new Date(at);
    at = Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1);
  }
  return months;
}

/** The accounts that used something in a month: `consumer:…`, `team:…`. @throws LedgerUnavailable */
export async function accountsOf(table: LedgerTable, month: string): Promise<string[]> {
  const accounts: string[] = [];
  const listed = table.query({
    IndexName: LISTING_INDEX,
    KeyConditionExpression: '#m = :month',
    ExpressionAttributeNames: { '#m': LISTED_UNDER },
    ExpressionAttributeValues: { ':month': { S: month } },
  });
  for await (const { pk } of listed) accounts.push((pk?.S ?? '').slice('account#'.length));
  return accounts.sort();
}

/** Every request of an account in a period, once, in no strict order. @throws LedgerUnavailable */
export async function* readUsage(table: LedgerTable, account: string, period: Period): AsyncGenerator<UsageRecord> {
  const isIn = ({ at }: UsageRecord): boolean => at >= period.from && at < period.to;
  for (const month of monthsOf(period)) {
    const seen = new Set<string>();
    const isNew = ({ id }: UsageRecord): boolean => {
      if (seen.has(id)) return false;
      seen.add(id);
      if (seen.size > REMEMBERED) seen.delete(seen.values().next().value ?? '');
      return true;
    };
    // These first: whatever is moved meanwhile is then seen twice, rather than not at all.
    const waiting = recordsOf(await table.get(accountKey(account, month)), account);
    const waitingIds = new Set(waiting.map(({ id }) => id));
    yield* waiting.filter(isIn);
    const moved = table.query({
      KeyConditionExpression: 'pk = :pk AND sk >= :from',
      ExpressionAttributeValues: {
        ':pk': { S: recordsPk(account, month) },
        // Items go by the time of their newest record.
        ':from': { S: new Date(period.from).toISOString() },
      },
      ConsistentRead: true,
    });
    for await (const item of moved) {
      if (Number(item.oldest?.N ?? 0) > period.to + LATEST_MS) break;
      for (const record of recordsOf(item, account)) {
        if (isIn(record) && !waitingIds.has(record.id) && isNew(record)) yield record;
      }
    }
  }
}
