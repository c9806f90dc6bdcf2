import { performance } from 'node:perf_hooks';
import { BackendError, type Usage } from '../backends/backend.ts';
import type { Seat } from '../cache/contract.ts';
import type { Attempt } from '../failover/attempt.ts';
import { isStandIn } from '../failover/candidate.ts';
import type { Answered } from '../failover/dispatch.ts';
import { MAX_SENT_BYTES, mayResume } from '../failover/may-resume.ts';
import { planOf } from '../failover/plan.ts';
import { policyOf } from '../failover/policy.ts';
import { Session } from '../failover/session.ts';
import type { StartedStream } from '../failover/start-stream.ts';
import { routeByPolicy, routeHeader } from '../routing/by-policy.ts';
import { type Admission, admit, clampOutput } from './admit.ts';
import { brokenOff } from './broken-off.ts';
import { answerFromCache, cachedHeaders, hitOf, openCache, settleSeat } from './caching.ts';
import type { ChatScope } from './chat-scope.ts';
import { ContentLog } from './content-log.ts';
import { Deadline } from './deadline.ts';
import { ApiError } from './errors.ts';
import { toApiError } from './failure-answer.ts';
import { type Caller, identifyPurpose, type Purpose } from './identify.ts';
import { type Bill, billsOf, total } from './metering.ts';
import { parseChatRequest } from './parse.ts';
import { route } from './route.ts';
import { type AnswerSource, backendSource } from './source.ts';
import { failStream, finishStream, relay, usageEvent } from './stream.ts';

/** One that is past admission. */
interface AdmittedChat extends ChatScope {
  readonly admission: Admission;
  readonly session: Session;
  readonly source: AnswerSource;
  readonly seat: Seat | undefined;
  readonly signal: AbortSignal;
}

/**
 * The walk of a chat completion: parse, identify, admit, look into the cache, route, dispatch, stream.
 *
 * @throws ApiError while nothing has gone out to the client; later errors are written into the stream
 */
export async function answerChat(scope: ChatScope): Promise<void> {
  const { config, event, record, client } = scope;
  const caller = scope.identify(event, config, scope.registered);
  Object.assign(record, { consumer: caller.consumer, tier: caller.tier.name });
  const request = parseChatRequest(event, config.limits.maxRequestBytes);
  record.stream = request.stream === true;
  record.request = request;
  const purpose = identifyPurpose(event, request, config);
  Object.assign(record, { user: purpose.user, feature: purpose.feature, featureDimension: purpose.featureDimension });
  const { admission, headers } = await admitted(admit(request, caller.tier, config), caller, scope);
  record.model = admission.model.name;
  if (config.logContent) record.content = new ContentLog(request.messages);
  const admittedScope = { ...scope, headers };
  // Which backend is asked first decides which answer it is.
  const early = admission.model.routing === undefined ? undefined : await routed(scope, caller, purpose, admission);
  record.route = early?.decision;
  const cached = await openCache(admittedScope, caller, admission, early?.decision?.route);
  if (cached?.stored !== undefined) return answerFromCache(admittedScope, cached.stored, admission);
  const seat = cached?.seat;
  if (seat === undefined) return answerAnew(admittedScope, caller, purpose, admission, early, undefined);
  try {
    await answerAnew(admittedScope, caller, purpose, admission, early, seat);
  } catch (error) {
    await settleSeat(seat, scope, admission, error);
    throw error;
  }
  // The client needn't wait for that.
  client.end();
  await settleSeat(seat, scope, admission, undefined);
}

type Routed = Awaited<ReturnType<typeof routeByPolicy>>;

async function routed(scope: ChatScope, caller: Caller, purpose: Purpose, admission: Admission): Promise<Routed> {
  const { model, request } = admission;
  const able = await route(model, request, scope.registry);
  const { feature, priority } = purpose;
  return routeByPolicy(model, able, request, { consumer: caller.consumer, tier: caller.tier.name, feature, priority });
}

