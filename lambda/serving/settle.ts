import type { BackendError, Usage } from '../backends/backend.ts';
import type { Attempt } from '../failover/attempt.ts';
import { isOperatorsFault } from '../failover/verdict.ts';
import { type FleetDemand, fleetDemand } from './fleet-demand.ts';
import { embeddedMetrics, type MetricValues, NO_VALUE } from './metrics.ts';
import { loggedCode, loggedReason } from './reason.ts';
import type { CacheRecord, RequestRecord } from './record.ts';

export interface SettleOptions {
  readonly namespace: string;
  /** Whether messages of backends, which may quote the prompt, may be logged. */
  readonly logContent: boolean;
}

/**
 * The lines that a chat completion leaves in the log: one for the request, with its metrics, and one for each backend
 * that failed on the way: names and numbers, never content.
 */
export function settle(record: RequestRecord, options: SettleOptions): string[] {
  const { usage, error, attempts, bills } = record;
  const timestamp = record.startedAt + Math.round(record.durationMs);
  const model = record.model ?? NO_VALUE;
  const values: MetricValues = {
    Requests: 1,
    Errors: error !== undefined && error.status >= 500 ? 1 : 0,
    ClientErrors: error !== undefined && error.status < 500 ? 1 : 0,
    Fallbacks: record.fallbacks,
    Duration: round(record.durationMs),
    ...(record.backend === undefined ? {} : { BackendErrors: 0 }),
    ...(record.allBackendsFailed ? { AllBackendsFailed: 1 } : {}),
    ...(record.route === undefined ? {} : { RoutedToCheap: record.route.route === 'cheap' ? 1 : 0 }),
    ...(usage === undefined ? {} : tokens(usage)),
    ...(usage === undefined && record.embedding === undefined ? {} : { CostUsd: record.costUsd ?? 0 }),
    ...(record.usageEstimated ? { UsageEstimated: 1 } : {}),
    ...(record.timeToFirstTokenMs === undefined ? {} : { TimeToFirstToken: round(record.timeToFirstTokenMs) }),
    ...cacheValues(record.cache),
  };
  // What one backend has to be paid for stands by it in this line, unless there are several.
  const isShared =
    bills.some(({ attempt }) => attempt.backend !== record.backend) ||
    bills.length > 1 ||
    record.embedding !== undefined;
  const failures = attempts.flatMap(({ failure }) => failure ?? []);
  const line = {
    timestamp: new Date(timestamp).toISOString(),
    level: values.Errors === 1 ? 'ERROR' : 'INFO',
    message: 'chat completion',
    request_id: record.requestId,
    invocation_id: record.invocationId,
    consumer: record.consumer,
    user: record.user,
    feature_name: record.feature,
    stream: record.stream ?? false,
    status: record.status,
    error_status: error?.status,
    error_code: loggedCode(error?.code),
    finish_reason: record.finishReason,
    backend: record.backend,
    route: record.route?.route,
    route_reason: record.route?.reason,
    route_rule: record.route?.rule,
    route_prompt_tokens: record.route?.promptTokens,
    cache: record.cache?.outcome,
    cache_age_ms: record.cache?.ageMs,
    cache_unavailable: record.cache?.unavailable || undefined,
    cache_score: record.cache?.score,
    embedding_tokens: record.embedding?.tokens,
    embedding_cost_usd: record.embedding?.costUsd,
    attempts: attempts.length,
    failures: failures.length === 0 ? undefined : failures.map(({ backend, kind }) => ({ backend, kind })),
    // Fields that are zero nearly always only when they are not.
    skipped: record.skipped?.length ? record.skipped : undefined,
    retries: countOf(attempts, 'retry'),
    hedges: countOf(attempts, 'hedge'),
    resumptions: countOf(attempts, 'resume'),
    reasoning_tokens: usage?.reasoningTokens || undefined,
    cache_write_tokens: usage?.cacheWriteTokens || undefined,
    usage_estimated: record.usageEstimated,
    uncharged: record.uncharged || undefined,
    ...embeddedMetrics(
      options.namespace,
      timestamp,
      {
        model,
        ...(record.backend === undefined || isShared ? {} : { backend: record.backend }),
        tier: record.tier ?? NO_VALUE,
        feature: record.featureDimension ?? NO_VALUE,
      },
      values,
    ),
  };
  return [
    ...attempts.flatMap((attempt) => attemptLines(attempt, record, isShared, timestamp, options)),
    ...embeddingLines(record, timestamp, options),
    ...fleetDemand(record).map((demand) => demandLine(demand, record, timestamp)),
    JSON.stringify(line),
  ];
}

/** Requests that don't qualify count nowhere: the rate of hits is that of those who could have had one. */
function cacheValues(cache: CacheRecord | undefined): MetricValues {
  if (cache === undefined) return {};
  const { outcome, savedUsd = 0, unavailable, searched, searchFailed, score } = cache;
  const isSemantic = outcome === 'semantic';
  const isHit = outcome === 'hit' || isSemantic;
  return {
    ...(outcome === 'bypass' ? {} : { CacheHits: isHit ? 1 : 0, CacheMisses: outcome === 'miss' ? 1 : 0 }),
    ...(isHit ? { SavedUsd: savedUsd } : {}),
    ...(unavailable ? { CacheErrors: 1 } : {}),
    ...(searched || isSemantic ? { SemanticHits: isSemantic ? 1 : 0, SemanticErrors: searchFailed ? 1 : 0 } : {}),
    ...(isSemantic && score !== undefined ? { SemanticScore: score } : {}),
  };
}

