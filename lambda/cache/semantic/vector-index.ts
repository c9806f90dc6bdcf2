import { createHash } from 'node:crypto';
import type { Redis } from 'iovalkey';
import type { EmbeddingConfig } from '../../contract/config.ts';
import type { Valkey } from '../valkey.ts';

/** One that is near: what its answer is kept under, how near, and what its words were. */
export interface Neighbour {
  readonly reference: string;
  /** Cosine. */
  readonly score: number;
  readonly words: readonly string[];
}

/** Of the nearest, the first few: an answer may be gone, too old, or be refused by a guard. */
const NEIGHBOURS = 4;

/**
 * Vectors of prompts, each beside the context it was asked in and the key of its answer: a hash a prompt, in an index of
 * Valkey's search. Works alike with valkey-search and RediSearch.
 *
 * One index for each embedding model, whoever's deployment asks: vectors of two models mean nothing to each other.
 * ElastiCache has room for ten indexes.
 */
export class VectorIndex {
  readonly #valkey: Valkey;
  readonly #name: string;
  readonly #prefix: string;
  readonly #dimensions: number;
  #ready: Promise<boolean> | undefined;

  constructor(valkey: Valkey, embedding: EmbeddingConfig) {
    this.#valkey = valkey;
    this.#dimensions = embedding.dimensions;
    const space = spaceOf(embedding);
    // An index's name counts as a key for RediSearch's access control.
    this.#name = `llm:semantic:${space}`;
    this.#prefix = `llm:s:${space}:`;
  }

  /** Makes the index where there is none. False: the cache can't search, or isn't there. */
  ready(): Promise<boolean> {
    this.#ready ??= this.#create().then((isReady) => {
      // Tried again by a later request.
      if (!isReady) this.#ready = undefined;
      return isReady;
    });
    return this.#ready;
  }

  /** The nearest of the same context, nearest first; `undefined` when the search failed. */
  async nearest(context: string, vector: Float32Array, timeoutMs: number): Promise<readonly Neighbour[] | undefined> {
    const reply = await this.#run(
      (client) =>
        client.callBuffer(
          ...(['FT.SEARCH', this.#name, `@context:{${context}}=>[KNN ${NEIGHBOURS} @vector $v AS score]`] as const),
          ...(['PARAMS', '2', 'v', bytesOf(vector), 'RETURN', '3', 'score', 'context', 'words'] as const),
          ...(['LIMIT', '0', String(NEIGHBOURS), 'DIALECT', '2'] as const),
        ),
      timeoutMs,
    );
    if (reply instanceof Error) {
      // Somebody emptied the cache, or put another one in its place.
      if (/no such index|unknown index|not found/i.test(reply.message)) this.#ready = undefined;
      return undefined;
    }
    return Array.isArray(reply) ? this.#neighbours(reply, context) : undefined;
  }

  /** Keeps a prompt's vector as long as its answer. */
  async put(
    context: string,
    reference: string,
    { vector, words }: { readonly vector: Float32Array; readonly words: readonly string[] },
    ttlMs: number,
  ): Promise<void> {
    const key = `${this.#prefix}${reference}`;
    const fields = { context, vector: bytesOf(vector), words: words.join(',') };
    await this.#run((client) =>
      client
        .multi()
        .hset(key, fields)
        .pexpire(key, Math.max(1, Math.round(ttlMs)))
        .exec(),
    );
  }

  async #create(): Promise<boolean> {
    const reply = await this.#run((client) =>
      client.call(
        ...(['FT.CREATE', this.#name, 'ON', 'HASH', 'PREFIX', '1', this.#prefix, 'SCHEMA'] as const),
        ...(['context', 'TAG', 'vector', 'VECTOR', 'HNSW', '6'] as const),
        ...(['TYPE', 'FLOAT32', 'DIM', String(this.#dimensions), 'DISTANCE_METRIC', 'COSINE'] as const),
      ),
    );
    return reply instanceof Error ? /already exists/i.test(reply.message) : reply !== undefined;
  }

  /** An error that the server answers with is an answer. */
  #run<T>(command: (client: Redis) => Promise<T>, timeoutMs?: number): Promise<T | Error | undefined> {
    return this.#valkey.run(
      (client) =>
        command(client).catch((error: unknown) => {
          if (error instanceof Error && error.name === 'ReplyError') return error;
          throw error;
        }),
      timeoutMs === undefined ? {} : { timeoutMs },
    );
  }

  /** `[count, key, [name, value, …], key, …]` */
  #neighbours(reply: readonly unknown[], context: string): Neighbour[] {
    const found: Neighbour[] = [];
    for (let at = 1; at + 1 < reply.length; at += 2) {
      const key = String(reply[at]);
      const fields = new Map<string, string>();
      const list = reply[at + 1];
      // One that expired while the search ran has no fields.
      if (!Array.isArray(list)) continue;
      for (let field = 0; field + 1 < list.length; field += 2) fields.set(String(list[field]), String(list[field + 1]));
      const score = 1 - Number(fields.get('score'));
      // The filter is the search engine's; that nobody gets another's answer doesn't hang on it.
      if (!key.startsWith(this.#prefix) || fields.get('context') !== context || !Number.isFinite(score)) continue;
      const words = (fields.get('words') ?? '').split(',').filter((word) => word !== '');
      found.push({ reference: key.slice(this.#prefix.length), score, words });
    }
    return found.sort((a, b) => b.score - a.score);
  }
}

/** Whose vectors can be compared: one model's, with as many dimensions. */
export function spaceOf(embedding: EmbeddingConfig): string {
  const model = embedding.kind === 'bedrock' ? embedding.modelId : [embedding.baseUrl, embedding.model];
  return createHash('sha256')
    .update(JSON.stringify([embedding.kind, model, embedding.dimensions]))
    .digest('hex')
    .slice(0, 16);
}

/** Little-endian, as search modules take them and all of Lambda's processors have them. */
const bytesOf = (vector: Float32Array): Buffer => Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength);
