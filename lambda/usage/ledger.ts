import { randomBytes } from 'node:crypto';
import {
  accountKey,
  accountOf,
  committedOf,
  consumerPurse,
  EXPIRES,
  exhaustedOf,
  type Item,
  isOver,
  LISTED_UNDER,
  minuteOf,
  monthOf,
  numberIn,
  OUTBOX,
  recordsIn,
  recordsPk,
  requestsOfMinute,
  reservationsIn,
  reservedOf,
  spentIn,
  staleIn,
  teamPurse,
  tokensOfMinute,
  untilNextMinute,
  untilNextMonth,
} from './account.ts';
import { LedgerTable, LedgerUnavailable, type Updated } from './table.ts';
import { Update } from './update.ts';
import { costOf, decodeRecord, encodeRecord, tokensOf, type UsageRecord } from './usage-record.ts';

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

/** Whose money, and how much of it. */
export interface Payer {
  readonly consumer: string;
  readonly team?: string | undefined;
  /** Of a month, nanodollars; absent: without limit. */
  readonly budgetNano?: number | undefined;
  readonly teamBudgetNano?: number | undefined;
  readonly tokensPerMinute?: number | undefined;
  readonly requestsPerMinute?: number | undefined;
  /** Shares of a budget that somebody is told of when they are spent: 0.5, 0.8, 1. */
  readonly thresholds: readonly number[];
}

export interface Ask {
  readonly payer: Payer;
  /** At most that much, as far as one can know. */
  readonly tokens: number;
  readonly nano: number;
  /** Whether budgets refuse: not for a tier that goes on when its budget is spent. */
  readonly enforceBudgets: boolean;
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
}

export type LimitName = 'consumer budget' | 'team budget' | 'tokens per minute' | 'requests per minute';

/** Why a request may not run, and when asking again makes sense. */
export interface Refusal {
  readonly limit: LimitName;
  /** Nanodollars, tokens or requests. */
  readonly maximum: number;
  readonly asked: number;
  readonly retryAfterMs: number;
  /** What is asked for is more than the whole limit: it won't ever fit. */
  readonly never: boolean;
}

/** What is left of a minute's limits. */
export interface MinuteState {
  readonly tokens: number;
  readonly requests: number;
  readonly resetMs: number;
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

/** Spending of a month just passed a share of its budget. */
export interface Crossing {
  readonly purse: string;
  readonly threshold: number;
  readonly spentNano: number;
  readonly budgetNano: number;
}

export interface Settled {
  /** Shares of budgets that this request's cost passed. Each is passed by one request, whoever settles at the same time. */
  readonly crossings: readonly Crossing[];
}

/** Records that an account's item holds before somebody moves them, and after how many more the next one tries. */
const OUTBOX_RECORDS = 16;
const OUTBOX_RETRY = 16;
/** An update expression has 4 KB at most, and each record takes some ten bytes of the one that removes it. */
const MAX_MOVED = 100;
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

  /** Whether a payer has limits that a request has to be held against before it runs. */
  static hasLimits(payer: Payer): boolean {
    const { budgetNano, teamBudgetNano, tokensPerMinute, requestsPerMinute } = payer;
    return [budgetNano, teamBudgetNano, tokensPerMinute, requestsPerMinute].some((limit) => limit !== undefined);
  }

