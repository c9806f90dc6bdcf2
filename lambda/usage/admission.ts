import type { HardLimitsConfig } from '../../lib/private/serving-config.ts';
import type { ServingConfig } from '../contract/config.ts';
import { type Admission, clampOutput, findModel } from '../serving/admit.ts';
import { costUsd } from '../serving/cost.ts';
import { ApiError } from '../serving/errors.ts';
import { estimatedUsage } from '../serving/estimate.ts';
import type { Caller } from '../serving/identify.ts';
import { AdmissionRefused } from './admission-refused.ts';
import { Ledger, type Reservation, type Reserved, type Settled } from './ledger.ts';
import type { Crossing, HardCrossing, Payer } from './limits.ts';
import { toNano, toUsd } from './money.ts';
import type { PauseWatch } from './pause-watch.ts';
import { pause } from './pauses.ts';
import { rateLimitHeaders } from './rate-limit.ts';
import { LedgerUnavailable } from './table.ts';
import type { UsageRecord } from './usage-record.ts';

/** An answer is expected to be no longer when nothing limits it: neither the client, nor the model, nor the tier. */
const UNLIMITED_OUTPUT_TOKENS = 4096;
/** What a client is told to wait while the ledger is down. */
const UNAVAILABLE_RETRY_MS = 2000;
/** A reservation that was made twice expires: it may be tried again without looking. */
const RESERVE_ATTEMPTS = 2;

/** What has to be told of the ledger in the log. */
export type LedgerEvent =
  | { readonly kind: 'threshold'; readonly crossing: Omit<Crossing, 'spentNano'> & { readonly spentNano?: number } }
  /** A consumer was paused, for it crossed a hard limit. */
  | { readonly kind: 'paused'; readonly crossing: HardCrossing; readonly until: number | undefined }
  | {
      readonly kind: 'error';
      readonly step: 'look up' | 'read pauses' | 'reserve' | 'settle' | 'pause';
      readonly error: string;
    };

/** A request's place in the ledger, from its admission on. */
export interface Charge {
  readonly headers: Readonly<Record<string, string>>;
  /** When the ledger says that the request began, Unix milliseconds. */
  readonly at: number;
  /**
   * @param id the record's, where it is known elsewhere too
   * @returns what has to be told, of the admission too
   */
  settle(used: Omit<UsageRecord, 'id' | 'at' | 'consumer'> | undefined, id?: string): Promise<readonly LedgerEvent[]>;
}

export interface Granted {
  /** Of another model when the tier says so. */
  readonly admission: Admission;
  readonly charge: Charge;
}

export interface LedgerScope {
  readonly ledger: Ledger;
  readonly pauses: PauseWatch;
  readonly config: ServingConfig;
  /** Takes what has to be told when there is no charge to tell it: of requests that are refused. */
  readonly onEvent: (event: LedgerEvent) => void;
}

export function payerOf({ consumer, tier, team, monthlyBudgetUsd }: Caller, config: ServingConfig): Payer {
  const limits = tier.limits;
  const budgetUsd = monthlyBudgetUsd ?? limits?.monthlyBudgetUsd;
  const teamBudgetUsd = team === undefined ? undefined : config.teams.get(team)?.monthlyBudgetUsd;
  return {
    consumer,
    team,
    budgetNano: budgetUsd === undefined ? undefined : toNano(budgetUsd),
    teamBudgetNano: teamBudgetUsd === undefined ? undefined : toNano(teamBudgetUsd),
    tokensPerMinute: limits?.tokensPerMinute,
    requestsPerMinute: limits?.requestsPerMinute,
    thresholds: (limits?.thresholds ?? DEFAULT_THRESHOLDS).map((percent) => percent / 100),
    hardLimits: hardLimitsOf(limits?.hardLimits),
  };
}

function hardLimitsOf(limits: HardLimitsConfig | undefined): Payer['hardLimits'] {
  if (limits === undefined) return undefined;
  const { hourlyUsd, dailyUsd, pauseMs } = limits;
  return {
    hourNano: hourlyUsd === undefined ? undefined : toNano(hourlyUsd),
    dayNano: dailyUsd === undefined ? undefined : toNano(dailyUsd),
    pauseMs,
  };
}

