import { performance } from 'node:perf_hooks';
import type { AnswerFacts, Opened, OwnerKind, Seat, SharedFailure, StoredAnswer } from '../cache/contract.ts';
import type { Consumer, ServingConfig } from '../contract/config.ts';
import { isStandIn } from '../failover/candidate.ts';
import { policyOf } from '../failover/policy.ts';
import { problemOf } from '../failover/quality.ts';
import type { Admission } from './admit.ts';
import type { ChatScope } from './chat-scope.ts';
import { ApiError } from './errors.ts';
import { type GatewayEvent, header } from './gateway.ts';
import type { Caller } from './identify.ts';
import type { CacheRecord } from './record.ts';
import { replay } from './replay.ts';

/** Looks the request up. `undefined` where there is no cache. */
export async function openCache(
  { cache, config, event, record, client, registered }: ChatScope,
  caller: Caller,
  { model, request }: Admission,
  variant: string | undefined,
): Promise<Opened | undefined> {
  if (cache === undefined) return undefined;
  const opened = await cache
    .open({
      model,
      request,
      owner: { consumer: caller.consumer, kind: ownerKind(event, config, registered), tier: caller.tier.name },
      maxOutputTokens: caller.tier.maxOutputTokens,
      size: Buffer.byteLength(event.body ?? ''),
      cacheControl: header(event, 'cache-control'),
      exact: wantsExact(header(event, MATCH_HEADER)),
      gone: client.gone,
      ...(variant === undefined ? {} : { variant }),
    })
    // A fault of the cache's own code or its loading: the answer doesn't depend on it.
    .catch((): Opened => ({ outcome: 'bypass', unavailable: true }));
  const { semantic } = opened;
  if (semantic?.bill !== undefined) {
    record.embedding = semantic.bill;
    record.costUsd = semantic.bill.costUsd;
  }
  record.cache = {
    outcome: opened.seat?.isFollowing ? 'hit' : opened.outcome,
    ...(opened.unavailable ? { unavailable: true } : {}),
    ...(semantic === undefined ? {} : { searched: true }),
    ...(semantic?.score === undefined ? {} : { score: semantic.score }),
    ...(semantic?.failed ? { searchFailed: true } : {}),
  };
  return opened;
}

const MATCH_HEADER = 'x-llm-cache-match';

/** A misspelt wish for the exact answer is one, too. */
const wantsExact = (value: string | undefined): boolean =>
  value !== undefined && value.trim().toLowerCase() !== 'semantic';

/** What tells a client where its answer is from. */
export function cachedHeaders({ semantic }: AnswerFacts, ageMs: number): Record<string, string> {
  return {
    'x-llm-cache': semantic === undefined ? 'hit' : 'semantic',
    ...(semantic === undefined ? {} : { 'x-llm-cache-score': semantic.score.toFixed(3) }),
    age: String(Math.floor(ageMs / 1000)),
  };
}

function ownerKind(event: GatewayEvent, config: ServingConfig, registered: Consumer | undefined): OwnerKind {
  const keyId = event.requestContext.identity?.apiKeyId;
  if (!keyId) return 'job';
  if (config.consumers.has(keyId)) return 'declared';
  return registered === undefined ? 'key' : 'registered';
}

export async function answerFromCache(scope: ChatScope, stored: StoredAnswer, admission: Admission): Promise<void> {
  const { client, record, start, headers } = scope;
  const { facts } = stored;
  const ageMs = Math.max(0, Date.now() - stored.storedAt);
  record.cache = { ...record.cache, ...hitOf(facts), ageMs };
  // What it took to find it.
  record.costUsd = record.embedding?.costUsd ?? 0;
  record.backend = facts.backend;
  record.finishReason = facts.finishReason;
  if (record.content !== undefined) record.content.setCompletion(stored.completion());
  await replay(stored, {
    client,
    isStream: record.stream === true,
    wantsUsage: admission.request.stream_options?.include_usage === true,
    signal: client.gone,
    costUsd: record.costUsd,
    headers: {
      ...headers,
      'x-llm-model': admission.model.name,
      ...cachedHeaders(facts, ageMs),
      'x-llm-backend': facts.backend,
      'x-llm-fallbacks': '0',
    },
    onFirstOutput: () => {
      record.timeToFirstTokenMs = performance.now() - start;
    },
  });
}

/** What the log has of an answer that was another request's. */
export function hitOf({ semantic, costUsd }: AnswerFacts): CacheRecord {
  if (semantic === undefined) return { outcome: 'hit', savedUsd: costUsd };
  return { outcome: 'semantic', savedUsd: costUsd, score: semantic.score };
}

/** Tells the followers and the cache what became of the request. */
export function settleSeat(
  seat: Seat,
  { record }: ChatScope,
  { model, request }: Admission,
  thrown: unknown,
): Promise<void> {
  const error = thrown ?? record.error;
  if (error !== undefined) return seat.settle({ type: 'failed', failure: sharedFailure(error) });
  const attempt = record.attempts.findLast((each) => !each.isAbandoned && each.backend === record.backend);
  const facts: AnswerFacts = {
    backend: record.backend ?? '',
    finishReason: record.finishReason,
    usage: record.usage,
    estimated: record.usageEstimated ?? false,
    costUsd: record.costUsd ?? 0,
    ...(attempt?.usageFrame === undefined ? {} : { usageEvent: Buffer.from(attempt.usageFrame.bytes).toString() }),
  };
  // One that was handed out for want of a better one has failed too.
  const mayKeep =
    attempt !== undefined &&
    attempt.failure === undefined &&
    !isStandIn(attempt.candidate.config) &&
    record.attempts.every(({ reason }) => reason !== 'resume');
  return seat.settle({
    type: 'answered',
    facts,
    isKeepable: async (completion) =>
      mayKeep &&
      completion.choices.every(({ finish_reason: reason }) => reason !== null && WHOLE.has(reason)) &&
      (await problemOf(completion, request, attempt.candidate.config, policyOf(model).quality)) === undefined,
  });
}

/** Neither cut off nor filtered. */
const WHOLE: ReadonlySet<string> = new Set(['stop', 'tool_calls', 'function_call']);

/** What ended one request alone: its own time, client or consumer, a fault of ours. The next one may fare better. */
const OWN: ReadonlySet<string | null> = new Set([
  ...['timeout', 'client_closed_request', 'internal_error'],
  // Those who follow may be other consumers, whom its name and the reason are no business of.
  ...['consumer_paused', 'team_paused'],
]);

function sharedFailure(error: unknown): SharedFailure | undefined {
  if (!(error instanceof ApiError) || OWN.has(error.code)) return undefined;
  const { status, message, code, param, retryAfterMs } = error;
  return { status, message, code, param, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
}
