import { type Item, idOf, ownerOf, recordsIn } from './account.ts';

/** What one request used, as the ledger keeps it. */
export interface UsageRecord {
  /** Made up for the ledger: a client may send the same request id twice. */
  readonly id: string;
  /** When the request began, Unix milliseconds: the minute, day and month that it counts for. */
  readonly at: number;
  readonly consumer: string;
  readonly model: string;
  readonly feature: string;
  /** The end user, as the application knows them. */
  readonly user: string;
  /** What the answer would have cost, had it not been cached; nanodollars. */
  readonly savedNano: number;
  /** One for each backend that has to be paid. */
  readonly bills: readonly UsageBill[];
}

export interface UsageBill {
  readonly backend: string;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly cachedInputTokens: number;
  readonly costNano: number;
  /** The backend didn't say: tokens are an estimate. */
  readonly estimated: boolean;
}

/** End users' ids are the application's own, of any length; an account's item is not. */
const MAX_USER = 128;

/**
 * A list without names, for some of them ride in an item whose size is paid for with each write. The id is the
 * attribute's name, and the consumer is in the account's where it has one of its own.
 */
export function encodeRecord(record: Omit<UsageRecord, 'id'>, account: string): string {
  const { at, consumer, model, feature, user, savedNano, bills } = record;
  return JSON.stringify([
    at,
    consumer === ownerOf(account) ? 0 : consumer,
    model,
    feature,
    user.slice(0, MAX_USER),
    savedNano,
    ...bills.map((bill) => [
      bill.backend,
      bill.inputTokens,
      bill.outputTokens,
      bill.cachedInputTokens,
      bill.costNano,
      bill.estimated ? 1 : 0,
    ]),
  ]);
}

type EncodedBill = [string, number, number, number, number, 0 | 1];
type Encoded = [number, string | 0, string, string, string, number, ...EncodedBill[]];

/** The usage records of an account's item, or of one that they were moved to. */
export function recordsOf(item: Item | undefined, account: string): UsageRecord[] {
  return recordsIn(item).map((name) => decodeRecord(idOf(name), item?.[name]?.S ?? '[]', account));
}

function decodeRecord(id: string, text: string, account: string): UsageRecord {
  const [at, consumer, model, feature, user, savedNano, ...bills] = JSON.parse(text) as Encoded;
  return {
    ...{ id, at, model, feature, user, savedNano },
    consumer: consumer === 0 ? (ownerOf(account) ?? '') : consumer,
    bills: bills.map(([backend, inputTokens, outputTokens, cachedInputTokens, costNano, estimated]) => ({
      ...{ backend, inputTokens, outputTokens, cachedInputTokens, costNano },
      estimated: estimated === 1,
    })),
  };
}

export const costOf = (record: Pick<UsageRecord, 'bills'>): number =>
  record.bills.reduce((sum, bill) => sum + bill.costNano, 0);

export const tokensOf = (record: Pick<UsageRecord, 'bills'>): number =>
  record.bills.reduce((sum, bill) => sum + bill.inputTokens + bill.outputTokens, 0);