const DEFAULT_THRESHOLDS = [50, 80, 100];

/**
 * Ends a request of somebody, or for something, that is paused.
 *
 * @returns what has to be told
 * @throws Paused, ApiError 503 when that isn't known and the tier would rather refuse than let through
 */
export async function refusePaused(
  { pauses, config, onEvent }: Omit<LedgerScope, 'ledger'>,
  caller: Caller,
  model: string | undefined,
): Promise<readonly LedgerEvent[]> {
  const events: LedgerEvent[] = [];
  try {
    await pauses.ready();
  } catch (error) {
    if (!(error instanceof LedgerUnavailable)) throw error;
    const event = { kind: 'error', step: 'read pauses', error: error.message } as const;
    if (refusesWithout(caller.tier.limits?.ledgerUnavailable, payerOf(caller, config))) {
      onEvent(event);
      throw unavailable(error);
    }
    events.push(event);
  }
  const refusal = pauses.refusal({ ...caller, model });
  if (refusal === undefined) return events;
  for (const event of events) onEvent(event);
  throw refusal;
}

/**
 * Reserves what a request may use. One conditional update where the caller has limits, none where it hasn't.
 *
 * @throws Paused, AdmissionRefused when a limit has no room for it, ApiError 503 when the ledger doesn't answer and the
 * tier would rather refuse than let through
 */
export async function admitByLedger(admission: Admission, caller: Caller, scope: LedgerScope): Promise<Granted> {
  const { ledger, config, onEvent } = scope;
  const events: LedgerEvent[] = [...(await refusePaused(scope, caller, admission.model.name))];
  const payer = payerOf(caller, config);
  if (!Ledger.hasLimits(payer)) return { admission, charge: chargeOf(ledger, ledger.unreserved(payer), {}, events) };
  const { tier } = caller;
  const onExceeded = tier.limits?.onExceeded ?? 'block';
  try {
    const reserved = await reserve(ledger, admission, caller, payer, onExceeded !== 'notify');
    if (reserved.ok) return granted(admission, reserved);
    if (reserved.isExhausted) events.push(exhausted(payer, reserved.refusal));
    const cheaper = tier.limits?.downgradeTo;
    const isBudget = reserved.refusal.limit.endsWith('budget');
    if (onExceeded !== 'downgrade' || cheaper === undefined || !isBudget) {
      throw new AdmissionRefused(reserved.refusal, payer, reserved.minute);
    }
    const model = findModel(cheaper, { name: tier.name }, config);
    const refusal = scope.pauses.refusal({ ...caller, model: model.name });
    if (refusal !== undefined) throw refusal;
    const downgraded = { model, request: { ...admission.request, model: model.name } };
    const second = await reserve(ledger, downgraded, caller, payer, false);
    if (!second.ok) throw new AdmissionRefused(second.refusal, payer, second.minute);
    return granted(downgraded, second);
  } catch (error) {
    if (!(error instanceof LedgerUnavailable)) {
      for (const event of events) onEvent(event);
      throw error;
    }
    const event = { kind: 'error', step: 'reserve', error: error.message } as const;
    if (refusesWithout(tier.limits?.ledgerUnavailable, payer)) {
      onEvent(event);
      throw unavailable(error);
    }
    return { admission, charge: chargeOf(ledger, ledger.unreserved(payer), {}, [...events, event]) };
  }

  function granted(admitted: Admission, { reservation, minute }: Reserved & { ok: true }): Granted {
    return { admission: admitted, charge: chargeOf(ledger, reservation, rateLimitHeaders(payer, minute), events) };
  }
}

const unavailable = (cause: LedgerUnavailable): ApiError =>
  new ApiError(503, 'Your usage can not be counted at the moment; try again later.', {
    code: 'ledger_unavailable',
    retryAfterMs: UNAVAILABLE_RETRY_MS,
    cause,
  });

/** Where money is limited, not to know is a reason to refuse. */
const refusesWithout = (policy: 'refuse' | 'allow' | undefined, payer: Payer): boolean =>
  policy === undefined ? payer.budgetNano !== undefined || payer.teamBudgetNano !== undefined : policy === 'refuse';

