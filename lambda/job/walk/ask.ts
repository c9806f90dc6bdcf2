import { Writable } from 'node:stream';
import type { ServingConfig } from '../../contract/config.ts';
import type { ChatCompletionRequest, CompletionUsage } from '../../contract/openai.ts';
import { instructedContinuation } from '../../failover/continuation.ts';
import { isContinuable } from '../../failover/may-resume.ts';
import { Seam } from '../../failover/seam.ts';
import type { GatewayEvent, Prelude, StreamingHandler } from '../../serving/gateway.ts';
import type { Caller } from '../../serving/identify.ts';
import { ledgerLine } from '../../serving/ledger-steps.ts';
import type { RequestRecord } from '../../serving/record.ts';
import type { Account } from '../../serving/serve.ts';
import { AdmissionRefused } from '../../usage/admission-refused.ts';
import type { LedgerRoom } from '../../usage/index.ts';
import { PAUSE_CODES } from '../../usage/paused.ts';
import type { UsageRecord } from '../../usage/usage-record.ts';
import type { Job } from '../job.ts';
import type { Ask, ErrorBody, Outcome, Spent } from '../run-job.ts';
import { Collector } from './collect.ts';

/** The worker's side of the walk: who a request is from, where its answer goes, and what it cost. */
export class Walk {
  readonly #callers = new WeakMap<GatewayEvent, Caller>();
  readonly #preludes = new WeakMap<Writable, Prelude>();
  readonly #accounts = new WeakMap<GatewayEvent, Account>();
  readonly #config: ServingConfig;

  constructor(config: ServingConfig) {
    this.#config = config;
  }

  /** For `ServingDeps`: a job's caller is the one who submitted it, without a key. */
  readonly identify = (event: GatewayEvent): Caller => {
    const caller = this.#callers.get(event);
    if (caller === undefined) throw new Error('the event is of no job');
    return caller;
  };

  /** For `ServingDeps`. */
  readonly withPrelude = (stream: Writable, prelude: Prelude): Writable => {
    this.#preludes.set(stream, prelude);
    return stream;
  };

  /** For `ServingDeps`: the job has to know what it cost before the ledger does. */
  readonly takeAccount = (event: GatewayEvent, account: Account): void => {
    this.#accounts.set(event, account);
  };

