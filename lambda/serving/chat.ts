import { performance } from 'node:perf_hooks';
import type { Usage } from '../backends/backend.ts';
import type { Registry } from '../backends/registry.ts';
import { type Admission, admit, clampOutput } from './admit.ts';
import { brokenOff } from './broken-off.ts';
import type { ClientResponse } from './client-response.ts';
import type { ServingConfig } from './config.ts';
import { ContentLog } from './content-log.ts';
import { costUsd } from './cost.ts';
import { Deadline } from './deadline.ts';
import {
  asBackendError,
  DispatchError,
  type Dispatched,
  type DispatchOptions,
  dispatchStream,
  dispatchWhole,
} from './dispatch.ts';
import { ApiError } from './errors.ts';
import { estimatedUsage } from './estimate.ts';
import { toApiError } from './fallback-policy.ts';
import type { GatewayEvent, InvocationContext } from './gateway.ts';
import { type Caller, identifyCaller, identifyPurpose, type Purpose } from './identify.ts';
import { parseChatRequest } from './parse.ts';
import { type Candidate, route } from './route.ts';
import type { RequestRecord } from './settle.ts';
import { failStream, finishStream, newStreamFacts, relay, usageEvent } from './stream.ts';

/** What a chat completion runs with. */
export interface ChatScope {
  readonly config: ServingConfig;
  readonly registry: Registry;
  readonly event: GatewayEvent;
  readonly context: InvocationContext;
  readonly client: ClientResponse;
  /** Filled in as things become known, for the log, whatever happens. */
  readonly record: RequestRecord;
  /** By `performance.now()`. */
  readonly start: number;
  readonly headers: Readonly<Record<string, string>>;
}

/** One that is past admission. */
interface AdmittedChat extends ChatScope {
  readonly admission: Admission;
  readonly candidates: readonly Candidate[];
  readonly dispatch: DispatchOptions;
  readonly signal: AbortSignal;
}

/**
 * The walk of a chat completion: parse, identify, admit, route, dispatch, stream. Between admit and route is the place
 * of the response cache.
 *
 * @throws ApiError while nothing has gone out to the client; later errors are written into the stream
 */
export async function answerChat(scope: ChatScope): Promise<void> {
  const { config, event, record, client, context } = scope;
  const caller = identifyCaller(event, config);
  Object.assign(record, { consumer: caller.consumer, tier: caller.tier.name });
  const request = parseChatRequest(event, config.limits.maxRequestBytes);
  record.stream = request.stream === true;
  const purpose = identifyPurpose(event, request, config);
  Object.assign(record, { user: purpose.user, feature: purpose.feature, featureDimension: purpose.featureDimension });
  const admission = admit(request, caller.tier, config);
  record.model = admission.model.name;
  if (config.logContent) record.content = new ContentLog(request.messages);
  const candidates = await route(admission.model, request, scope.registry);
  record.candidates = candidates.map(({ config }) => config);

  const { totalTimeoutMs, wholeAnswerTimeoutMs } = config.limits;
  const [limit, advice] = record.stream
    ? [totalTimeoutMs, '']
    : [Math.min(totalTimeoutMs, wholeAnswerTimeoutMs), " Long answers need 'stream: true'."];
  const deadline = new Deadline(limit, context.getRemainingTimeInMillis(), advice, client.gone);
  const dispatch: DispatchOptions = {
    requestId: record.requestId,
    attribution: attributionOf(caller, purpose),
    ...(caller.tier.priority === undefined ? {} : { priority: caller.tier.priority }),
    ...(purpose.session === undefined ? {} : { session: purpose.session }),
    signal: deadline.signal,
    requestFor: (candidate) => clampOutput(admission, caller.tier, candidate.config),
  };
  const chat = { ...scope, admission, candidates, dispatch, signal: deadline.signal };
  try {
    await (record.stream ? answerStream(chat) : answerWhole(chat));
  } finally {
    deadline.stop();
  }
}

