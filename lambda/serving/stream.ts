import type { Frame, Usage } from '../backends/backend.ts';
import type { Attempt } from '../failover/attempt.ts';
import type { Answered } from '../failover/dispatch.ts';
import { parseFrame } from '../failover/frame-delta.ts';
import type { StartedStream } from '../failover/start-stream.ts';
import type { ClientResponse } from './client-response.ts';
import type { ApiError } from './errors.ts';

export interface StreamOptions {
  readonly client: ClientResponse;
  /** Milliseconds until status and headers go out although there is no token yet. */
  readonly headersWaitMs: number;
  readonly keepAliveMs: number;
  /** Aborted when the time is up or the client is gone. */
  readonly signal: AbortSignal;
  /** The response's headers; without a backend while none has answered yet. */
  headers(attempt: Attempt | undefined): Record<string, string>;
  onFirstOutput(): void;
  /** Sees what goes to the client. */
  readonly onFrame: ((frame: Frame) => void) | undefined;
  /** Whether others wait for the same frames: a slow client mustn't hold them up. */
  readonly others?: { readonly isShared: boolean; readonly shared: Promise<void> };
  /** So many bytes of what was sent are kept, to go on with it elsewhere should it break off; 0: none. */
  readonly keepSentBytes: number;
  /**
   * Asked when the stream breaks off, with what was sent, if that was kept.
   *
   * @throws when nothing can go on with it
   */
  resume(attempt: Attempt, error: unknown, sent: readonly Frame[] | undefined): Promise<Answered<StartedStream>>;
}

export const STREAM_HEADERS = {
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
 * silence. Returns when the stream has ended; the caller closes it with `finishStream`.
 *
 * @throws what the dispatch failed with, or a stream that nothing could go on with
 */
export async function relay(dispatching: Promise<Answered<StartedStream>>, options: StreamOptions): Promise<void> {
  const { client, signal } = options;
  let isWaitingForClient = false;
  const silence = new Silence(options.headersWaitMs, options.keepAliveMs, () => {
    if (!client.committed) client.commit(200, { ...options.headers(undefined), ...STREAM_HEADERS });
    if (!isWaitingForClient) void client.write(KEEP_ALIVE, signal);
  });
  const sent = new Sent(options.keepSentBytes);
  let rest: AsyncIterator<Frame> | undefined;
  try {
    let { attempt, answer } = await dispatching;
    options.onFirstOutput();
    if (!client.committed) client.commit(200, { ...options.headers(attempt), ...STREAM_HEADERS });
    silence.broken();
    for (;;) {
      rest = answer.rest;
      const broken = await pump(attempt, answer);
      if (broken === undefined) return;
      ({ attempt, answer } = await options.resume(attempt, broken.error, sent.frames));
    }
  } finally {
    silence.stop();
    // Frees the backend's connection when the stream is left early; after its end it does nothing.
    await rest?.return?.();
  }

  /** Passes on what comes, until the end or a failure. */
  async function pump(attempt: Attempt, { opening, rest }: StartedStream): Promise<{ error: unknown } | undefined> {
    for (const frame of opening) await pass(frame);
    for (;;) {
      let result: IteratorResult<Frame, undefined>;
      try {
        result = await rest.next();
      } catch (error) {
        return { error };
      }
      if (result.done) return undefined;
      const frame = result.value;
      if (!attempt.note(frame)) continue;
      const drained = pass(frame);
      if (drained !== undefined) await drained;
    }
  }

  function pass(frame: Frame): Promise<void> | undefined {
    sent.add(frame);
    options.onFrame?.(frame);
    const drained = client.write(frame.bytes, signal);
    silence.broken();
    if (drained === undefined || options.others?.isShared === true) return undefined;
    isWaitingForClient = true;
    return Promise.race([drained, ...(options.others === undefined ? [] : [options.others.shared])]).then(() => {
      isWaitingForClient = false;
    });
  }
}

/** What the client has, as long as that isn't too much to keep. */
class Sent {
  #frames: Frame[] | undefined;
  #room: number;

  constructor(maxBytes: number) {
    this.#frames = maxBytes > 0 ? [] : undefined;
    this.#room = maxBytes;
  }

  add(frame: Frame): void {
    if (this.#frames === undefined) return;
    this.#room -= frame.bytes.length;
    if (this.#room < 0) this.#frames = undefined;
    else this.#frames.push(frame);
  }

  get frames(): readonly Frame[] | undefined {
    return this.#frames;
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

/** The last events: usage with the cost for clients that asked for it, then `[DONE]`. */
export function finishStream(client: ClientResponse, usageEvent: string | undefined, signal: AbortSignal): void {
  void client.write(usageEvent === undefined ? DONE : usageEvent + DONE, signal);
}

/** The end of a stream that failed after its headers had gone out. */
export function failStream(client: ClientResponse, error: ApiError, signal: AbortSignal): void {
  void client.write(`data: ${JSON.stringify(error.body)}\n\n${DONE}`, signal);
}

/** The event that tells the usage, `cost_usd` included. */
export function usageEvent(reported: Frame | undefined, sample: Frame | undefined, usage: UsageToTell): string {
  const base = reported === undefined ? (sample === undefined ? {} : parseFrame(sample)) : parseFrame(reported);
  const counted = {
    prompt_tokens: usage.inputTokens,
    completion_tokens: usage.outputTokens,
    total_tokens: usage.inputTokens + usage.outputTokens,
    prompt_tokens_details: { cached_tokens: usage.cachedInputTokens },
    ...(reported === undefined ? {} : (base.usage as Record<string, unknown> | undefined)),
    ...(usage.estimated ? { estimated: true } : {}),
    cost_usd: usage.costUsd,
    ...(usage.savedUsd === undefined ? {} : { saved_usd: usage.savedUsd }),
  };
  return `data: ${JSON.stringify({ ...base, choices: [], usage: counted })}\n\n`;
}

export interface UsageToTell extends Usage {
  readonly estimated: boolean;
  /** Of the whole request. */
  readonly costUsd: number;
  /** What an answer out of the cache would have cost. */
  readonly savedUsd?: number;
}
