import { type DynamoDBClient, ScanCommand } from '@aws-sdk/client-dynamodb';
import { type Item, reservationsIn, spentIn } from '../../../lambda/usage/account.ts';
import { costOf, recordsOf, type UsageRecord } from '../../../lambda/usage/usage-record.ts';
import type { TierConfig, TierLimitsConfig } from '../../../lib/private/serving-config.ts';
import { KEY_ID } from './serving.ts';

/** A deployment's ledger, in the table that the variable LEDGER names. */
export const ledgerConfig = {
  ledger: { table: { env: 'LEDGER' }, reservationMs: 60_000, retentionDays: 400, timeoutMs: 10_000 },
};

export const budgetedTier = (limits: Partial<TierLimitsConfig> = {}): TierConfig => ({
  name: 'standard',
  maxOutputTokens: 100,
  limits: { onExceeded: 'block', thresholds: [50, 80, 100], ...limits },
});

/** Everything in a table: each request's record once, and what the only consumer's purse says. */
export async function ledgerOf(client: DynamoDBClient, table: string, consumer = KEY_ID) {
  const { Items = [] } = await client.send(new ScanCommand({ TableName: table, ConsistentRead: true }));
  const account = Items.find(({ pk }) => pk?.S?.startsWith('account#'));
  const records = recordsIn(Items);
  return {
    cost: records.reduce((sum, record) => sum + costOf(record), 0),
    spent: spentIn(account, `c:${consumer}`),
    reserved: reservationsIn(account).reduce((sum, { nano }) => sum + nano, 0),
  };
}

export async function allRecords(client: DynamoDBClient, table: string): Promise<UsageRecord[]> {
  return recordsIn((await client.send(new ScanCommand({ TableName: table, ConsistentRead: true }))).Items ?? []);
}

/** Those that are being moved are in two places. */
function recordsIn(items: readonly Item[]): UsageRecord[] {
  const records = items.flatMap((item) => recordsOf(item, item.pk?.S?.split('#')[1] ?? ''));
  return [...new Map(records.map((record) => [record.id, record])).values()];
}
