import type { Readable } from 'node:stream';
import { BackendError, type Frame } from '../backend.ts';
import { classify, isDone } from './classify.ts';
import { asEvent, type SseEvent, SseSplitter } from './sse.ts';

export interface FrameStreamOptions {
  readonly backend: string;
  /** What is left of the time to the first token. */
  readonly firstTokenMs: number;
  readonly betweenTokensMs: number;
  readonly signal: AbortSignal;
}

/** Room for an image in base64 and then some. */
const MAX_EVENT_BYTES = 16 * 1024 * 1024;
/** Beyond this much that nobody has taken yet, the backend is made to wait. */
const HIGH_WATER_BYTES = 256 * 1024;
/** How long the connection may take to end after `[DONE]`, to be used again. */
const LINGER_MS = 1000;

/**
 * The frames of one streamed answer, as they arrive. An iterator of its own rather than an async generator: frames that
 * arrive together are taken together, with no more than a promise each.
 */
export class FrameStream implements AsyncIterable<Frame>, AsyncIterator<Frame, undefined> {
  readonly #source: Readable;
  readonly #options: FrameStreamOptions;
  readonly #splitter: SseSplitter;
  readonly #frames: Frame[] = [];
  readonly #timer: { current: NodeJS.Timeout };
  #bytes = 0;
  /** Bytes of the shortest data with output. */
  #shortestOutput = Number.POSITIVE_INFINITY;
  #last: Buffer | undefined;
  #seenFinish = false;
  #done = false;
  #error: BackendError | undefined;
  #waiting: PromiseWithResolvers<IteratorResult<Frame, undefined>> | undefined;

  constructor(source: Readable, options: FrameStreamOptions) {
    this.#source = source;
    this.#options = options;
    this.#splitter = new SseSplitter(options.backend, MAX_EVENT_BYTES);
    this.#timer = { current: setTimeout(this.#onSilence, options.firstTokenMs) };
    source.on('data', this.#onData);
    source.once('end', this.#onEnd);
    source.once('error', this.#onBroken);
    source.once('close', this.#onBroken);
    if (options.signal.aborted) this.#onAbort();
    else options.signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Frame, undefined>> {
    const frame = this.#frames.shift();
    if (frame !== undefined) {
      this.#bytes -= frame.bytes.length;
      if (!this.#done && this.#source.isPaused() && this.#bytes < HIGH_WATER_BYTES) this.#resume();
      return Promise.resolve({ value: frame, done: false });
    }
    if (this.#error !== undefined) return Promise.reject(this.#error);
    if (this.#done) return Promise.resolve({ value: undefined, done: true });
    this.#waiting = Promise.withResolvers();
    return this.#waiting.promise;
  }

  return(): Promise<IteratorResult<Frame, undefined>> {
    this.#finish(undefined);
    this.#source.destroy();
    this.#frames.length = 0;
    return Promise.resolve({ value: undefined, done: true });
  }

  readonly #onData = (chunk: Buffer): void => {
    try {
      this.#splitter.push(chunk, this.#onEvent);
    } catch (error) {
      this.#fail(asStreamError(this.#options.backend, error));
    }
    if (!this.#done && this.#bytes >= HIGH_WATER_BYTES) this.#source.pause();
  };

  readonly #onEvent = (event: SseEvent): void => {
    if (this.#done) return;
    if (isDone(event.data)) {
      this.#complete();
      return;
    }
    // The same once more may be a sign of life and no more: it is looked at, whatever its length.
    const isRepeated = this.#last?.equals(event.data) === true;
    this.#last = event.data;
    const frame = classify(this.#options.backend, event, isRepeated ? Number.POSITIVE_INFINITY : this.#shortestOutput);
    if (frame === undefined) return;
    if (frame.finishReason !== undefined) this.#seenFinish = true;
    if (frame.output) this.#onOutput(event.data.length);
    if (this.#waiting !== undefined) {
      this.#waiting.resolve({ value: frame, done: false });
      this.#waiting = undefined;
    } else {
      this.#frames.push(frame);
      this.#bytes += frame.bytes.length;
    }
  };

  /** Only output stops the clock: a server may say for ever that it is there. */
  #onOutput(length: number): void {
    if (this.#seenOutput) {
      this.#timer.current.refresh();
    } else {
      clearTimeout(this.#timer.current);
      this.#timer.current = setTimeout(this.#onSilence, this.#options.betweenTokensMs);
    }
    if (length < this.#shortestOutput) this.#shortestOutput = length;
  }

  /** `[DONE]` came: what follows is of no interest, but the connection can be used again once it was read. */
  #complete(): void {
    this.#finish(undefined);
    if (this.#source.readableEnded) return;
    const linger = setTimeout(() => this.#source.destroy(), LINGER_MS).unref();
    this.#source.once('close', () => clearTimeout(linger));
    this.#source.resume();
  }

  readonly #onEnd = (): void => {
    try {
      const data = this.#splitter.end();
      if (data !== undefined) this.#onEvent({ data, bytes: asEvent(data) });
    } catch (error) {
      this.#fail(asStreamError(this.#options.backend, error));
    }
    if (this.#done) return;
    if (this.#seenFinish) this.#finish(undefined);
    else this.#fail(this.#makeError('protocol', 'the stream ended without a finish reason and without [DONE]'));
  };

  readonly #onBroken = (cause?: Error): void => {
    this.#fail(this.#makeError('connection', 'the stream broke off', cause));
  };

  readonly #onAbort = (): void => {
    this.#fail(this.#makeError('aborted', 'the request was given up', this.#options.signal.reason));
  };

  readonly #onSilence = (): void => {
    if (this.#source.isPaused()) {
      // Not the backend is silent: the client takes its time. Looked at again once it took what there is.
      this.#timer.current.refresh();
      return;
    }
    const { firstTokenMs, betweenTokensMs } = this.#options;
    const [what, ms] = this.#seenOutput ? ['next', betweenTokensMs] : ['first', firstTokenMs];
    this.#fail(this.#makeError('timeout', `the ${what} token took longer than ${Math.round(ms)} ms`));
  };

  get #seenOutput(): boolean {
    return this.#shortestOutput < Number.POSITIVE_INFINITY;
  }

  #resume(): void {
    this.#timer.current.refresh();
    this.#source.resume();
  }

  #makeError(kind: 'protocol' | 'connection' | 'aborted' | 'timeout', message: string, cause?: unknown): BackendError {
    return new BackendError(this.#options.backend, kind, message, { cause });
  }

  #fail(error: BackendError): void {
    if (this.#done) return;
    this.#finish(error);
    this.#source.destroy();
  }

  #finish(error: BackendError | undefined): void {
    if (this.#done) return;
    this.#done = true;
    this.#error = error;
    clearTimeout(this.#timer.current);
    this.#options.signal.removeEventListener('abort', this.#onAbort);
    // Listeners for errors stay: a destroyed socket may still report one.
    this.#source.off('data', this.#onData);
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (error === undefined) waiting?.resolve({ value: undefined, done: true });
    else waiting?.reject(error);
  }
}

const asStreamError = (backend: string, error: unknown): BackendError =>
  error instanceof BackendError
    ? error
    : new BackendError(backend, 'protocol', 'the stream is malformed', { cause: error });
