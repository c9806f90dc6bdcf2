import { createHash } from 'node:crypto';
import type { ChatCompletionRequest } from '../../contract/openai.ts';

/** Some 256 tokens: a prefix shorter than that is computed in no time. */
const BLOCK_CHARACTERS = 1024;
/** A quarter of a million characters; what is alike up to there goes to one task. */
const MAX_BLOCKS = 256;

/**
 * Hashes of a prompt's full blocks, each of which covers everything before it, in the order in which chat templates put
 * it: tools first, then the messages.
 *
 * @param owner whose prompt it is: caches aren't shared between owners
 */
export function blockChain(owner: string, { tools, messages }: ChatCompletionRequest): string[] {
  const hash = createHash('sha256').update(`${owner}\0`);
  const chain: string[] = [];
  let rest = tools == null || tools.length === 0 ? '' : `${JSON.stringify(tools)}\n`;
  for (const message of messages) {
    rest += `${JSON.stringify(message)}\n`;
    let at = 0;
    for (; rest.length - at >= BLOCK_CHARACTERS; at += BLOCK_CHARACTERS) {
      hash.update(rest.slice(at, at + BLOCK_CHARACTERS));
      chain.push(hash.copy().digest('base64').slice(0, 28));
      if (chain.length === MAX_BLOCKS) return chain;
    }
    rest = rest.slice(at);
  }
  return chain;
}