  /** @param remainingMs until the run has to stop */
  asker(serve: StreamingHandler, remainingMs: () => number): Ask {
    return async (job, text, { partial, signal, onTokens }) => {
      const tier = this.#config.tiers.find(({ name }) => name === job.tier);
      if (tier === undefined) return gone(`The tier '${job.tier}' does not exist any more.`);
      const asked = JSON.parse(text) as ChatCompletionRequest;
      const request = streamed(partial === undefined ? asked : instructedContinuation(asked, partial));
      const event = eventOf(job, request);
      this.#callers.set(event, callerOf(job, tier));
      const collector = new Collector();
      const errorText: string[] = [];
      const decoder = new TextDecoder();
      const out: Writable = new Writable({
        write: (chunk: Buffer, _, done) => {
          const piece = decoder.decode(chunk, { stream: true });
          if (this.#preludes.get(out)?.statusCode === 200) collector.push(piece);
          else errorText.push(piece);
          onTokens(collector.tokens);
          done();
        },
      });
      // A broken way to the client is what ends a walk at once.
      out.on('error', () => {});
      const abort = (): void => void out.destroy(new Error('the job is not to be run any more'));
      signal.addEventListener('abort', abort, { once: true });
      if (signal.aborted) abort();
      try {
        await serve(event, out, { awsRequestId: job.run ?? job.id, getRemainingTimeInMillis: remainingMs });
      } finally {
        signal.removeEventListener('abort', abort);
      }
      const prelude = this.#preludes.get(out) ?? { statusCode: 500, headers: {} };
      const account = this.#accounts.get(event);
      const record = account?.record;
      try {
        const outcome = outcomeOf(job, asked, collector, partial, prelude, errorText.join(''), record);
        return {
          ...outcome,
          ...(outcome.kind === 'refused' && neverFits(record) ? { neverFits: true } : {}),
          ...(account === undefined ? {} : { account }),
        };
      } catch (error) {
        await account?.settle(false);
        throw error;
      }
    };
  }

  /**
   * Settles what a run told the job that it cost, and perhaps the ledger too, before it died.
   *
   * @param log takes what there is to be told
   * @throws LedgerUnavailable
   */
  lateSettlement(ledger: Promise<LedgerRoom | undefined>, log: (line: string) => void) {
    return async (job: Job, usage: UsageRecord): Promise<void> => {
      const room = await ledger;
      if (room === undefined) return;
      const tier = this.#config.tiers.find(({ name }) => name === job.tier) ?? { name: job.tier };
      const events = await room.settleAgain(room.ledger, room.payerOf(callerOf(job, tier), this.#config), usage);
      const record = { requestId: job.id, consumer: job.consumer, tier: job.tier };
      for (const event of events) log(ledgerLine(event, record, this.#config.metrics.namespace));
    };
  }
}

const callerOf = (job: Job, tier: Caller['tier']): Caller => ({
  consumer: job.consumer,
  tier: { ...tier, priority: priorityOf(job, tier.priority) },
  team: job.team,
  monthlyBudgetUsd: job.monthlyBudgetUsd,
});

/** Streamed, whatever was asked for: for its progress, its beginning when it breaks off, and the longer deadline. */
const streamed = (request: ChatCompletionRequest): ChatCompletionRequest => ({
  ...request,
  stream: true,
  stream_options: { ...request.stream_options, include_usage: true },
});

/** The same id in every run: what is counted by it is counted once. */
const eventOf = (job: Job, request: ChatCompletionRequest): GatewayEvent => ({
  httpMethod: 'POST',
  resource: '/v1/chat/completions',
  path: '/v1/chat/completions',
  headers: { 'x-request-id': job.id, ...(job.feature === undefined ? {} : { 'x-llm-feature': job.feature }) },
  body: JSON.stringify(request),
  requestContext: { requestId: job.id },
});

const STEP = { low: -1, normal: 0, high: 1 } as const;

/** Below the tier's next one: a high priority doesn't overtake a better tier's jobs. */
const priorityOf = (job: Job, ofTier = 0): number => ofTier + STEP[job.priority] * 0.5;

function outcomeOf(
  job: Job,
  request: ChatCompletionRequest,
  collector: Collector,
  before: string | undefined,
  prelude: Prelude,
  errorText: string,
  record: RequestRecord | undefined,
): Outcome {
  const { usage } = collector;
  const spent = spentOf(usage, record, prelude);
  if (prelude.statusCode === 200 && collector.isDone && collector.error === undefined) {
    const completion = collector.completion(before === undefined ? undefined : spliced(before, collector.text ?? ''));
    return { kind: 'answered', result: JSON.stringify({ ...completion, usage: totalUsage(job, usage) }), spent };
  }
  const error = collector.error === undefined ? parsed(errorText) : (collector.error as unknown as ErrorBody);
  const text = isContinuable(request) ? collector.text : undefined;
  const partial =
    text === undefined || (text === '' && before === undefined) ? {} : { partial: spliced(before ?? '', text) };
  if (error.code !== null && STOPPED.has(error.code)) return { kind: 'stopped', spent, ...partial };
  const retryAfter = prelude.headers['retry-after'];
  return {
    kind: 'refused',
    status: collector.error === undefined ? prelude.statusCode : statusOf(error),
    error,
    spent,
    ...partial,
    ...(error.code !== null && PAUSE_CODES.has(error.code) ? { isPaused: true } : {}),
    ...(retryAfter === undefined ? {} : { retryAfterMs: Number(retryAfter) * 1000 }),
  };
}

const neverFits = (record: RequestRecord | undefined): boolean =>
  record?.error instanceof AdmissionRefused && record.error.refusal.never;

/** What the answer says of itself; of one that broke off, what the walk knows (and the ledger counts). */
function spentOf(usage: CompletionUsage | undefined, record: RequestRecord | undefined, prelude: Prelude): Spent {
  const backend = prelude.headers['x-llm-backend'] ?? record?.backend;
  return {
    inputTokens: usage?.prompt_tokens ?? record?.usage?.inputTokens ?? 0,
    outputTokens: usage?.completion_tokens ?? record?.usage?.outputTokens ?? 0,
    costUsd: usage?.cost_usd ?? record?.costUsd ?? 0,
    ...(backend === undefined ? {} : { backend }),
  };
}

/** The walk's own deadline, and the end of the way to the client: of neither the model is to blame. */
const STOPPED = new Set(['timeout', 'client_closed_request']);

/** A model that is asked to go on may begin with what it had said. */
function spliced(before: string, text: string): string {
  const seam = new Seam(before);
  return before + seam.push(text) + seam.end();
}

/** Of all runs together. */
function totalUsage(job: Job, usage: CompletionUsage | undefined): CompletionUsage | undefined {
  if (usage === undefined || job.costUsd === undefined) return usage;
  const prompt = usage.prompt_tokens + (job.inputTokens ?? 0);
  const completion = usage.completion_tokens + job.outputTokens;
  return {
    ...usage,
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    cost_usd: (usage.cost_usd ?? 0) + job.costUsd,
  };
}

/** What a stream's error would have had for a status. */
function statusOf({ code, type }: ErrorBody): number {
  if (code === 'backend_throttled' || type === 'rate_limit_error') return 429;
  return type === 'server_error' ? 502 : 400;
}

function parsed(text: string): ErrorBody {
  try {
    const { error } = JSON.parse(text) as { error?: ErrorBody };
    if (error !== undefined) return error;
  } catch {
    // Not even an error: what follows says so.
  }
  return { message: 'The request could not be run.', type: 'server_error', param: null, code: 'internal_error' };
}

const NOTHING: Spent = { inputTokens: 0, outputTokens: 0, costUsd: 0 };

const gone = (message: string): Outcome => ({
  kind: 'refused',
  status: 403,
  error: { message, type: 'permission_error', param: null, code: 'tier_not_found' },
  spent: NOTHING,
});
