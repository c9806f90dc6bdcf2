import type { CompletionUsage } from '../../contract/openai.ts';
import type { Usage } from '../backend.ts';
import { clampedUsage, tokenCount } from '../usage.ts';

/** A `usage` object as OpenAI and those that follow it write it; `undefined` when it is none. */
export function toUsage(usage: unknown): Usage | undefined {
  if (typeof usage !== 'object' || usage === null) return undefined;
  const fields = usage as Record<string, unknown>;
  if (typeof fields.prompt_tokens !== 'number' && typeof fields.completion_tokens !== 'number') return undefined;
  const input = (fields.prompt_tokens_details ?? {}) as Record<string, unknown>;
  const output = (fields.completion_tokens_details ?? {}) as Record<string, unknown>;
  return clampedUsage({
    inputTokens: tokenCount(fields.prompt_tokens),
    outputTokens: tokenCount(fields.completion_tokens),
    // DeepSeek counts its cache's hits beside the prompt's tokens.
    cachedInputTokens: tokenCount(input.cached_tokens ?? fields.prompt_cache_hit_tokens),
    cacheWriteTokens: tokenCount(input.cache_write_tokens ?? input.cache_creation_tokens),
    reasoningTokens: tokenCount(output.reasoning_tokens),
  });
}

/** The `usage` object for the client: as it came, with impossible counts replaced by those that are reckoned with. */
export function tellable(wire: unknown, usage: Usage): CompletionUsage {
  const told = { ...(wire as CompletionUsage) };
  told.prompt_tokens = usage.inputTokens;
  told.completion_tokens = usage.outputTokens;
  if (told.total_tokens !== tokenCount(told.total_tokens)) told.total_tokens = usage.inputTokens + usage.outputTokens;
  if (told.prompt_tokens_details?.cached_tokens != null) {
    told.prompt_tokens_details = { ...told.prompt_tokens_details, cached_tokens: usage.cachedInputTokens };
  }
  if (told.completion_tokens_details?.reasoning_tokens != null) {
    told.completion_tokens_details = { ...told.completion_tokens_details, reasoning_tokens: usage.reasoningTokens };
  }
  return told;
}
