import type { Consumer } from '../contract/config.ts';
import { type Item, LISTED_UNDER, LISTING_INDEX } from './account.ts';
import { toNano, toUsd } from './money.ts';
import type { LedgerTable } from './table.ts';

/** Who uses an API key that was made after the deployment. The key's value is API Gateway's alone. */
export interface KeyEntry {
  readonly keyId: string;
  readonly consumer: string;
  readonly tier: string;
  readonly team?: string;
  readonly monthlyBudgetUsd?: number;
  /** Unix milliseconds. */
  readonly createdAt: number;
}

const KEYS = 'keys';

export const keyItemKey = (keyId: string): Item => ({ pk: { S: `key#${keyId}` }, sk: { S: 'key' } });

export function keyItem(entry: KeyEntry): Item {
  return {
    ...keyItemKey(entry.keyId),
    [LISTED_UNDER]: { S: KEYS },
    consumer: { S: entry.consumer },
    tier: { S: entry.tier },
    ...(entry.team === undefined ? {} : { team: { S: entry.team } }),
    ...(entry.monthlyBudgetUsd === undefined ? {} : { budget: { N: String(toNano(entry.monthlyBudgetUsd)) } }),
    created: { N: String(entry.createdAt) },
  };
}

export function keyEntryOf(item: Item): KeyEntry {
  const { pk, consumer, tier, team, budget, created } = item;
  return {
    keyId: (pk?.S ?? '').slice('key#'.length),
    consumer: consumer?.S ?? '',
    tier: tier?.S ?? '',
    ...(team?.S === undefined ? {} : { team: team.S }),
    ...(budget?.N === undefined ? {} : { monthlyBudgetUsd: toUsd(Number(budget.N)) }),
    createdAt: Number(created?.N ?? 0),
  };
}

/** All that were made, in no order. */
export async function listKeys(table: LedgerTable): Promise<KeyEntry[]> {
  const listed = table.query({
    IndexName: LISTING_INDEX,
    KeyConditionExpression: '#m = :keys',
    ExpressionAttributeNames: { '#m': LISTED_UNDER },
    ExpressionAttributeValues: { ':keys': { S: KEYS } },
  });
  const entries: KeyEntry[] = [];
  for await (const { pk } of listed) {
    const item = pk?.S === undefined ? undefined : await table.get({ pk, sk: { S: 'key' } });
    if (item !== undefined) entries.push(keyEntryOf(item));
  }
  return entries;
}

/** How long a key's entry is believed, and how long that there is none. A disabled key is API Gateway's to refuse. */
const KNOWN_MS = 60_000;
const UNKNOWN_MS = 10_000;
/** API Gateway's quota of keys in a region. https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html */
const MAX_CACHED = 10_000;

/** The consumers of keys that the deployment doesn't know. */
export class KeyStore {
  readonly #table: LedgerTable;
  readonly #cache = new Map<string, { readonly entry: Promise<KeyEntry | undefined>; until: number }>();

  constructor(table: LedgerTable) {
    this.#table = table;
  }

  /** @throws LedgerUnavailable */
  async find(keyId: string, tiers: readonly Consumer['tier'][]): Promise<Consumer | undefined> {
    const entry = await this.#entry(keyId);
    const tier = tiers.find(({ name }) => name === entry?.tier);
    if (entry === undefined || tier === undefined) return undefined;
    const { consumer: name, team, monthlyBudgetUsd } = entry;
    return {
      ...{ name, tier },
      ...(team === undefined ? {} : { team }),
      ...(monthlyBudgetUsd === undefined ? {} : { monthlyBudgetUsd }),
    };
  }

  /** Asked once, however many requests of a new key come at once. */
  #entry(keyId: string): Promise<KeyEntry | undefined> {
    const now = Date.now();
    const cached = this.#cache.get(keyId);
    if (cached !== undefined && cached.until > now) return cached.entry;
    if (this.#cache.size >= MAX_CACHED) this.#cache.clear();
    const entry = this.#table.get(keyItemKey(keyId)).then((item) => item && keyEntryOf(item));
    const fresh = { entry, until: now + KNOWN_MS };
    this.#cache.set(keyId, fresh);
    entry.then(
      (found) => {
        if (found === undefined) fresh.until = now + UNKNOWN_MS;
      },
      () => this.#cache.delete(keyId),
    );
    return entry;
  }
}
