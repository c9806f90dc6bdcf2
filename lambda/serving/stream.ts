import type { Frame, Usage } from '../backends/backend.ts';
import type { ClientResponse } from './client-response.ts';
import type { Dispatched, StartedStream } from './dispatch.ts';
import type { ApiError } from './errors.ts';
import { OutputEstimate } from './estimate.ts';

export interface StreamOptions {
  readonly client: ClientResponse;
  /** Milliseconds until status and headers go out although there is no token yet. */
  readonly headersWaitMs: number;
  readonly keepAliveMs: number;
  /** Aborted when the time is up or the client is gone. */
  readonly signal: AbortSignal;
  /** The response's headers; without a backend while none has answered yet. */
  headers(started: Dispatched<StartedStream> | undefined): Record<string, string>;
  onFirstOutput(): void;
  /** Sees what goes to the client. */
  readonly onFrame: ((frame: Frame) => void) | undefined;
}

/** What there is to know of a stream while it runs and when it has ended, however it ended. */
export interface StreamFacts {
  usage: Usage | undefined;
  finishReason: string | undefined;
  /** Usage came with choices, or not at all: a client that wants it gets an event of our making. */
  usageFrame: Frame | undefined;
  /** An output event, for the id and the model's name of events of our making. */
  sample: Frame | undefined;
  readonly output: OutputEstimate;
}

export const newStreamFacts = (): StreamFacts => ({
  usage: undefined,
  finishReason: undefined,
  usageFrame: undefined,
  sample: undefined,
  output: new OutputEstimate(),
});

const STREAM_HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache',
  // For proxies that would collect the tokens.
  'x-accel-buffering': 'no',
};
const KEEP_ALIVE = ': keep-alive\n\n';
const DONE = 'data: [DONE]\n\n';

/**
 * Writes the frames of a stream to the client as they come. Until the first output nothing is committed, so that an
 * error keeps its status; after `headersWaitMs` the headers go out regardless, and from then on comments fill every
 * silence. Returns when the backend's stream has ended; the caller closes the stream with `finishStream`.
 *
 * @throws what the dispatch or the backend's stream failed with
 */
export async function relay(
  dispatching: Promise<Dispatched<StartedStream>>,
  facts: StreamFacts,
  options: StreamOptions,
): Promise<Dispatched<StartedStream>> {
  const { client, signal } = options;
  let isWaitingForClient = false;
  const silence = new Silence(options.headersWaitMs, options.keepAliveMs, () => {
    if (!client.committed) client.commit(200, { ...options.headers(undefined), ...STREAM_HEADERS });
    if (!isWaitingForClient) void client.write(KEEP_ALIVE, signal);
  });
  let rest: AsyncIterator<Frame> | undefined;
  try {
    const started = await dispatching;
    rest = started.answer.rest;
    options.onFirstOutput();
    if (!client.committed) client.commit(200, { ...options.headers(started), ...STREAM_HEADERS });
    silence.broken();
    const opening = started.answer.opening.values();
    for (;;) {
      const ahead = opening.next();
      const { value: frame, done } = ahead.done ? await rest.next() : ahead;
      if (done) return started;
      if (!note(frame, facts)) continue;
      options.onFrame?.(frame);
      const drained = client.write(frame.bytes, signal);
      silence.broken();
      if (drained === undefined) continue;
      isWaitingForClient = true;
      await drained;
      isWaitingForClient = false;
    }
  } finally {
    silence.stop();
    // Frees the backend's connection when the stream is left early; after its end it does nothing.
    await rest?.return?.();
  }
}

/** Calls back while nothing is said: after `firstMs`, then every `nextMs`. */
class Silence {
  readonly #nextMs: number;
  readonly #onSilence: () => void;
  #timer: NodeJS.Timeout;
  #isFirst = true;

  constructor(firstMs: number, nextMs: number, onSilence: () => void) {
    this.#nextMs = nextMs;
    this.#onSilence = onSilence;
    this.#timer = setTimeout(() => {
      onSilence();
      this.broken();
    }, firstMs);
  }

  broken(): void {
    if (this.#isFirst) {
      this.#isFirst = false;
      clearTimeout(this.#timer);
      this.#timer = setInterval(this.#onSilence, this.#nextMs);
    } else {
      this.#timer.refresh();
    }
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}

/** Keeps what metering needs; false for a frame that is held back. */
function note(frame: Frame, facts: StreamFacts): boolean {
  if (frame.usage !== undefined) facts.usage = frame.usage;
  if (frame.finishReason !== undefined) facts.finishReason = frame.finishReason;
  if (frame.usageOnly) {
    // Goes out last, with the cost, or not at all.
    facts.usageFrame = frame;
    return false;
  }
  if (frame.output) {
    facts.sample ??= frame;
    facts.output.add(frame.bytes.length);
  }
  return true;
}

/** The last events: usage with the cost for clients that asked for it, then `[DONE]`. */
export function finishStream(client: ClientResponse, usageEvent: string | undefined, signal: AbortSignal): void {
  void client.write(usageEvent === undefined ? DONE : usageEvent + DONE, signal);
}

/** The end of a stream that failed after its headers had gone out. */
export function failStream(client: ClientResponse, error: ApiError, signal: AbortSignal): void {
  void client.write(`data: ${JSON.stringify(error.body)}\n\n${DONE}`, signal);
}

/** The event that tells the usage, `cost_usd` included. */
export function usageEvent(facts: StreamFacts, usage: Usage, cost: number, estimated: boolean): string {
  const base = parseFrame(facts.usageFrame) ?? { ...parseFrame(facts.sample), choices: [] };
  const reported = (base.usage ?? {}) as Record<string, unknown>;
  const counted = {
    prompt_tokens: usage.inputTokens,
    completion_tokens: usage.outputTokens,
    total_tokens: usage.inputTokens + usage.outputTokens,
    prompt_tokens_details: { cached_tokens: usage.cachedInputTokens },
    ...reported,
    ...(estimated ? { estimated: true } : {}),
    cost_usd: cost,
  };
  return `data: ${JSON.stringify({ ...base, choices: [], usage: counted })}\n\n`;
}

function parseFrame(frame: Frame | undefined): Record<string, unknown> | undefined {
  if (frame === undefined) return undefined;
  return JSON.parse(Buffer.from(frame.bytes).toString().slice('data: '.length)) as Record<string, unknown>;
}
