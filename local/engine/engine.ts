import type { GenerateRequest, ModelEvent, TextModel } from '../model/text-model.ts';
import { TextModelError } from '../model/text-model.ts';
import { countPromptTokens } from '../model/tokens.ts';
import { BLOCK_TOKENS, type EngineSettings } from './command-line.ts';
import { badRequest, EngineError, engineDead, overloaded } from './errors.ts';
import { EngineMetrics } from './metrics.ts';
import { blockHashes, PrefixCache } from './prefix-cache.ts';
import { Scheduler, type Sequence, type StepPace } from './scheduler.ts';

export interface EngineOptions {
  readonly settings: EngineSettings;
  readonly model: TextModel;
  /** The engine's own names of metrics by vLLM's. @default - vLLM's */
  readonly metricNames?: Readonly<Record<string, string>> | undefined;
  /** `undefined`: the model generates at its own pace. */
  readonly pace: StepPace | undefined;
}

export interface EngineRequest extends GenerateRequest {
  readonly priority: number;
  /** Requests with different salts share no cached prefix. */
  readonly cacheSalt: string;
}

export interface Generation {
  readonly events: AsyncIterable<ModelEvent>;
  /** Of the prompt's tokens. */
  readonly cachedTokens: number;
}

/** What is behind the HTTP surface: admission, the batch, the cache and the counts. */
export class Engine {
  readonly metrics: EngineMetrics;
  readonly #options: EngineOptions;
  readonly #scheduler: Scheduler;
  readonly #cache: PrefixCache;
  readonly #dead = new AbortController();
  #preemptions = 0;

  constructor(options: EngineOptions) {
    const { settings, pace } = options;
    this.#options = options;
    this.metrics = new EngineMetrics(settings.servedNames[0] ?? settings.model, options.metricNames);
    this.#cache = new PrefixCache(settings.kvBlocks);
    this.#scheduler = new Scheduler({
      maxNumSeqs: settings.maxNumSeqs,
      maxNumBatchedTokens: settings.maxNumBatchedTokens,
      kvBlocks: settings.kvBlocks,
      byPriority: settings.priorityScheduling,
      pace,
    });
  }

  get alive(): boolean {
    return !this.#dead.signal.aborted;
  }

  /** Requests that wait or run. */
  get load(): number {
    return this.#scheduler.running + this.#scheduler.waiting;
  }

  /** As a CUDA error would: everything that runs fails, nothing new is taken. */
  die(): void {
    this.#dead.abort(engineDead());
  }

  prometheus(): string {
    this.metrics.add('vllm:num_preemptions_total', this.#scheduler.preemptions - this.#preemptions);
    this.#preemptions = this.#scheduler.preemptions;
    return this.metrics.text({
      'vllm:num_requests_running': this.#scheduler.running,
      'vllm:num_requests_waiting': this.#scheduler.waiting,
      'vllm:kv_cache_usage_perc': this.#scheduler.kvUsage,
    });
  }

  /** Takes a request in. @throws EngineError when it is refused */
  generate(request: EngineRequest, signal: AbortSignal): Generation {
    if (!this.alive) throw engineDead();
    const { settings } = this.#options;
    const promptTokens = countPromptTokens(request);
    this.#checkLength(promptTokens, request.maxTokens);
    if (request.priority !== 0 && !settings.priorityScheduling) {
      throw badRequest(`Got priority ${request.priority} but Priority scheduling is not enabled.`, 'priority');
    }
    if (this.load >= (settings.maxQueuedRequests ?? Number.POSITIVE_INFINITY)) throw overloaded();
    if (this.#scheduler.waiting >= (settings.maxWaitingRequests ?? Number.POSITIVE_INFINITY)) throw overloaded();
    if (this.#scheduler.queuedTokens + promptTokens > (settings.maxQueuedTokens ?? Number.POSITIVE_INFINITY)) {
      throw overloaded();
    }
    const cachedTokens = this.#cachedTokens(request, promptTokens);
    const sequence = this.#scheduler.add({
      promptTokens,
      prefillTokens: promptTokens - cachedTokens,
      priority: request.priority,
    });
    this.metrics.add('vllm:prompt_tokens_total', promptTokens);
    return { events: this.#events(request, sequence, AbortSignal.any([signal, this.#dead.signal])), cachedTokens };
  }

  #checkLength(promptTokens: number, maxTokens: number | undefined): void {
    const { maxModelLen } = this.#options.settings;
    if (promptTokens + (maxTokens ?? 1) <= maxModelLen) return;
    const total = promptTokens + (maxTokens ?? 1);
    throw badRequest(
      `This model's maximum context length is ${maxModelLen} tokens. However, you requested ${total} tokens ` +
        `(${promptTokens} in the messages, ${maxTokens ?? 1} in the completion).`,
    );
  }

  /** The last token is always computed: its logits are the first answer. */
  #cachedTokens(request: EngineRequest, promptTokens: number): number {
    if (!this.#options.settings.prefixCaching) return 0;
    const hits = this.#cache.use(blockHashes(request, request.cacheSalt)) * BLOCK_TOKENS;
    const cached = Math.max(0, Math.min(hits, promptTokens - 1));
    this.metrics.add('vllm:prefix_cache_queries_total', promptTokens);
    this.metrics.add('vllm:prefix_cache_hits_total', cached);
    return cached;
  }

  async *#events(request: EngineRequest, sequence: Sequence, signal: AbortSignal): AsyncGenerator<ModelEvent> {
    const { settings, model } = this.#options;
    const budget = Math.min(
      request.maxTokens ?? Number.POSITIVE_INFINITY,
      settings.maxModelLen - sequence.promptTokens,
    );
    let last: number | undefined;
    try {
      const aborted = whenAborted(signal);
      for await (const event of model.generate({ ...request, maxTokens: budget }, signal)) {
        if (event.type !== 'end' && event.type !== 'tool-call') {
          await Promise.race([sequence.token(), aborted]);
          const now = performance.now();
          if (last === undefined) {
            this.metrics.observe(
              'vllm:request_queue_time_seconds',
              seconds(sequence.arrivedAt, sequence.startedAt ?? now),
            );
            this.metrics.observe('vllm:time_to_first_token_seconds', seconds(sequence.arrivedAt, now));
          } else {
            this.metrics.observe('vllm:inter_token_latency_seconds', seconds(last, now));
          }
          last = now;
          this.metrics.add('vllm:generation_tokens_total', 1);
        }
        if (event.type === 'end') {
          this.metrics.observe('vllm:e2e_request_latency_seconds', seconds(sequence.arrivedAt, performance.now()));
          // The next request of this client must find the place free.
          this.#scheduler.remove(sequence);
        }
        yield event;
      }
    } catch (error) {
      if (!this.alive) throw engineDead();
      throw error instanceof TextModelError ? toEngineError(error) : error;
    } finally {
      this.#scheduler.remove(sequence);
    }
  }
}

function seconds(from: number, to: number): number {
  return (to - from) / 1000;
}

function whenAborted(signal: AbortSignal): Promise<never> {
  const aborted = new Promise<never>((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
  // It is of no interest to anyone once the answer is whole.
  aborted.catch(() => {});
  return aborted;
}

function toEngineError(error: TextModelError): EngineError {
  if (error.status === 503 || error.status === 429) return overloaded();
  const type = error.status === 400 ? 'BadRequestError' : 'InternalServerError';
  return new EngineError(error.status, type, error.message);
}
