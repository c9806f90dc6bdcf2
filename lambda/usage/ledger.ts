import { randomBytes } from 'node:crypto';
import {
  accountKey,
  accountOf,
  COUNTED,
  committedOf,
  consumerPurse,
  dayOf,
  EXPIRES,
  exhaustedOf,
  hourOf,
  type Item,
  isOver,
  LISTED_UNDER,
  minuteOf,
  monthOf,
  numberIn,
  recordOf,
  recordsIn,
  recordsPk,
  requestsOfMinute,
  reservationsIn,
  reservedOf,
  spentInDay,
  spentInHour,
  staleIn,
  staleSpendingIn,
  teamPurse,
  tokensOfMinute,
  untilNextMonth,
} from './account.ts';
import {
  type Ask,
  budgetOf,
  type Crossing,
  crossingsOf,
  type HardCrossing,
  hardCrossingsOf,
  hasBudget,
  type MinuteState,
  minuteStateOf,
  type Payer,
  pursesOf,
  type Refusal,
  refusalOf,
} from './limits.ts';
import { LedgerTable, LedgerUnavailable, type Updated } from './table.ts';
import { Update } from './update.ts';
import { costOf, encodeRecord, recordsOf, tokensOf, type UsageRecord } from './usage-record.ts';

export interface LedgerOptions {
  readonly table: string;
  /** A reservation that nobody settled by then is given back. Longer than a request can take. */
  readonly reservationMs: number;
  /** How long an item is kept after its month. */
  readonly retentionDays: number;
  /** How long a call of DynamoDB may take. */
  readonly timeoutMs: number;
  /** @default Date.now */
  readonly now?: () => number;
}

export interface Reservation {
  readonly payer: Payer;
  readonly at: number;
  /** Reserved in each purse; 0 when no budget needs it. */
  readonly nano: number;
  readonly tokens: number;
  readonly purses: readonly string[];
  readonly untilSecond: number;
  /** Attributes to be cleared away on the occasion. */
  readonly stale: readonly string[];
  /** It falls to this request to move the records that wait in the account's item. */
  readonly moves: boolean;
}

export type Reserved =
  | { readonly ok: true; readonly reservation: Reservation; readonly minute: MinuteState }
  | {
      readonly ok: false;
      readonly refusal: Refusal;
      /** This is the first request of the month that a budget has no room for. */
      readonly isExhausted: boolean;
      readonly minute: MinuteState;
    };

export interface Settled {
  /** Shares of budgets that this request's cost passed. Each is passed by one request, whoever settles at the same time. */
  readonly crossings: readonly Crossing[];
  readonly hardCrossings: readonly HardCrossing[];
}

/**
 * Of so many requests of an account, one moves the records that wait in its item. More of them would cost fewer writes
 * and more for each: with six, an item stays within the kilobyte that a write unit pays for. docs/ledger.md compares.
 */
const MOVE_EVERY = 6;
/** An update expression has 4 KB at most, and each record takes some ten bytes of the one that removes it. */
const MAX_MOVED = 100;
/** Likewise of attributes that say nothing any more: a team has some of each consumer. The next request takes the rest. */
const MAX_CLEARED = 100;
/** Likewise of reservations, each with a condition of twenty bytes: a team's consumers may have died together. */
const MAX_GIVEN_BACK = 50;
/** Reservations are summed up by the time at which they end, in steps of this share of their life. */
const BUCKETS = 4;
const SETTLE_ATTEMPTS = 4;
const RETRY_BASE_MS = 50;
/** Settlements that a process keeps when the ledger is down, to try them again with its next one. */
const MAX_BACKLOG = 1000;

/**
 * What consumers, teams and features used and spent. Each request is two updates of one item, the account's of the month:
 * one that reserves what it may cost, if its limits allow, and one that puts what it did cost in its place.
 * docs/ledger.md says why it is so.
 */
