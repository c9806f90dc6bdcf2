import type { Usage } from '../backends/backend.ts';
import type { ChatCompletionRequest } from '../contract/openai.ts';
import type { Attempt } from '../failover/attempt.ts';
import { costUsd } from './cost.ts';
import { estimatedUsage } from './estimate.ts';

/** What one attempt has to be paid for. */
export interface Bill {
  readonly attempt: Attempt;
  readonly usage: Usage;
  /** The backend didn't say. */
  readonly estimated: boolean;
  readonly costUsd: number;
}

/**
 * One bill for each attempt that cost something: each token on the backend that generated it, and once. A backend that
 * refused, or failed before its first token, bills nothing; one that was given up while it worked does, for its prompt
 * has been read by then.
 */
export function billsOf(attempts: readonly Attempt[], request: ChatCompletionRequest): Bill[] {
  return attempts.flatMap((attempt) => {
    const usage = attempt.usage ?? (isBillable(attempt) ? estimatedUsage(request, attempt.output.tokens) : undefined);
    if (usage === undefined) return [];
    const { price } = attempt.candidate.config;
    return { attempt, usage, estimated: attempt.usage === undefined, costUsd: costUsd(price, usage) };
  });
}

function isBillable({ accepted, failure, isAbandoned, output }: Attempt): boolean {
  if (!accepted) return false;
  return failure === undefined || isAbandoned || failure.kind === 'timeout' || output.tokens > 0;
}

export function total(usages: readonly Usage[]): Usage {
  const sum = (field: keyof Usage): number => usages.reduce((all, usage) => all + usage[field], 0);
  return {
    inputTokens: sum('inputTokens'),
    outputTokens: sum('outputTokens'),
    cachedInputTokens: sum('cachedInputTokens'),
    cacheWriteTokens: sum('cacheWriteTokens'),
    reasoningTokens: sum('reasoningTokens'),
  };
}
