import { createHash } from 'node:crypto';
import { countTokens } from '../model/tokens.ts';
import type { ConverseBody, WireBlock } from './converse-shapes.ts';

export interface CacheUse {
  readonly read: number;
  readonly written: number;
}

/** Bedrock user guide, prompt caching: the default time to live, renewed by each hit; the least of most models. */
const TTL_MS = 5 * 60_000;
const MIN_TOKENS = 1_024;

/**
 * Prompt caching as the service does it: the prefix (tools, system, messages) up to each cache point is remembered by
 * model; the longest remembered one is read, what follows it up to the last cache point is written.
 */
export class PromptCache {
  readonly #expiries = new Map<string, number>();
  readonly #now: () => number;

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  use(modelId: string, body: ConverseBody): CacheUse {
    const points = cachePoints(modelId, body).filter((point) => point.tokens >= MIN_TOKENS);
    const now = this.#now();
    for (const [key, expiry] of this.#expiries) if (expiry <= now) this.#expiries.delete(key);
    const hit = points.findLast((point) => this.#expiries.has(point.key));
    for (const point of points) this.#expiries.set(point.key, now + TTL_MS);
    const read = hit?.tokens ?? 0;
    return { read, written: (points.at(-1)?.tokens ?? 0) - read };
  }
}

function cachePoints(modelId: string, body: ConverseBody): { key: string; tokens: number }[] {
  const points: { key: string; tokens: number }[] = [];
  const hash = createHash('sha256').update(modelId);
  let tokens = 0;
  const add = (blocks: readonly WireBlock[]) => {
    for (const block of blocks) {
      if ('cachePoint' in block) {
        points.push({ key: hash.copy().digest('hex'), tokens });
        continue;
      }
      const serialized = JSON.stringify(block);
      hash.update(serialized);
      tokens += countTokens(serialized);
    }
  };
  add(body.tools);
  add(body.system);
  for (const message of body.messages) {
    hash.update(message.role);
    add(message.content);
  }
  return points;
}
