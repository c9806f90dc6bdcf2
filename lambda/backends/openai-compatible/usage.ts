import type { Usage } from '../backend.ts';

const count = (value: unknown): number =>
  typeof value === 'number' && Number.isFinite(value) && value > 0 ? value : 0;

/** A `usage` object as OpenAI and those that follow it write it; `undefined` when it is none. */
export function toUsage(usage: unknown): Usage | undefined {
  if (typeof usage !== 'object' || usage === null) return undefined;
  const fields = usage as Record<string, unknown>;
  if (typeof fields.prompt_tokens !== 'number' && typeof fields.completion_tokens !== 'number') return undefined;
  const input = (fields.prompt_tokens_details ?? {}) as Record<string, unknown>;
  const output = (fields.completion_tokens_details ?? {}) as Record<string, unknown>;
  return {
    inputTokens: count(fields.prompt_tokens),
    outputTokens: count(fields.completion_tokens),
    // DeepSeek counts its cache's hits beside the prompt's tokens.
    cachedInputTokens: count(input.cached_tokens ?? fields.prompt_cache_hit_tokens),
    cacheWriteTokens: count(input.cache_write_tokens ?? input.cache_creation_tokens),
    reasoningTokens: count(output.reasoning_tokens),
  };
}