export class Ledger {
  readonly table: LedgerTable;
  readonly #options: LedgerOptions;
  readonly #now: () => number;
  readonly #bucketSeconds: number;
  readonly #backlog: Array<{ readonly reservation: Reservation; readonly record: UsageRecord | undefined }> = [];

  constructor(options: LedgerOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#bucketSeconds = Math.max(1, Math.ceil(options.reservationMs / 1000 / BUCKETS));
    this.table = new LedgerTable(options.table, options.timeoutMs);
  }

  now(): number {
    return this.#now();
  }

  /** Whether a payer has limits that a request has to be held against before it runs. */
  static hasLimits(payer: Payer): boolean {
    const { budgetNano, teamBudgetNano, tokensPerMinute, requestsPerMinute } = payer;
    return [budgetNano, teamBudgetNano, tokensPerMinute, requestsPerMinute].some((limit) => limit !== undefined);
  }

  /** Of a request that nothing was reserved for: there is no limit, or the ledger was out of reach. */
  unreserved(payer: Payer): Reservation {
    return {
      payer,
      at: this.#now(),
      nano: 0,
      tokens: 0,
      purses: pursesOf(payer),
      untilSecond: 0,
      stale: [],
      moves: false,
    };
  }

  /** @throws LedgerUnavailable */
  async reserve(ask: Ask): Promise<Reserved> {
    const at = this.#now();
    const tooLarge = refusalOf(ask, undefined, at);
    if (tooLarge !== undefined) {
      return { ok: false, refusal: tooLarge, isExhausted: false, minute: minuteStateOf(ask.payer, undefined, at) };
    }
    let updated = await this.#tryReserve(ask, at);
    let refusal = updated.ok ? undefined : refusalOf(ask, updated.item, at);
    // Only now does it matter whether dead requests hold money. And what came back may be newer than what refused.
    if (!updated.ok && (refusal === undefined || (await this.#giveBack(ask.payer, at, updated.item)))) {
      updated = await this.#tryReserve(ask, at);
      refusal = updated.ok ? undefined : refusalOf(ask, updated.item, at);
    }
    const minute = minuteStateOf(ask.payer, updated.item, at);
    if (!updated.ok) {
      const isExhausted = refusal !== undefined && (await this.#isFirstRefusal(ask.payer, refusal, updated.item, at));
      return { ok: false, refusal: refusal ?? { ...CONTENDED, asked: ask.tokens }, isExhausted, minute };
    }
    const { payer, nano, tokens } = ask;
    const stale = staleIn(updated.item, at).slice(0, MAX_CLEARED);
    const reserved = hasBudget(payer) ? nano : 0;
    return {
      ok: true,
      reservation: {
        ...{ payer, at, tokens, stale },
        moves: isMover(updated.item),
        nano: reserved,
        purses: pursesOf(payer),
        untilSecond: this.#until(at),
      },
      minute,
    };
  }

  /**
   * Puts what a request cost in the place of what was reserved for it. Safe to repeat: it counts once.
   *
   * @param used nothing when nobody has to be paid: only the reservation is given back
   * @param id of the record, where somebody else keeps it too (`settleAgain`)
   * @throws LedgerUnavailable when it failed for good; it is tried again with the process's next settlement
   */
  async settle(
    reservation: Reservation,
    used: Omit<UsageRecord, 'id' | 'at' | 'consumer'> | undefined,
    id: string = newId(),
  ): Promise<Settled> {
    const record = used && { ...{ id, at: reservation.at, consumer: reservation.payer.consumer }, ...used };
    const earlier = this.#backlog.splice(0);
    try {
      const settled = await this.#settleOnce(reservation, record);
      for (const each of earlier.splice(0)) {
        await this.#settleOnce(each.reservation, each.record, true).catch(() => this.#keep(each));
      }
      return settled;
    } catch (error) {
      for (const each of [...earlier, { reservation, record }]) this.#keep(each);
      throw error;
    }
  }

  /**
   * Of a record that somebody kept before it was to be settled, and doesn't know whether it was: it counts once. What was
   * reserved for it expires.
   *
   * @throws LedgerUnavailable
   */
  settleAgain(payer: Payer, record: UsageRecord): Promise<Settled> {
    return this.#settleOnce({ ...this.unreserved(payer), at: record.at }, record, true);
  }

  #keep(settlement: { readonly reservation: Reservation; readonly record: UsageRecord | undefined }): void {
    if (this.#backlog.length < MAX_BACKLOG) this.#backlog.push(settlement);
  }

  /** @param isUnsure whether an earlier attempt may have arrived */
  async #settleOnce(reservation: Reservation, record: UsageRecord | undefined, isUnsure = false): Promise<Settled> {
    const isReserved = reservation.untilSecond > 0;
    if (!isReserved && record === undefined) return NOTHING_CROSSED;
    const copied = reservation.moves ? await this.#copyWaiting(reservation) : [];
    let inBucket = isReserved;
    let unsure = isUnsure;
    for (let attempt = 1; ; attempt++) {
      try {
        if (unsure && record !== undefined && (await this.#holds(reservation, record))) return NOTHING_CROSSED;
        const updated = await this.table.update(this.#settlement(reservation, record, copied, inBucket));
        if (updated.ok) return await this.#afterSettlement(reservation, record, updated.item);
        if (record !== undefined && updated.item?.[recordOf(record.id)] !== undefined) return NOTHING_CROSSED;
        // The reservation was given back meanwhile: what it cost is added to what others spend.
        if (!inBucket) return NOTHING_CROSSED;
        inBucket = false;
        if (record === undefined) return NOTHING_CROSSED;
      } catch (error) {
        if (!(error instanceof LedgerUnavailable) || attempt >= SETTLE_ATTEMPTS) throw error;
        // Giving a reservation back has no record to be recognized by: it expires instead of being given back twice.
        if (error.isAmbiguous && record === undefined) return NOTHING_CROSSED;
        // Of a job's record, another run may have been faster meanwhile, and somebody may have moved it.
        unsure = true;
        await sleep(RETRY_BASE_MS * 2 ** attempt * (0.5 + Math.random() / 2));
      }
    }
  }

  /** Somebody has to be told of crossings. */
  async #afterSettlement(
    reservation: Reservation,
    record: UsageRecord | undefined,
    item: Item | undefined,
  ): Promise<Settled> {
    if (record === undefined) return NOTHING_CROSSED;
    const { payer, at, untilSecond } = reservation;
    // Without a reservation there was nobody yet to move records: it is only now that the request was counted.
    if (untilSecond === 0 && isMover(item)) await this.#moveNow(reservation, item);
    const cost = costOf(record);
    return { crossings: crossingsOf(payer, item, cost), hardCrossings: hardCrossingsOf(payer, at, item, cost) };
  }

  #tryReserve({ payer, tokens, nano, enforceBudgets }: Ask, at: number): Promise<Updated> {
    const own = consumerPurse(payer.consumer);
    const minute = minuteOf(at);
    const update = new Update();
    if (hasBudget(payer)) {
      for (const purse of pursesOf(payer)) {
        update.add(committedOf(purse), nano).add(reservedOf(purse, this.#until(at)), nano);
        const budget = budgetOf(payer, purse);
        if (enforceBudgets && budget !== undefined) update.whenAtMost(committedOf(purse), budget - nano);
      }
    }
    if (payer.tokensPerMinute !== undefined) {
      const attribute = tokensOfMinute(own, minute);
      update.add(attribute, tokens).whenAtMost(attribute, payer.tokensPerMinute - tokens);
    }
    if (payer.requestsPerMinute !== undefined) {
      const attribute = requestsOfMinute(own, minute);
      update.add(attribute, 1).whenAtMost(attribute, payer.requestsPerMinute - 1);
    }
    update.add(COUNTED, 1);
    return this.table.update(this.#input(update, payer, at));
  }

  /** One request of the month is told so, of all that are refused. */
  async #isFirstRefusal(payer: Payer, { limit }: Refusal, item: Item | undefined, at: number): Promise<boolean> {
    if (limit !== 'consumer budget' && limit !== 'team budget') return false;
    const mark = exhaustedOf(limit === 'team budget' ? teamPurse(payer.team ?? '') : consumerPurse(payer.consumer));
    if (item?.[mark] !== undefined) return false;
    const update = new Update();
    update.set(mark, update.number(Math.floor(at / 1000))).when(`attribute_not_exists(${update.name(mark)})`);
    const marked = await this.table.update(update.input(this.table.name, keyOf(payer, at))).catch(() => undefined);
    return marked?.ok === true;
  }

  /** Reservations whose requests died are given back: a bucket's at once, on the condition that nobody else just did. */
  async #giveBack(payer: Payer, at: number, item: Item | undefined): Promise<boolean> {
    const dead = reservationsIn(item).filter(({ nano, untilSecond }) => nano !== 0 && isOver(untilSecond, at));
    let given = false;
    for (const second of new Set(dead.map(({ untilSecond }) => untilSecond))) {
      const bucket = dead.filter(({ untilSecond }) => untilSecond === second);
      for (let from = 0; from < bucket.length; from += MAX_GIVEN_BACK) {
        const update = new Update();
        for (const { name, purse, nano } of bucket.slice(from, from + MAX_GIVEN_BACK)) {
          update
            .add(committedOf(purse), -nano)
            .remove(name)
            .when(`${update.name(name)} = ${update.number(nano)}`);
        }
        const { ok } = await this.table.update(update.input(this.table.name, keyOf(payer, at)));
        given ||= ok;
      }
    }
    // Who was faster has given it back as well.
    return given || dead.length > 0;
  }

  #settlement(reservation: Reservation, record: UsageRecord | undefined, copied: readonly string[], inBucket: boolean) {
    const { payer, at, nano, tokens, purses, untilSecond, stale } = reservation;
    const update = new Update();
    const cost = record === undefined ? 0 : costOf(record);
    const isBudgeted = inBucket && hasBudget(payer);
    for (const purse of purses) {
      if (!isBudgeted) {
        if (cost !== 0) update.add(committedOf(purse), cost);
        continue;
      }
      const bucket = reservedOf(purse, untilSecond);
      update
        .add(committedOf(purse), cost - nano)
        .add(bucket, -nano)
        .when(`attribute_exists(${update.name(bucket)})`);
    }
    const own = consumerPurse(payer.consumer);
    if (payer.hardLimits !== undefined && cost !== 0) {
      update.add(spentInHour(own, hourOf(at)), cost).add(spentInDay(own, dayOf(at)), cost);
    }
    // A minute that is over limits nobody, and its attribute may be gone already.
    if (inBucket && payer.tokensPerMinute !== undefined && minuteOf(this.#now()) === minuteOf(at)) {
      update.add(tokensOfMinute(own, minuteOf(at)), (record === undefined ? 0 : tokensOf(record)) - tokens);
    }
    if (record !== undefined) {
      const attribute = recordOf(record.id);
      const encoded = encodeRecord(record, accountOf(payer.consumer, payer.team));
      update.set(attribute, update.value({ S: encoded })).when(`attribute_not_exists(${update.name(attribute)})`);
    }
    if (untilSecond === 0) update.add(COUNTED, 1);
    for (const attribute of copied) update.remove(attribute);
    if (inBucket) for (const attribute of stale) update.remove(attribute);
    return this.#input(update, payer, at);
  }

  #input(update: Update, payer: Payer, at: number) {
    update.set(EXPIRES, update.number(this.#expires(at))).set(LISTED_UNDER, update.value({ S: monthOf(at) }));
    return update.input(this.table.name, keyOf(payer, at));
  }

  /**
   * Copies the records that wait into an item of their own; the settlement that follows takes them out of the account's.
   * For a moment they are in both, and for longer should this process die: readers look at their ids.
   *
   * @returns what may go from the account's item; nothing when it failed: records stay where they are, counted all the
   * same, for the next to move
   */
  async #copyWaiting(reservation: Reservation): Promise<readonly string[]> {
    try {
      // As they are now: those that the reservation saw may have been moved while the answer was made.
      return await this.#copy(reservation, await this.table.get(keyOf(reservation.payer, reservation.at)));
    } catch (error) {
      if (!(error instanceof LedgerUnavailable)) throw error;
      return [];
    }
  }

  /** The same when the settlement is over already, and an update of its own takes them out. */
  async #moveNow(reservation: Reservation, item: Item | undefined): Promise<void> {
    const { payer, at } = reservation;
    try {
      const update = new Update();
      for (const attribute of await this.#copy(reservation, item)) update.remove(attribute);
      await this.table.update(update.input(this.table.name, keyOf(payer, at)));
    } catch (error) {
      if (!(error instanceof LedgerUnavailable)) throw error;
    }
  }

  async #copy({ payer, at }: Reservation, item: Item | undefined): Promise<readonly string[]> {
    const attributes = recordsIn(item).slice(0, MAX_MOVED);
    if (item === undefined || attributes.length === 0) return this.#staleSpending(item, at);
    const copied = Object.fromEntries(attributes.map((attribute) => [attribute, item[attribute] ?? { S: '' }]));
    const account = accountOf(payer.consumer, payer.team);
    const times = recordsOf(copied, account).map((record) => record.at);
    await this.table.put({
      pk: { S: recordsPk(account, monthOf(at)) },
      sk: { S: `${new Date(Math.max(...times)).toISOString()}#${newId()}` },
      oldest: { N: String(Math.min(...times)) },
      [EXPIRES]: { N: String(this.#expires(at)) },
      ...copied,
    });
    return [...attributes, ...this.#staleSpending(item, at)];
  }

  /** But those that a request of `at` adds to, should it settle so late. */
  #staleSpending(item: Item | undefined, at: number): readonly string[] {
    return staleSpendingIn(item, Math.min(at, this.#now())).slice(0, MAX_CLEARED);
  }

  /** Whether a record of which it is unsure arrived: in the account's item, or moved out of it since. */
  async #holds({ payer, at }: Reservation, { id }: UsageRecord): Promise<boolean> {
    const attribute = recordOf(id);
    const item = await this.table.get(keyOf(payer, at));
    if (item?.[attribute] !== undefined) return true;
    const moved = this.table.query({
      KeyConditionExpression: 'pk = :pk AND sk >= :sk',
      ExpressionAttributeValues: {
        ':pk': { S: recordsPk(accountOf(payer.consumer, payer.team), monthOf(at)) },
        ':sk': { S: new Date(at).toISOString() },
      },
      ConsistentRead: true,
    });
    for await (const each of moved) if (each[attribute] !== undefined) return true;
    return false;
  }

  #expires(at: number): number {
    return Math.ceil((at + untilNextMonth(at)) / 1000) + this.#options.retentionDays * 86_400;
  }

  #until(at: number): number {
    return Math.ceil((at + this.#options.reservationMs) / 1000 / this.#bucketSeconds) * this.#bucketSeconds;
  }
}

const newId = (): string => randomBytes(9).toString('base64url');

const NOTHING_CROSSED: Settled = { crossings: [], hardCrossings: [] };
const CONTENDED = { limit: 'tokens per minute', maximum: 0, retryAfterMs: 1000, never: false } as const;

function isMover(item: Item | undefined): boolean {
  const counted = numberIn(item, COUNTED);
  return counted > 0 && counted % MOVE_EVERY === 0;
}

const keyOf = (payer: Payer, at: number): Item => accountKey(accountOf(payer.consumer, payer.team), monthOf(at));

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