async function answerAnew(
  scope: ChatScope,
  caller: Caller,
  purpose: Purpose,
  admission: Admission,
  early: Routed | undefined,
  seat: Seat | undefined,
): Promise<void> {
  const { config, record, client, context, health } = scope;
  const { candidates, decision } = early ?? (await routed(scope, caller, purpose, admission));
  record.route = decision;
  record.candidates = candidates.map(({ config }) => config);

  const { totalTimeoutMs, wholeAnswerTimeoutMs } = config.limits;
  const [limit, advice] = record.stream
    ? [totalTimeoutMs, '']
    : [Math.min(totalTimeoutMs, wholeAnswerTimeoutMs), " Long answers need 'stream: true'."];
  const deadline = new Deadline(limit, context.getRemainingTimeInMillis(), advice, seat?.gone ?? client.gone);
  const policy = policyOf(admission.model);
  await health.refresh(
    admission.model.name,
    candidates.map(({ config: { id } }) => id),
    policy,
  );
  const plan = planOf(candidates, admission.request, health);
  const session = new Session({
    requestId: record.requestId,
    attribution: attributionOf(caller, purpose),
    ...(caller.tier.priority === undefined ? {} : { priority: caller.tier.priority }),
    ...(purpose.session === undefined ? {} : { session: purpose.session }),
    model: admission.model.name,
    request: admission.request,
    plan,
    policy,
    health,
    signal: deadline.signal,
    leftMs: () => deadline.leftMs,
    halted: async () => scope.ledger?.pauses.refresh({ ...caller, model: admission.model.name }),
    requestFor: (candidate) => clampOutput(admission, caller.tier, candidate.config),
  });
  record.attempts = session.attempts;
  record.skipped = plan.skipped.map((candidate) => candidate.config.id);
  const backends = backendSource(session, candidates);
  const source = seat?.source(backends, deadline.signal) ?? backends;
  const chat = { ...scope, admission, session, source, seat, signal: deadline.signal };
  try {
    await (record.stream ? answerStream(chat) : answerWhole(chat));
  } finally {
    deadline.stop();
    for (const attempt of session.attempts) attempt.end();
    meter(chat);
  }
}

/** With the ledger's consent, where there is one, and with what it tells the client. */
async function admitted(
  admission: Admission,
  caller: Caller,
  { ledger, config, record, headers }: ChatScope,
): Promise<Pick<AdmittedChat, 'admission' | 'headers'>> {
  if (ledger === undefined) return { admission, headers };
  record.model = admission.model.name;
  const granted = await ledger.admit(admission, caller, {
    ...{ ledger: ledger.ledger, pauses: ledger.pauses, config },
    onEvent: (event) => record.ledgerEvents.push(event),
  });
  record.charge = granted.charge;
  return { admission: granted.admission, headers: { ...headers, ...granted.charge.headers } };
}

async function answerWhole(chat: AdmittedChat): Promise<void> {
  const { client, record, signal, source } = chat;
  let answered: Awaited<ReturnType<AnswerSource['whole']>>;
  try {
    answered = await source.whole();
  } catch (error) {
    throw failed(error, chat);
  }
  const { attempt, answer } = answered;
  const { completion } = answer;
  answeredBy(attempt, chat);
  record.finishReason = attempt.finishReason;
  record.content?.setCompletion(completion);
  const own = meter(chat).find((bill) => bill.attempt === attempt);
  completion.usage = {
    prompt_tokens: own?.usage.inputTokens ?? 0,
    completion_tokens: own?.usage.outputTokens ?? 0,
    total_tokens: (own?.usage.inputTokens ?? 0) + (own?.usage.outputTokens ?? 0),
    ...completion.usage,
    ...(own?.estimated ? { estimated: true } : {}),
    cost_usd: record.costUsd ?? 0,
    ...savedBy(chat),
  };
  client.commit(200, { ...answerHeaders(chat, attempt), 'content-type': 'application/json' });
  await client.write(JSON.stringify(completion), signal);
}

async function answerStream(chat: AdmittedChat): Promise<void> {
  const { client, record, signal, config, session, source, seat } = chat;
  /** Those that the client's answer is made of. */
  const parts: Attempt[] = [];
  const isPart = (answered: Answered<StartedStream>): Answered<StartedStream> => {
    if (!parts.includes(answered.attempt)) parts.push(answered.attempt);
    answeredBy(answered.attempt, chat);
    return answered;
  };
  try {
    await relay(source.stream().then(isPart), {
      client,
      signal,
      headersWaitMs: config.limits.headersWaitMs,
      keepAliveMs: config.limits.keepAliveMs,
      headers: (attempt) => answerHeaders(chat, attempt),
      onFirstOutput: () => {
        record.timeToFirstTokenMs = performance.now() - chat.start;
      },
      onFrame: record.content && ((frame) => record.content?.addFrame(frame.bytes)),
      keepSentBytes: mayResume(session) ? MAX_SENT_BYTES : 0,
      resume: (attempt, error, sent) => source.resume(attempt, error, sent).then(isPart),
      ...(seat === undefined ? {} : { others: seat }),
    });
  } catch (error) {
    const answer = failed(error, chat);
    if (!client.committed) throw answer;
    record.error = record.timeToFirstTokenMs === undefined ? answer : brokenOff(answer);
    failStream(client, record.error, signal);
    return;
  }
  record.finishReason = parts.at(-1)?.finishReason;
  savedBy(chat);
  const bills = meter(chat).filter(({ attempt }) => parts.includes(attempt));
  const wantsUsage = chat.admission.request.stream_options?.include_usage === true;
  finishStream(client, wantsUsage ? lastUsage(chat, parts, bills) : undefined, signal);
}