async function reserve(
  ledger: Ledger,
  admission: Admission,
  caller: Caller,
  payer: Payer,
  enforceBudgets: boolean,
): Promise<Reserved> {
  const ask = { payer, enforceBudgets, ...estimateOf(admission, caller) };
  for (let attempt = 1; ; attempt++) {
    try {
      return await ledger.reserve(ask);
    } catch (error) {
      if (!(error instanceof LedgerUnavailable) || attempt >= RESERVE_ATTEMPTS) throw error;
    }
  }
}

/** What a request may use at most, on the dearest of the backends that may answer it. */
function estimateOf(admission: Admission, caller: Caller): { readonly tokens: number; readonly nano: number } {
  const { model, request } = admission;
  let most = { tokens: 0, nano: 0 };
  const prompt = estimatedUsage(request, 0);
  for (const backend of model.backends) {
    const { max_completion_tokens: limit } = clampOutput(admission, caller.tier, backend);
    const outputTokens = (limit ?? UNLIMITED_OUTPUT_TOKENS) * (request.n ?? 1);
    const usage = { ...prompt, outputTokens };
    most = {
      tokens: Math.max(most.tokens, usage.inputTokens + outputTokens),
      nano: Math.max(most.nano, toNano(costUsd(backend.price, usage))),
    };
  }
  return most;
}

function chargeOf(
  ledger: Ledger,
  reservation: Reservation,
  headers: Readonly<Record<string, string>>,
  earlier: readonly LedgerEvent[],
): Charge {
  return {
    headers,
    at: reservation.at,
    async settle(used, id) {
      try {
        const settled = await ledger.settle(reservation, used, id);
        return [...earlier, ...(await eventsOf(settled, ledger, reservation.payer))];
      } catch (error) {
        if (!(error instanceof LedgerUnavailable)) throw error;
        return [...earlier, { kind: 'error', step: 'settle', error: error.message }];
      }
    },
  };
}

/** What a run told its job that it cost, and perhaps the ledger too, before it died. @throws LedgerUnavailable */
export async function settleAgain(ledger: Ledger, payer: Payer, record: UsageRecord): Promise<readonly LedgerEvent[]> {
  return eventsOf(await ledger.settleAgain(payer, record), ledger, payer);
}

async function eventsOf({ crossings, hardCrossings }: Settled, ledger: Ledger, payer: Payer): Promise<LedgerEvent[]> {
  const thresholds = crossings.map((crossing) => ({ kind: 'threshold', crossing }) as const);
  return [...thresholds, ...(await pauseAfter(hardCrossings, ledger, payer))];
}

/** The next request finds its consumer paused. Should it fail, whoever crosses the next multiple of the limit tries. */
async function pauseAfter(
  crossings: readonly HardCrossing[],
  ledger: Ledger,
  { consumer, hardLimits }: Payer,
): Promise<LedgerEvent[]> {
  const events: LedgerEvent[] = [];
  for (const crossing of crossings) {
    const { per, since, spentNano, limitNano } = crossing;
    const now = ledger.now();
    const until = hardLimits?.pauseMs === undefined ? undefined : now + hardLimits.pauseMs;
    const begin = new Date(since).toISOString().slice(0, 16);
    try {
      const made = await pause(
        ledger.table,
        { kind: 'consumer', name: consumer },
        {
          ...{ since: now, by: 'limit', reason: `more than $${toUsd(limitNano)} in one ${per}` },
          ...(until === undefined ? {} : { until }),
          detail: `spent $${toUsd(spentNano)} in the ${per} from ${begin}Z; the hard limit of its tier is $${toUsd(limitNano)}`,
        },
      );
      if (made !== undefined) events.push({ kind: 'paused', crossing, until });
    } catch (error) {
      events.push({ kind: 'error', step: 'pause', error: error instanceof Error ? error.message : 'unknown' });
    }
  }
  return events;
}

const exhausted = (payer: Payer, { limit, maximum }: { limit: string; maximum: number }): LedgerEvent => ({
  kind: 'threshold',
  crossing: {
    purse: limit === 'team budget' ? `t:${payer.team}` : `c:${payer.consumer}`,
    threshold: 1,
    budgetNano: maximum,
  },
});
