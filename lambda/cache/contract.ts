import type { Usage } from '../backends/backend.ts';
import type { ModelConfig } from '../contract/config.ts';
import type { ChatCompletion, ChatCompletionRequest } from '../contract/openai.ts';
import type { SharedBreakers } from '../failover/health.ts';
import type { AnswerSource, BackendSource } from '../serving/source.ts';

/**
 * What the path sees of the cache. Nothing here throws or takes long: a cache that is down, slow or lost its memory
 * makes requests dearer, never wrong.
 */
export interface Cache {
  /** Begins to connect, so that the first request waits less. */
  warm(): void;
  /** Looks a request up; on a miss, finds it a place among the identical ones in flight. */
  open(ask: CacheAsk): Promise<Opened>;
  readonly breakers: SharedBreakers;
  readonly values: KeyValues;
  close(): void;
}

/** A small shared memory for hints that are of use to other processes. Keys are the caller's, in a namespace of theirs. */
export interface KeyValues {
  /** `undefined` when there is none, or when the cache doesn't answer in time. */
  get(key: string): Promise<string | undefined>;
  /** Best effort. */
  set(key: string, value: string, ttlMs: number): Promise<void>;
}

export interface CacheAsk {
  readonly model: ModelConfig;
  /** As the client sent it, the model's name made canonical. */
  readonly request: ChatCompletionRequest;
  /** Whose answers may be shared with whom. */
  readonly owner: Owner;
  /** The tier's limit of output tokens: the same request of another tier may have a shorter answer. */
  readonly maxOutputTokens: number | undefined;
  /** Bytes of the request's body. */
  readonly size: number;
  /** The request's `Cache-Control`. */
  readonly cacheControl: string | undefined;
  /** What else decides which answer it gets: a priority that the routing heeds. */
  readonly variant?: string;
  /** Only the answer to this very request will do. */
  readonly exact?: boolean;
  /** Nobody reads the answer any more. */
  readonly gone: AbortSignal;
}

/**
 * Where a consumer's name comes from: the deployment, the ledger (keys that were made later), nowhere (a key's id
 * stands for it), or the job that a worker runs. Each is a namespace: no name of one kind gets another's answers.
 */
export type OwnerKind = 'declared' | 'registered' | 'key' | 'job';

export interface Owner {
  /** A name, or the id of a key that has none. */
  readonly consumer: string;
  readonly kind: OwnerKind;
  readonly tier: string;
}

/** `semantic`: the answer to a similar request. */
export type CacheOutcome = 'hit' | 'semantic' | 'miss' | 'bypass';

export interface Opened {
  readonly outcome: CacheOutcome;
  /** The cache didn't answer in time. */
  readonly unavailable?: boolean;
  /** A hit. */
  readonly stored?: StoredAnswer;
  /** What came of the search for similar requests; absent when there was none. */
  readonly semantic?: SemanticSearch;
  /** On a miss: this request's place among the identical ones. */
  readonly seat?: Seat;
}

export interface SemanticSearch {
  /** Cosine of the nearest request, whether or not its answer was taken. */
  readonly score?: number;
  /** The embedding or the search failed, or came too late. */
  readonly failed?: boolean;
  /** The embedding has to be paid for, whatever came of it. */
  readonly bill?: EmbeddingBill;
}

export interface EmbeddingBill {
  /** Id of the embedding. */
  readonly embedding: string;
  readonly tokens: number;
  /** It didn't say. */
  readonly estimated: boolean;
  readonly costUsd: number;
}

/** What is known of an answer beside its content. */
export interface AnswerFacts {
  readonly backend: string;
  readonly finishReason: string | undefined;
  readonly usage: Usage | undefined;
  readonly estimated: boolean;
  /** What it cost, and a hit saves; USD. */
  readonly costUsd: number;
  /** The backend's own usage event, for its details. */
  readonly usageEvent?: string;
  /** Of an answer that was found for a similar request, as its followers get it. */
  readonly semantic?: { readonly score: number; readonly storedAt: number };
}

export interface StoredAnswer {
  readonly facts: AnswerFacts;
  /** Unix milliseconds. */
  readonly storedAt: number;
  /** Between two events of a replayed stream; 0: all at once. */
  readonly paceMs: number;
  /** Server-sent events, as they came. */
  events(): readonly Uint8Array[];
  completion(): ChatCompletion;
}

/** A request's place among the identical ones in flight: one leads, the others follow. */
export interface Seat {
  /** Whether the answer is another request's. It can change until the first output: a leader may die. */
  readonly isFollowing: boolean;
  /** What the followed answer came to, once it has ended. */
  readonly followed: AnswerFacts | undefined;
  /** Aborted when the client is gone and nobody else waits for the answer. */
  readonly gone: AbortSignal;
  /** Whether others read what this request gets. A slow client mustn't hold them up. */
  readonly isShared: boolean;
  /** Resolves when somebody begins to. */
  readonly shared: Promise<void>;
  /** Where the answer comes from: the backends, or the one who leads. */
  source(backends: BackendSource, signal: AbortSignal): AnswerSource;
  /** The request is over. For a leader: whether its answer can be kept, and what the followers get. */
  settle(result: SeatResult): Promise<void>;
}

export type SeatResult =
  | {
      readonly type: 'answered';
      readonly facts: AnswerFacts;
      /** Ended well, as its backend meant it: a static reply, a resumed or a poor answer didn't. */
      isKeepable(completion: ChatCompletion): Promise<boolean>;
    }
  /** With a failure of the backends, which the followers would meet too; else one of them leads. */
  | { readonly type: 'failed'; readonly failure: SharedFailure | undefined };

export interface SharedFailure {
  readonly status: number;
  readonly message: string;
  readonly code: string | null;
  readonly param: string | null;
  readonly retryAfterMs?: number;
}
