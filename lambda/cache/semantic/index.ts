import { performance } from 'node:perf_hooks';
import type { CachePolicyConfig, SemanticCacheConfig } from '../../contract/config.ts';
import { createEmbedder } from '../../embeddings/create-embedder.ts';
import type { Embedder } from '../../embeddings/embedder.ts';
import { Breaker, type BreakerCall } from '../../failover/breaker.ts';
import type { CacheAsk, EmbeddingBill, SemanticSearch, StoredAnswer } from '../contract.ts';
import { decodeEntry } from '../entry.ts';
import { semanticContext } from '../key.ts';
import { keysOf } from '../scripts.ts';
import type { Valkey } from '../valkey.ts';
import { areAlike, digestsOf } from './content-words.ts';
import { marksOf } from './marks.ts';
import { type SemanticPrompt, semanticPrompt } from './prompt.ts';
import { spaceOf, VectorIndex } from './vector-index.ts';

export interface Searched {
  readonly search: SemanticSearch;
  /** A similar request's. */
  readonly found?: { readonly stored: StoredAnswer; readonly score: number };
  /** Has this request found by similar ones from now on. */
  keep?(reference: string): Promise<void>;
}

export interface SemanticLookup {
  readonly ask: CacheAsk;
  readonly policy: CachePolicyConfig;
  readonly semantic: SemanticCacheConfig;
  /** Unix milliseconds; older answers won't do. */
  readonly oldest: number;
}

interface Space {
  readonly embedder: Embedder;
  readonly index: VectorIndex;
  readonly breaker: Breaker;
}

interface Asked extends Space {
  readonly call: BreakerCall;
}

/** An embedding that fails is left alone for a while: each request would wait for it. */
const BREAKER = {
  windowMs: 60_000,
  minimumCalls: 10,
  failureRate: 0.5,
  consecutiveFailures: 3,
  openMs: 2000,
  maxOpenMs: 60_000,
  skipMs: 0,
} as const;

/** English text in the tokenizers of today's models. */
const CHARACTERS_PER_TOKEN = 4;
const PER_TOKENS = 1_000_000;

/** Answers to similar requests: near as vectors, alike in what vectors don't show, and the same in all else. */
export class SimilarAnswers {
  readonly #valkey: Valkey;
  readonly #deployment: string;
  readonly #now: () => number;
  readonly #spaces = new Map<string, Space>();

  constructor(valkey: Valkey, deployment: string, now: () => number) {
    this.#valkey = valkey;
    this.#deployment = deployment;
    this.#now = now;
  }

  /** `undefined` for a request that doesn't qualify. Takes no longer than its policy's time. */
  async search(lookup: SemanticLookup): Promise<Searched | undefined> {
    const { ask, semantic } = lookup;
    const prompt = semanticPrompt(ask.request, semantic);
    if (prompt === undefined) return undefined;
    const space = this.#space(semantic);
    if (!space.breaker.admits(this.#now())) return undefined;
    const call = space.breaker.begin(this.#now());
    const until = performance.now() + semantic.timeoutMs;
    const time = AbortSignal.timeout(semantic.timeoutMs);
    try {
      return await this.#search(lookup, prompt, { ...space, call }, AbortSignal.any([time, ask.gone]), until);
    } catch {
      return this.#failed(space.breaker, call, ask);
    }
  }

  async #search(
    { ask, policy, semantic, oldest }: SemanticLookup,
    { text, rest }: SemanticPrompt,
    { embedder, index, breaker, call }: Asked,
    signal: AbortSignal,
    until: number,
  ): Promise<Searched> {
    // A cache that can't search would have each request pay for a vector that is of no use.
    if (!(await index.ready())) return this.#failed(breaker, call, ask);
    // The first one waits for its module, too, which no signal stops.
    const embedded = await Promise.race([embedder.embed(text, signal).catch(() => undefined), aborted(signal)]);
    const bill = billOf(semantic, text, embedded?.tokens);
    // One that was given up may have been paid for; one that was refused says so, and costs nothing.
    if (embedded === undefined) return this.#failed(breaker, call, ask, signal.aborted ? bill : undefined);
    const { vector } = embedded;
    const { guards } = semantic;
    const marks = guards === 'none' ? [] : marksOf(text);
    const sense = [spaceOf(semantic.embedding), guards, marks];
    const context = semanticContext(ask, this.#deployment, policy, rest, sense);
    const words = guards === 'none' ? [] : digestsOf(text, context);
    const keep = (reference: string) => index.put(context, reference, { vector, words }, policy.ttlMs);
    const neighbours = await index.nearest(context, vector, Math.max(1, until - performance.now()));
    if (neighbours === undefined) return { ...this.#failed(breaker, call, ask, bill), keep };
    breaker.succeeded(call, this.#now(), BREAKER);
    const score = neighbours[0]?.score;
    const search: SemanticSearch = { bill, ...(score === undefined ? {} : { score: rounded(score) }) };
    for (const neighbour of neighbours) {
      if (neighbour.score < semantic.threshold) break;
      if (guards !== 'none' && !areAlike(words, neighbour.words, LIKENESS[guards])) continue;
      const stored = await this.#stored(neighbour.reference, policy, oldest, until);
      if (stored !== undefined) return { search, found: { stored, score: rounded(neighbour.score) }, keep };
    }
    return { search, keep };
  }

  async #stored(
    reference: string,
    policy: CachePolicyConfig,
    oldest: number,
    until: number,
  ): Promise<StoredAnswer | undefined> {
    const timeoutMs = Math.max(1, until - performance.now());
    const entry = await this.#valkey.run((client) => client.getBuffer(keysOf(reference).entry), { timeoutMs });
    const stored = entry == null ? undefined : await decodeEntry(entry, policy.paceMs);
    return stored !== undefined && stored.storedAt >= oldest ? stored : undefined;
  }

  /** Nobody's fault when the client has left. */
  #failed(breaker: Breaker, call: BreakerCall, { gone }: CacheAsk, bill?: EmbeddingBill): Searched {
    if (gone.aborted) breaker.abandoned(call);
    else breaker.failed(call, this.#now(), BREAKER);
    return { search: { failed: true, ...(bill === undefined ? {} : { bill }) } };
  }

  #space({ embedding }: SemanticCacheConfig): Space {
    const name = JSON.stringify(embedding);
    let space = this.#spaces.get(name);
    if (space === undefined) {
      space = {
        embedder: createEmbedder(embedding),
        index: new VectorIndex(this.#valkey, embedding),
        breaker: new Breaker(),
      };
      this.#spaces.set(name, space);
    }
    return space;
  }
}

const aborted = (signal: AbortSignal): Promise<undefined> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    else signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });

const LIKENESS = { strict: 'same-words', standard: 'no-exchange' } as const;

/** Three digits: what tells a user something, and hides float32's noise. */
const rounded = (score: number): number => Math.round(score * 1000) / 1000;

function billOf({ embedding }: SemanticCacheConfig, text: string, told: number | undefined): EmbeddingBill {
  const tokens = told ?? Math.ceil(text.length / CHARACTERS_PER_TOKEN);
  return {
    embedding: embedding.id,
    tokens,
    estimated: told === undefined,
    costUsd: Number(((tokens * embedding.price) / PER_TOKENS).toFixed(10)),
  };
}
