import type { Usage } from './backend.ts';

/** A count of tokens out of what a backend says it is: a whole number, and none below zero or without end. */
export const tokenCount = (value: unknown): number =>
  typeof value === 'number' && value > 0 && Number.isFinite(value) ? Math.floor(value) : 0;

/** Parts are no more than their whole: a price for what can't be would be one that nobody has to pay. */
export function clampedUsage(usage: Usage): Usage {
  const inputTokens = tokenCount(usage.inputTokens);
  const outputTokens = tokenCount(usage.outputTokens);
  const cachedInputTokens = Math.min(tokenCount(usage.cachedInputTokens), inputTokens);
  return {
    inputTokens,
    outputTokens,
    cachedInputTokens,
    cacheWriteTokens: Math.min(tokenCount(usage.cacheWriteTokens), inputTokens - cachedInputTokens),
    reasoningTokens: Math.min(tokenCount(usage.reasoningTokens), outputTokens),
  };
}