  /** Of a request that nothing was reserved for: there is no limit, or the ledger was out of reach. */
  unreserved(payer: Payer): Reservation {
    return { payer, at: this.#now(), nano: 0, tokens: 0, purses: pursesOf(payer), untilSecond: 0, stale: [] };
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
    const stale = staleIn(updated.item, at);
    const reserved = hasBudget(payer) ? nano : 0;
    return {
      ok: true,
      reservation: {
        ...{ payer, at, tokens, stale },
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
    id: string = randomBytes(9).toString('base64url'),
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
    const encoded = record && encodeRecord(record);
    const isReserved = reservation.untilSecond > 0;
    if (!isReserved && encoded === undefined) return NOTHING_CROSSED;
    let inBucket = isReserved;
    let unsure = isUnsure;
    for (let attempt = 1; ; attempt++) {
      try {
        if (unsure && encoded !== undefined && (await this.#holds(reservation, encoded))) return NOTHING_CROSSED;
        const updated = await this.table.update(this.#settlement(reservation, record, encoded, inBucket));
        if (updated.ok) return await this.#afterSettlement(reservation, record, updated.item);
        if (encoded !== undefined && recordsIn(updated.item).includes(encoded)) return NOTHING_CROSSED;
        // The reservation was given back meanwhile: what it cost is added to what others spend.
        if (!inBucket) return NOTHING_CROSSED;
        inBucket = false;
        if (encoded === undefined) return NOTHING_CROSSED;
      } catch (error) {
        if (!(error instanceof LedgerUnavailable) || attempt >= SETTLE_ATTEMPTS) throw error;
        unsure ||= error.isAmbiguous;
        // Giving a reservation back has no record to be recognized by: it expires instead of being given back twice.
        if (unsure && encoded === undefined) return NOTHING_CROSSED;
        await sleep(RETRY_BASE_MS * 2 ** attempt * (0.5 + Math.random() / 2));
      }
    }
  }

  /** Somebody has to be told of crossings, and move records when there are enough of them. */
  async #afterSettlement(
    { payer, at }: Reservation,
    record: UsageRecord | undefined,
    item: Item | undefined,
  ): Promise<Settled> {
    const waiting = recordsIn(item);
    if (
      record !== undefined &&
      waiting.length >= OUTBOX_RECORDS &&
      (waiting.length - OUTBOX_RECORDS) % OUTBOX_RETRY === 0
    ) {
      // Should it fail, they stay where they are, counted all the same, and a later request tries.
      await this.#moveRecords(payer, at, waiting.slice(0, MAX_MOVED)).catch(() => {});
    }
    return { crossings: record === undefined ? [] : crossingsOf(payer, item, costOf(record)) };
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

  /** Reservations whose requests died are given back: all of a bucket's, on the condition that nobody else just did. */
  async #giveBack(payer: Payer, at: number, item: Item | undefined): Promise<boolean> {
    const dead = [...reservationsIn(item)].filter(({ nano, untilSecond }) => nano !== 0 && isOver(untilSecond, at));
    let given = false;
    for (const second of new Set(dead.map(({ untilSecond }) => untilSecond))) {
      const update = new Update();
      for (const { name, purse, nano } of dead.filter(({ untilSecond }) => untilSecond === second)) {
        update
          .add(committedOf(purse), -nano)
          .removeAttribute(name)
          .when(`${update.name(name)} = ${update.number(nano)}`);
      }
      const { ok } = await this.table.update(update.input(this.table.name, keyOf(payer, at)));
      given ||= ok;
    }
    // Who was faster has given it back as well.
    return given || dead.length > 0;
  }

  #settlement(
    reservation: Reservation,
    record: UsageRecord | undefined,
    encoded: string | undefined,
    inBucket: boolean,
  ) {
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
    // A minute that is over limits nobody, and its attribute may be gone already.
    if (inBucket && payer.tokensPerMinute !== undefined && minuteOf(this.#now()) === minuteOf(at)) {
      update.add(tokensOfMinute(own, minuteOf(at)), (record === undefined ? 0 : tokensOf(record)) - tokens);
    }
    if (encoded !== undefined) {
      const [list, value, empty] = [update.name(OUTBOX), update.value({ S: encoded }), update.value({ L: [] })];
      const one = update.value({ L: [{ S: encoded }] });
      update.set(OUTBOX, `list_append(if_not_exists(${list}, ${empty}), ${one})`);
      update.when(`NOT contains(${list}, ${value})`);
    }
    if (inBucket) for (const attribute of stale) update.removeAttribute(attribute);
    return this.#input(update, payer, at);
  }

  #input(update: Update, payer: Payer, at: number) {
    const expires = Math.ceil((at + untilNextMonth(at)) / 1000) + this.#options.retentionDays * 86_400;
    update.set(EXPIRES, update.number(expires)).set(LISTED_UNDER, update.value({ S: monthOf(at) }));
    return update.input(this.table.name, keyOf(payer, at));
  }

  /** Into an item of their own, then out of the account's. Twice in the table for a moment: readers look at their ids. */
  async #moveRecords(payer: Payer, at: number, records: readonly string[]): Promise<void> {
    const decoded = records.map(decodeRecord);
    const [first, last] = [records[0] ?? '', records.at(-1) ?? ''];
    const [oldest, newest] = [Math.min(...decoded.map((r) => r.at)), Math.max(...decoded.map((r) => r.at))];
    const account = accountOf(payer.consumer, payer.team);
    await this.table.put({
      pk: { S: recordsPk(account, monthOf(at)) },
      sk: { S: `${new Date(newest).toISOString()}#${decoded[0]?.id}#${records.length}` },
      oldest: { N: String(oldest) },
      r: { L: records.map((S) => ({ S })) },
      [EXPIRES]: { N: String(Math.ceil((at + untilNextMonth(at)) / 1000) + this.#options.retentionDays * 86_400) },
    });
    const update = new Update();
    const list = update.name(OUTBOX);
    // From the end: DynamoDB takes them by their places before the update, dynalite by those after the last removal.
    for (let index = records.length - 1; index >= 0; index--) update.remove(`${list}[${index}]`);
    update.when(`${list}[0] = ${update.value({ S: first })}`);
    update.when(`${list}[${records.length - 1}] = ${update.value({ S: last })}`);
    await this.table.update(update.input(this.table.name, keyOf(payer, at)));
  }

  /** Whether a record of which it is unsure arrived: in the account's item, or moved out of it since. */
  async #holds({ payer, at }: Reservation, encoded: string): Promise<boolean> {
    const item = await this.table.get(keyOf(payer, at));
    if (recordsIn(item).includes(encoded)) return true;
    const moved = this.table.query({
      KeyConditionExpression: 'pk = :pk AND sk >= :sk',
      ExpressionAttributeValues: {
        ':pk': { S: recordsPk(accountOf(payer.consumer, payer.team), monthOf(at)) },
        ':sk': { S: new Date(at).toISOString() },
      },
      ConsistentRead: true,
    });
    for await (const { r } of moved) if (r?.L?.some(({ S }) => S === encoded)) return true;
    return false;
  }

  #until(at: number): number {
    return Math.ceil((at + this.#options.reservationMs) / 1000 / this.#bucketSeconds) * this.#bucketSeconds;
  }
}

const NOTHING_CROSSED: Settled = { crossings: [] };
const CONTENDED = { limit: 'tokens per minute', maximum: 0, retryAfterMs: 1000, never: false } as const;

const keyOf = (payer: Payer, at: number): Item => accountKey(accountOf(payer.consumer, payer.team), monthOf(at));

const hasBudget = (payer: Payer): boolean => payer.budgetNano !== undefined || payer.teamBudgetNano !== undefined;

const pursesOf = ({ consumer, team }: Payer): string[] => [
  consumerPurse(consumer),
  ...(team === undefined ? [] : [teamPurse(team)]),
];

const budgetOf = (payer: Payer, purse: string): number | undefined =>
  purse === consumerPurse(payer.consumer) ? payer.budgetNano : payer.teamBudgetNano;

function minuteStateOf(
  { consumer, tokensPerMinute, requestsPerMinute }: Payer,
  item: Item | undefined,
  at: number,
): MinuteState {
  const purse = consumerPurse(consumer);
  const left = (limit: number | undefined, used: number): number => Math.max(0, (limit ?? 0) - used);
  return {
    tokens: left(tokensPerMinute, numberIn(item, tokensOfMinute(purse, minuteOf(at)))),
    requests: left(requestsPerMinute, numberIn(item, requestsOfMinute(purse, minuteOf(at)))),
    resetMs: untilNextMinute(at),
  };
}

/** The limit that a request doesn't fit into: the one that takes longest to have room again. */
function refusalOf(ask: Ask, item: Item | undefined, at: number): Refusal | undefined {
  const { payer, tokens, nano, enforceBudgets } = ask;
  const own = consumerPurse(payer.consumer);
  const limits: Array<readonly [LimitName, maximum: number | undefined, used: number, asked: number, waitMs: number]> =
    [];
  if (enforceBudgets) {
    const team = payer.team === undefined ? 0 : numberIn(item, committedOf(teamPurse(payer.team)));
    limits.push(['team budget', payer.teamBudgetNano, team, nano, untilNextMonth(at)]);
    limits.push(['consumer budget', payer.budgetNano, numberIn(item, committedOf(own)), nano, untilNextMonth(at)]);
  }
  const minute = minuteOf(at);
  const wait = untilNextMinute(at);
  limits.push(['tokens per minute', payer.tokensPerMinute, numberIn(item, tokensOfMinute(own, minute)), tokens, wait]);
  limits.push(['requests per minute', payer.requestsPerMinute, numberIn(item, requestsOfMinute(own, minute)), 1, wait]);
  for (const [limit, maximum, used, asked, retryAfterMs] of limits) {
    if (maximum === undefined || used + asked <= maximum) continue;
    return { limit, maximum, asked, retryAfterMs, never: asked > maximum };
  }
  return undefined;
}

function crossingsOf(payer: Payer, item: Item | undefined, cost: number): Crossing[] {
  return pursesOf(payer).flatMap((purse) => {
    const budgetNano = budgetOf(payer, purse);
    if (budgetNano === undefined) return [];
    const spentNano = spentIn(item, purse);
    // A budget whose last dollars nobody could use was told of by the first request that was refused.
    const shares = payer.thresholds.filter((share) => share < 1 || item?.[exhaustedOf(purse)] === undefined);
    return shares
      .filter((share) => spentNano - cost < share * budgetNano && spentNano >= share * budgetNano)
      .map((threshold) => ({ purse, threshold, spentNano, budgetNano }));
  });
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
