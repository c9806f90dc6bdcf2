import type { ChatCompletion, ChatCompletionRequest } from '../contract/openai.ts';

/**
 * One place that can answer. The seam between a request's path and everything that generates text: a backend knows
 * nothing of consumers' limits, fallback or the client's connection, and the path knows nothing of wire formats.
 *
 * Implementations hold no state of a request outside the call: several calls run at once in one process.
 */
export interface Backend {
  readonly id: string;
  /** Name of the first parameter of the request that this backend can't honour, `undefined` when it can all. */
  unsupportedParameter(request: ChatCompletionRequest): string | undefined;
  /** Whether it has nothing to say to this request, and so isn't asked. Absent: it never does. */
  declines?(request: ChatCompletionRequest): boolean;
  /**
   * Resolves once the backend has accepted the request (before the first token).
   * @throws BackendError
   */
  stream(call: BackendCall): Promise<StreamedAnswer>;
  /** @throws BackendError */
  complete(call: BackendCall): Promise<WholeAnswer>;
}

export interface BackendCall {
  readonly requestId: string;
  /** Validated; `max_tokens` clamped; both spellings of the token limit folded into `max_completion_tokens`. */
  readonly request: ChatCompletionRequest;
  /** Who asks, for backends that keep such a record (Bedrock's `requestMetadata`). Never secrets. */
  readonly attribution: Readonly<Record<string, string>>;
  /** The tier's, for engines that serve some requests before others: higher first, 0 when absent. */
  readonly priority?: number;
  /** The client's own id of the session, for backends that keep a session in one place. */
  readonly session?: string;
  /** Told when the request is on its way to a backend that is connected: from then on its answer may have to be paid. */
  onSent?(): void;
  /** Aborted when the request's time is up or nobody waits any more; the backend then stops and frees its socket. */
  readonly signal: AbortSignal;
}

/** Token counts as the provider bills them. `inputTokens` includes the cached ones. */
export interface Usage {
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly cachedInputTokens: number;
  readonly cacheWriteTokens: number;
  readonly reasoningTokens: number;
}

/** One server-sent event of a chat completion stream, whole: `data: {…}` with its blank line. Never `[DONE]`. */
export interface Frame {
  readonly bytes: Uint8Array;
  /** Carries output: text, reasoning, a refusal, a part of a tool call, or a finish reason. A role alone is none. */
  readonly output: boolean;
  /** The last choice's finish reason, if this event has one. */
  readonly finishReason?: string;
  readonly usage?: Usage;
  /** The event has usage and no choices: dropped for clients that didn't ask with `include_usage`. */
  readonly usageOnly: boolean;
}

export interface StreamedAnswer {
  /**
   * Ends when the backend's stream ended as its protocol says it should; throws a BackendError when it broke off.
   * `return()` on the iterator frees the connection.
   */
  readonly frames: AsyncIterable<Frame>;
}

export interface WholeAnswer {
  readonly completion: ChatCompletion;
  /** Absent when the backend didn't say. */
  readonly usage?: Usage;
}

/**
 * - `connection`: refused, reset, DNS, TLS
 * - `timeout`: a deadline of ours, or the backend's own (408, 504)
 * - `throttled`: 429
 * - `overloaded`: 503, 529, a model that isn't ready
 * - `server`: another 5xx
 * - `protocol`: an answer that is not what its protocol says
 * - `auth`: 401, 403, a missing or bad credential of ours: the operator's fault, not the client's
 * - `not-found`: the backend doesn't know the model: the operator's fault too
 * - `low-quality`: an answer that its request's policy doesn't take: empty, unparsable, in an endless loop
 * - `invalid-request`: the client's fault: no other backend is asked, unless it says `elsewhere`
 * - `aborted`: by the call's signal
 */
export type BackendErrorKind =
  | 'connection'
  | 'timeout'
  | 'throttled'
  | 'overloaded'
  | 'server'
  | 'protocol'
  | 'auth'
  | 'not-found'
  | 'low-quality'
  | 'invalid-request'
  | 'aborted';

export interface BackendErrorOptions {
  readonly cause?: unknown;
  /** The backend's HTTP status, when there was one. */
  readonly status?: number;
  readonly retryAfterMs?: number;
  /** `param` and `code` of an OpenAI-shaped error, for `invalid-request`. */
  readonly param?: string | null;
  readonly code?: string | null;
  /** The message is the backend's own words, which may hold anything: a piece of the prompt, of a key. */
  readonly isQuoted?: boolean;
  /** Of an `invalid-request`: it is this backend that can't take the request, and another one may. */
  readonly elsewhere?: boolean;
}

export class BackendError extends Error {
  override readonly name = 'BackendError';
  readonly backend: string;
  readonly kind: BackendErrorKind;
  readonly status: number | undefined;
  readonly retryAfterMs: number | undefined;
  readonly param: string | null;
  readonly code: string | null;
  readonly isQuoted: boolean;
  readonly elsewhere: boolean;

  constructor(backend: string, kind: BackendErrorKind, message: string, options: BackendErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.backend = backend;
    this.kind = kind;
    this.status = options.status;
    this.retryAfterMs = options.retryAfterMs;
    this.param = options.param ?? null;
    this.code = options.code ?? null;
    this.isQuoted = options.isQuoted ?? false;
    this.elsewhere = options.elsewhere ?? false;
  }
}
