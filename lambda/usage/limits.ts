import {
  committedOf,
  consumerPurse,
  DAY_MS,
  dayOf,
  exhaustedOf,
  HOUR_MS,
  hourOf,
  type Item,
  minuteOf,
  numberIn,
  requestsOfMinute,
  spentIn,
  spentInDay,
  spentInHour,
  teamPurse,
  tokensOfMinute,
  untilNextMinute,
  untilNextMonth,
} from './account.ts';

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
  /** What one consumer's spending mustn't pass: it is paused then. */
  readonly hardLimits?:
    | {
        readonly hourNano: number | undefined;
        readonly dayNano: number | undefined;
        /** Absent: until somebody resumes it. */
        readonly pauseMs: number | undefined;
      }
    | undefined;
}

export interface Ask {
  readonly payer: Payer;
  /** At most that much, as far as one can know. */
  readonly tokens: number;
  readonly nano: number;
  /** Whether budgets refuse: not for a tier that goes on when its budget is spent. */
  readonly enforceBudgets: boolean;
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

/** Spending of a month just passed a share of its budget. */
export interface Crossing {
  readonly purse: string;
  readonly threshold: number;
  readonly spentNano: number;
  readonly budgetNano: number;
}

/** A consumer's spending of an hour or a day just passed its hard limit, or a multiple of it. */
export interface HardCrossing {
  readonly consumer: string;
  readonly per: 'hour' | 'day';
  /** The beginning of that hour or day. */
  readonly since: number;
  readonly spentNano: number;
  readonly limitNano: number;
}

export const hasBudget = (payer: Payer): boolean =>
  payer.budgetNano !== undefined || payer.teamBudgetNano !== undefined;

export const pursesOf = ({ consumer, team }: Payer): string[] => [
  consumerPurse(consumer),
  ...(team === undefined ? [] : [teamPurse(team)]),
];

export const budgetOf = (payer: Payer, purse: string): number | undefined =>
  purse === consumerPurse(payer.consumer) ? payer.budgetNano : payer.teamBudgetNano;

export function minuteStateOf(
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
export function refusalOf(ask: Ask, item: Item | undefined, at: number): Refusal | undefined {
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

export function crossingsOf(payer: Payer, item: Item | undefined, cost: number): Crossing[] {
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

/** Multiples too: for one who was resumed and goes on, and for a crossing that nobody could act on. */
export function hardCrossingsOf(
  { consumer, hardLimits }: Payer,
  at: number,
  item: Item | undefined,
  cost: number,
): HardCrossing[] {
  if (hardLimits === undefined) return [];
  const purse = consumerPurse(consumer);
  const periods = [
    ['day', hardLimits.dayNano, spentInDay(purse, dayOf(at)), dayOf(at) * DAY_MS],
    ['hour', hardLimits.hourNano, spentInHour(purse, hourOf(at)), hourOf(at) * HOUR_MS],
  ] as const;
  return periods.flatMap(([per, limitNano, attribute, since]) => {
    if (limitNano === undefined) return [];
    const spentNano = numberIn(item, attribute);
    const isCrossing = Math.floor(spentNano / limitNano) > Math.floor((spentNano - cost) / limitNano);
    return isCrossing ? { consumer, per, since, spentNano, limitNano } : [];
  });
}