const tokens = (usage: Usage): MetricValues => ({
  InputTokens: usage.inputTokens,
  OutputTokens: usage.outputTokens,
  CachedInputTokens: usage.cachedInputTokens,
});

const countOf = (attempts: readonly Attempt[], reason: Attempt['reason']): number | undefined =>
  attempts.filter((attempt) => attempt.reason === reason).length || undefined;

/** One that failed has a line; where several backends have to be paid, each of them has. */
function attemptLines(
  attempt: Attempt,
  record: RequestRecord,
  isShared: boolean,
  timestamp: number,
  options: SettleOptions,
): string[] {
  const { failure } = attempt;
  const bill = isShared ? record.bills.find((each) => each.attempt === attempt) : undefined;
  if (failure === undefined && bill === undefined) return [];
  const answered = isShared && record.attempts.findLast(({ backend }) => backend === record.backend) === attempt;
  const values: MetricValues = {
    ...(bill === undefined
      ? {}
      : {
          InputTokens: bill.usage.inputTokens,
          OutputTokens: bill.usage.outputTokens,
          CostUsd: bill.costUsd,
        }),
    ...(answered ? { Requests: 1 } : {}),
    ...(answered && record.timeToFirstTokenMs !== undefined
      ? { TimeToFirstToken: round(record.timeToFirstTokenMs) }
      : {}),
    ...(failure === undefined ? {} : failureValues(attempt, failure)),
  };
  const message =
    failure !== undefined ? 'backend failed' : attempt.isAbandoned ? 'backend given up' : 'backend answered';
  const line = {
    timestamp: new Date(timestamp).toISOString(),
    level: failure === undefined ? 'INFO' : isOperatorsFault(failure) ? 'ERROR' : 'WARN',
    message,
    request_id: record.requestId,
    asked_as: attempt.reason,
    ...(failure === undefined ? {} : failureFields(failure, record, options)),
    breaker_opened: attempt.openedBreaker || undefined,
    usage_estimated: bill?.estimated,
    ...embeddedMetrics(
      options.namespace,
      timestamp,
      { model: record.model ?? NO_VALUE, backend: attempt.backend },
      values,
      'backend',
    ),
  };
  return [JSON.stringify(line)];
}

/** What is paid for an embedding stands by it, as a backend's does. */
function embeddingLines({ embedding, ...record }: RequestRecord, timestamp: number, options: SettleOptions): string[] {
  if (embedding === undefined) return [];
  const line = {
    timestamp: new Date(timestamp).toISOString(),
    level: 'INFO',
    message: 'prompt embedded',
    request_id: record.requestId,
    usage_estimated: embedding.estimated || undefined,
    ...embeddedMetrics(
      options.namespace,
      timestamp,
      { model: record.model ?? NO_VALUE, backend: embedding.embedding },
      { InputTokens: embedding.tokens, CostUsd: embedding.costUsd },
      'backend',
    ),
  };
  return [JSON.stringify(line)];
}

function demandLine(demand: FleetDemand, record: RequestRecord, timestamp: number): string {
  const values = { Demand: 1, Unserved: demand.served ? 0 : 1 };
  return JSON.stringify({
    timestamp: new Date(timestamp).toISOString(),
    level: 'INFO',
    message: 'fleet demand',
    request_id: record.requestId,
    ...embeddedMetrics(demand.namespace, timestamp, { fleet: demand.fleet }, values),
  });
}

const failureFields = (
  failure: BackendError,
  { request }: RequestRecord,
  { logContent }: SettleOptions,
): Record<string, unknown> => ({
  kind: failure.kind,
  backend_status: failure.status,
  backend_code: loggedCode(failure.code),
  retry_after_ms: failure.retryAfterMs,
  reason: loggedReason(failure, request, logContent),
  cause: causeOf(failure),
});

/** What the client did wrong, or didn't wait for, is no failure of the backend. */
const failureValues = (attempt: Attempt, failure: BackendError): MetricValues =>
  failure.kind === 'invalid-request' || failure.kind === 'aborted'
    ? {}
    : {
        BackendErrors: 1,
        ...(isOperatorsFault(failure) ? { CredentialErrors: 1 } : {}),
        ...(attempt.openedBreaker ? { BreakersOpened: 1 } : {}),
      };

/** A system error's code, or a fault's place in our code: its message might hold what it choked on. */
function causeOf(failure: BackendError): string | undefined {
  const { cause } = failure;
  if (!(cause instanceof Error)) return undefined;
  const code = (cause as NodeJS.ErrnoException).code;
  return typeof code === 'string' ? code : `${cause.name} ${stackOf(cause)}`.trim();
}

/** The frames of a stack without the message above them. */
export const stackOf = (error: Error): string =>
  (error.stack ?? '')
    .split('\n')
    .filter((line) => /^\s+at /.test(line))
    .slice(0, 5)
    .map((line) => line.trim())
    .join(' < ');

const round = (ms: number): number => Math.round(ms * 10) / 10;