/** Tokens are those of the answer that the client has; its cost is all that the request cost. */
function lastUsage(chat: AdmittedChat, parts: readonly Attempt[], bills: readonly Bill[]): string {
  const { record } = chat;
  const isFollowed = chat.seat?.followed !== undefined;
  const usages = isFollowed ? parts.flatMap(({ usage }) => usage ?? []) : bills.map(({ usage }) => usage);
  const saved = savedBy(chat).saved_usd;
  const [first] = parts;
  return usageEvent(parts.length === 1 ? first?.usageFrame : undefined, first?.sample, {
    ...total(usages),
    estimated: bills.some(({ estimated }) => estimated),
    costUsd: record.costUsd ?? 0,
    ...(saved === undefined ? {} : { savedUsd: saved }),
  });
}

/** Another request of the same paid for the answer. */
function savedBy({ seat, record }: AdmittedChat): { saved_usd?: number } {
  if (seat?.followed === undefined) return {};
  record.costUsd = record.embedding?.costUsd ?? 0;
  record.cache = hitOf(seat.followed);
  return { saved_usd: seat.followed.costUsd };
}

function answeredBy(attempt: Attempt, { record, session }: AdmittedChat): void {
  record.backend = attempt.backend;
  record.fallbacks = session.fallbacksBefore(attempt.backend);
  record.allBackendsFailed = isStandIn(attempt.candidate.config) && record.fallbacks > 0;
}

/** What the request cost, all attempts of it, goes into the record. */
function meter({ session, admission, record }: AdmittedChat): readonly Bill[] {
  const bills = billsOf(session.attempts, admission.request);
  record.bills = bills;
  if (bills.length === 0) return bills;
  record.usage = bills.length === 1 ? (bills[0]?.usage as Usage) : total(bills.map(({ usage }) => usage));
  record.usageEstimated = bills.some(({ estimated }) => estimated);
  record.costUsd = bills.reduce((sum, bill) => sum + bill.costUsd, record.embedding?.costUsd ?? 0);
  return bills;
}

/** What to tell the client, and the log, of a failed dispatch or a broken stream. */
function failed(error: unknown, { record, signal, session }: AdmittedChat): ApiError {
  if (signal.aborted) {
    // The time is up; or the client is gone, which nobody will read.
    if (signal.reason instanceof ApiError) return signal.reason;
    return new ApiError(499, 'The client closed the connection.', { code: 'client_closed_request' });
  }
  // What the one who led met, whom this request followed.
  if (error instanceof ApiError) return error;
  if (session.haltedBy !== undefined) return session.haltedBy;
  const failures = session.failures.length === 0 && error instanceof BackendError ? [error] : session.failures;
  if (failures.length === 0) throw error;
  const answer = toApiError(failures);
  if (answer.status >= 429) record.allBackendsFailed = record.backend === undefined;
  return answer;
}

const attributionOf = (caller: Caller, purpose: Purpose): Record<string, string> => ({
  consumer: caller.consumer,
  tier: caller.tier.name,
  ...(purpose.user === undefined ? {} : { user: purpose.user }),
  ...(purpose.feature === undefined ? {} : { feature: purpose.feature }),
});

/** The backend is unknown as long as headers had to leave before one answered. */
const answerHeaders = (chat: AdmittedChat, attempt: Attempt | undefined): Record<string, string> => ({
  ...chat.headers,
  'x-llm-model': chat.admission.model.name,
  ...cacheHeaders(chat),
  ...(chat.record.route === undefined ? {} : { 'x-llm-route': routeHeader(chat.record.route) }),
  ...(attempt === undefined
    ? {}
    : {
        'x-llm-backend': attempt.backend,
        'x-llm-fallbacks': String(chat.session.fallbacksBefore(attempt.backend)),
      }),
});

function cacheHeaders({ seat, record }: AdmittedChat): Record<string, string> {
  if (!seat?.isFollowing) return { 'x-llm-cache': record.cache?.outcome ?? 'bypass' };
  const semantic = seat.followed?.semantic;
  if (seat.followed === undefined || semantic === undefined) return { 'x-llm-cache': 'hit', age: '0' };
  return cachedHeaders(seat.followed, Math.max(0, Date.now() - semantic.storedAt));
}
