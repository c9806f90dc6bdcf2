import type { ServingConfig } from '../contract/config.ts';
import { type Admission, clampOutput, findModel } from '../serving/admit.ts';
import { costUsd } from '../serving/cost.ts';
import { ApiError } from '../serving/errors.ts';
import { estimatedUsage } from '../serving/estimate.ts';
import type { Caller } from '../serving/identify.ts';
import { AdmissionRefused } from './admission-refused.ts';
import { type Crossing, Ledger, type Payer, type Reservation, type Reserved } from './ledger.ts';
import { toNano } from './money.ts';
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
  | { readonly kind: 'error'; readonly step: 'look up' | 'reserve' | 'settle'; readonly error: string };

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
  };
}

const DEFAULT_THRESHOLDS = [50, 80, 100];

/**
 * Reserves what a request may use. One conditional update where the caller has limits, none where it hasn't.
 *
 * @throws AdmissionRefused when a limit has no room for it, ApiError 503 when the ledger doesn't answer and the tier
 * would rather refuse than let through
 */
export async function admitByLedger(admission: Admission, caller: Caller, scope: LedgerScope): Promise<Granted> {
  const { ledger, config, onEvent } = scope;
  const payer = payerOf(caller, config);
  if (!Ledger.hasLimits(payer)) return { admission, charge: chargeOf(ledger, ledger.unreserved(payer), {}, []) };
  const { tier } = caller;
  const onExceeded = tier.limits?.onExceeded ?? 'block';
  const events: LedgerEvent[] = [];
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
      throw new ApiError(503, 'Your usage can not be counted at the moment; try again later.', {
        code: 'ledger_unavailable',
        retryAfterMs: UNAVAILABLE_RETRY_MS,
        cause: error,
      });
    }
    return { admission, charge: chargeOf(ledger, ledger.unreserved(payer), {}, [...events, event]) };
  }

  function granted(admitted: Admission, { reservation, minute }: Reserved & { ok: true }): Granted {
    return { admission: admitted, charge: chargeOf(ledger, reservation, rateLimitHeaders(payer, minute), events) };
  }
}

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
        const { crossings } = await ledger.settle(reservation, used, id);
        return [...earlier, ...crossings.map((crossing) => ({ kind: 'threshold', crossing }) as const)];
      } catch (error) {
        if (!(error instanceof LedgerUnavailable)) throw error;
        return [...earlier, { kind: 'error', step: 'settle', error: error.message }];
      }
    },
  };
}

const exhausted = (payer: Payer, { limit, maximum }: { limit: string; maximum: number }): LedgerEvent => ({
  kind: 'threshold',
  crossing: {
    purse: limit === 'team budget' ? `t:${payer.team}` : `c:${payer.consumer}`,
    threshold: 1,
    budgetNano: maximum,
  },
});