async function answerWhole(chat: AdmittedChat): Promise<void> {
  const { client, record, signal } = chat;
  let dispatched: Awaited<ReturnType<typeof dispatchWhole>>;
  try {
    dispatched = await dispatchWhole(chat.candidates, chat.dispatch);
  } catch (error) {
    throw failed(error, chat);
  }
  const { completion, usage } = dispatched.answer;
  record.backend = dispatched.candidate.config.id;
  record.failures = dispatched.failures;
  record.finishReason = completion.choices.at(-1)?.finish_reason ?? undefined;
  record.content?.setCompletion(completion);
  const text = completion.choices.map(({ message }) => JSON.stringify(message)).join('');
  const counted = meter(chat, dispatched, usage, () => Math.ceil(text.length / 4));
  completion.usage = {
    prompt_tokens: counted.inputTokens,
    completion_tokens: counted.outputTokens,
    total_tokens: counted.inputTokens + counted.outputTokens,
    ...completion.usage,
    ...(record.usageEstimated ? { estimated: true } : {}),
    cost_usd: record.costUsd ?? 0,
  };
  client.commit(200, { ...answerHeaders(chat, dispatched), 'content-type': 'application/json' });
  await client.write(JSON.stringify(completion), signal);
}

async function answerStream(chat: AdmittedChat): Promise<void> {
  const { client, record, signal, config } = chat;
  const facts = newStreamFacts();
  let started: Awaited<ReturnType<typeof dispatchStream>> | undefined;
  const dispatching = dispatchStream(chat.candidates, chat.dispatch).then((dispatched) => {
    started = dispatched;
    record.backend = dispatched.candidate.config.id;
    record.failures = dispatched.failures;
    return dispatched;
  });
  try {
    await relay(dispatching, facts, {
      client,
      signal,
      headersWaitMs: config.limits.headersWaitMs,
      keepAliveMs: config.limits.keepAliveMs,
      headers: (dispatched) => answerHeaders(chat, dispatched),
      onFirstOutput: () => {
        record.timeToFirstTokenMs = performance.now() - chat.start;
      },
      onFrame: record.content && ((frame) => record.content?.addFrame(frame.bytes)),
    });
  } catch (error) {
    if (started !== undefined) {
      const failure = asBackendError(started.candidate, error);
      record.failures = [...record.failures, failure];
      meter(chat, started, facts.usage, () => facts.output.tokens);
    }
    const answer = failed(error, chat);
    if (!client.committed) throw answer;
    record.error = record.timeToFirstTokenMs === undefined ? answer : brokenOff(answer);
    failStream(client, record.error, signal);
    return;
  }
  if (started === undefined) return;
  record.finishReason = facts.finishReason;
  const usage = meter(chat, started, facts.usage, () => facts.output.tokens);
  const wantsUsage = chat.admission.request.stream_options?.include_usage === true;
  const event = wantsUsage ? usageEvent(facts, usage, record.costUsd ?? 0, record.usageEstimated === true) : undefined;
  finishStream(client, event, signal);
}

/** Usage as the backend told it or, failing that, estimated; its price goes into the record. */
function meter(
  chat: AdmittedChat,
  { candidate }: Dispatched<unknown>,
  reported: Usage | undefined,
  outputTokens: () => number,
): Usage {
  const usage = reported ?? estimatedUsage(chat.admission.request, outputTokens());
  const { record } = chat;
  record.usage = usage;
  record.usageEstimated = reported === undefined;
  record.costUsd = costUsd(candidate.config.price, usage);
  return usage;
}

/** What to tell the client, and the log, of a failed dispatch or a broken stream. */
function failed(error: unknown, { record, signal }: AdmittedChat): ApiError {
  if (error instanceof DispatchError) record.failures = error.failures;
  if (signal.aborted) {
    // The time is up; or the client is gone, which nobody will read.
    if (signal.reason instanceof ApiError) return signal.reason;
    return new ApiError(499, 'The client closed the connection.', { code: 'client_closed_request' });
  }
  if (record.failures.length > 0) return toApiError(record.failures);
  throw error;
}

const attributionOf = (caller: Caller, purpose: Purpose): Record<string, string> => ({
  consumer: caller.consumer,
  tier: caller.tier.name,
  ...(purpose.user === undefined ? {} : { user: purpose.user }),
  ...(purpose.feature === undefined ? {} : { feature: purpose.feature }),
});

/** The backend is unknown as long as headers had to leave before one answered. */
const answerHeaders = (chat: AdmittedChat, dispatched: Dispatched<unknown> | undefined): Record<string, string> => ({
  ...chat.headers,
  'x-llm-model': chat.admission.model.name,
  'x-llm-cache': 'bypass',
  ...(dispatched === undefined
    ? {}
    : {
        'x-llm-backend': dispatched.candidate.config.id,
        'x-llm-fallbacks': String(dispatched.failures.length),
      }),
});
