import type { TokenUsage } from '@aws-sdk/client-bedrock-runtime';
import type { CompletionUsage } from '../../contract/openai.ts';
import type { Usage } from '../backend.ts';
import { tokenCount } from '../usage.ts';
import { modelFamily } from './settings.ts';

/**
 * Bedrock's `inputTokens` are those neither read from the cache nor written to it (user guide, prompt caching), OpenAI's
 * `prompt_tokens` are all. ConverseStream counts the cached ones in for OpenAI's models (seen in September 2026 by
 * maximhq/bifrost, pull request 6942): there they are not added a second time.
 */
export function toUsage(usage: TokenUsage, modelId: string): Usage {
  const input = tokenCount(usage.inputTokens);
  const read = tokenCount(usage.cacheReadInputTokens);
  const written = tokenCount(usage.cacheWriteInputTokens);
  const cached = read + written;
  const countedIn = modelFamily(modelId) === 'openai' && input >= cached;
  return {
    inputTokens: countedIn ? input : input + cached,
    outputTokens: tokenCount(usage.outputTokens),
    cachedInputTokens: read,
    cacheWriteTokens: written,
    // Bedrock counts reasoning as output and doesn't say how much it was.
    reasoningTokens: 0,
  };
}

export function toCompletionUsage(usage: Usage): CompletionUsage {
  return {
    prompt_tokens: usage.inputTokens,
    completion_tokens: usage.outputTokens,
    total_tokens: usage.inputTokens + usage.outputTokens,
    prompt_tokens_details: { cached_tokens: usage.cachedInputTokens },
  };
}
