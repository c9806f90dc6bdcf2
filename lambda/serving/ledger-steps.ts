import type { Consumer, ServingConfig } from '../contract/config.ts';
import type { LedgerEvent } from '../usage/admission.ts';
import type { LedgerRoom } from '../usage/index.ts';
import { toNano, toUsd } from '../usage/money.ts';
import type { UsageRecord } from '../usage/usage-record.ts';
import { ApiError } from './errors.ts';
import type { GatewayEvent } from './gateway.ts';
import { identifyCaller } from './identify.ts';
import { embeddedMetrics, type MetricValues, NO_VALUE } from './metrics.ts';
import type { RequestRecord } from './record.ts';
import type { JsonAnswer, JsonScope } from './router.ts';

/** What the path has to do with the ledger, beside admission. The ledger itself is loaded where there is one. */

/** Begins at the start of the process, so that the first request waits less for it. */
export async function ledgerOf({ ledger }: ServingConfig): Promise<LedgerRoom | undefined> {
  if (ledger === undefined) return undefined;
  const { openLedger } = await import('../usage/index.ts');
  const room = openLedger(ledger);
  room.ledger.table.warm();
  return room;
}

/** The consumer of a key that was made after the deployment. @throws ApiError 503 */
export async function registeredConsumer(
  event: GatewayEvent,
  config: ServingConfig,
  room: LedgerRoom | undefined,
  onEvent: (event: LedgerEvent) => void = () => {},
): Promise<Consumer | undefined> {
  const keyId = event.requestContext.identity?.apiKeyId;
  if (room === undefined || !keyId || config.consumers.has(keyId)) return undefined;
  try {
    return await room.keys.find(keyId, config.tiers);
  } catch (error) {
    onEvent({ kind: 'error', step: 'look up', error: error instanceof Error ? error.message : 'unknown' });
    // Then it can only be in that one tier, and what it costs is its key's.
    const [tier, ...others] = config.tiers;
    const isLimited = tier?.limits?.monthlyBudgetUsd !== undefined && tier.limits.ledgerUnavailable !== 'allow';
    if (others.length === 0 && !isLimited) return undefined;
    throw new ApiError(503, 'Your API key can not be looked up at the moment; try again later.', {
      code: 'ledger_unavailable',
      retryAfterMs: 2000,
      cause: error,
    });
  }
}

/** `GET /v1/usage` */
export async function usage({ event, config, ledger, registered }: JsonScope): Promise<JsonAnswer> {
  const caller = identifyCaller(event, config, registered);
  if (ledger === undefined) throw new ApiError(404, 'This deployment keeps no usage.', { code: 'unknown_url' });
  return { body: await ledger.callersUsage(event, ledger.payerOf(caller, config), ledger.ledger.table) };
}

/** What the ledger is to keep of a request; nothing where there is no ledger, or nobody has to be paid. */
export function usageRecordOf(record: RequestRecord, id: string): UsageRecord | undefined {
  const { charge, bills, embedding } = record;
  const isHit = record.cache?.outcome === 'hit' || record.cache?.outcome === 'semantic';
  if (charge === undefined || (bills.length === 0 && embedding === undefined && !isHit)) return undefined;
  // Its dollars count, its tokens don't: a limit of tokens is one of the models'.
  const embedded = embedding && {
    ...{ backend: embedding.embedding, inputTokens: 0, outputTokens: 0, cachedInputTokens: 0 },
    ...{ costNano: toNano(embedding.costUsd), estimated: embedding.estimated },
  };
  return {
    ...{ id, at: charge.at, consumer: record.consumer ?? '' },
    model: record.model ?? '',
    feature: record.feature ?? '',
    user: record.user ?? '',
    savedNano: toNano(record.cache?.savedUsd ?? 0),
    bills: [
      ...bills.map(({ attempt, usage, estimated, costUsd }) => ({
        backend: attempt.backend,
        ...{ inputTokens: usage.inputTokens, outputTokens: usage.outputTokens },
        cachedInputTokens: usage.cachedInputTokens,
        costNano: toNano(costUsd),
        estimated,
      })),
      ...(embedded === undefined ? [] : [embedded]),
    ],
  };
}

/**
 * The actual takes the place of what was reserved.
 *
 * @param used nothing gives only the reservation back
 * @returns what has to be told
 */
export async function settleInLedger(
  { charge }: RequestRecord,
  used: UsageRecord | undefined,
): Promise<readonly LedgerEvent[]> {
  if (charge === undefined) return [];
  if (used === undefined) return charge.settle(undefined);
  const { id, at: _, consumer: __, ...rest } = used;
  return charge.settle(rest, id);
}

/** The line of a ledger's event, with what alarms count. */
export function ledgerLine(
  event: LedgerEvent,
  record: Pick<RequestRecord, 'requestId' | 'consumer' | 'costUsd' | 'tier'>,
  namespace: string,
): string {
  const { level, message, ...fields } = fieldsOf(event);
  const now = Date.now();
  return JSON.stringify({
    timestamp: new Date(now).toISOString(),
    level,
    message,
    request_id: record.requestId,
    consumer: record.consumer,
    ...fields,
    // What a failed settlement leaves uncounted until it is tried again.
    ...(event.kind === 'error' && event.step === 'settle' ? { cost_usd: record.costUsd } : {}),
    ...embeddedMetrics(namespace, now, { tier: record.tier ?? NO_VALUE }, VALUES[event.kind]),
  });
}

const VALUES = {
  error: { LedgerErrors: 1 },
  threshold: { BudgetThresholds: 1 },
  paused: { ConsumersPaused: 1 },
} as const satisfies Record<LedgerEvent['kind'], MetricValues>;

function fieldsOf(event: LedgerEvent): Record<string, unknown> {
  if (event.kind === 'error') {
    return { message: 'ledger out of reach', level: 'ERROR', step: event.step, error: event.error };
  }
  if (event.kind === 'paused') {
    const { per, since, spentNano, limitNano } = event.crossing;
    return {
      message: 'consumer paused',
      level: 'WARN',
      per,
      since: new Date(since).toISOString(),
      spent_usd: toUsd(spentNano),
      limit_usd: toUsd(limitNano),
      ...(event.until === undefined ? {} : { until: new Date(event.until).toISOString() }),
    };
  }
  const { purse, threshold, spentNano, budgetNano } = event.crossing;
  return {
    message: 'budget threshold',
    level: 'WARN',
    [purse.startsWith('t:') ? 'team' : 'consumer']: purse.slice(2),
    threshold_percent: threshold * 100,
    // Not known of a request that found no room: others may be running.
    ...(spentNano === undefined ? {} : { spent_usd: toUsd(spentNano) }),
    budget_usd: toUsd(budgetNano),
  };
}
