import type { TokenUsage } from '@aws-sdk/client-bedrock-runtime';
import type { CompletionUsage } from '../../serving/openai.ts';
import type { Usage } from '../backend.ts';
import { modelFamily } from './settings.ts';

/**
 * Bedrock's `inputTokens` are those neither read from the cache nor written to it (user guide, prompt caching), OpenAI's
 * `prompt_tokens` are all. ConverseStream counts the cached ones in for OpenAI's models (seen in September 2026 by
 * maximhq/bifrost, pull request 6942): there they are not added a second time.
 */
export function toUsage(usage: TokenUsage, modelId: string): Usage {
  const input = usage.inputTokens ?? 0;
  const read = usage.cacheReadInputTokens ?? 0;
  const written = usage.cacheWriteInputTokens ?? 0;
  const cached = read + written;
  const countedIn = modelFamily(modelId) === 'openai' && input >= cached;
  return {
    inputTokens: countedIn ? input : input + cached,
    outputTokens: usage.outputTokens ?? 0,
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
