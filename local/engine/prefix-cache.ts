import { createHash } from 'node:crypto';
import type { GenerateRequest } from '../model/text-model.ts';
import { tokenize } from '../model/tokens.ts';
import { BLOCK_TOKENS } from './command-line.ts';

/** Which blocks of earlier prompts are still in the KV cache: the least recently used are evicted. */
export class PrefixCache {
  readonly #capacity: number;
  readonly #blocks = new Set<string>();

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** How many blocks from the start are there; all are afterwards. */
  use(hashes: readonly string[]): number {
    const missing = hashes.findIndex((hash) => !this.#blocks.has(hash));
    for (const hash of hashes) {
      this.#blocks.delete(hash);
      this.#blocks.add(hash);
    }
    for (const hash of this.#blocks) {
      if (this.#blocks.size <= this.#capacity) break;
      this.#blocks.delete(hash);
    }
    return missing < 0 ? hashes.length : missing;
  }
}

/** A hash for each full block of a prompt, which covers everything before it too, and the salt. */
export function blockHashes(request: GenerateRequest, salt: string): string[] {
  const tools = request.tools.length > 0 ? [JSON.stringify(request.tools)] : [];
  const prompt = [...tools, ...request.messages.map((message) => `${message.role}\n${message.text}\n`)];
  const tokens = prompt.flatMap(tokenize);
  const hashes: string[] = [];
  let parent = salt;
  for (let end = BLOCK_TOKENS; end <= tokens.length; end += BLOCK_TOKENS) {
    const block = tokens.slice(end - BLOCK_TOKENS, end);
    parent = createHash('sha1').update(parent).update(block.join('\0')).digest('base64');
    hashes.push(parent);
  }
  return hashes;
}
