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
    const told = attempt.usage;
    if (told === undefined && !isBillable(attempt)) return [];
    // Some tell the usage as they go, or once at the beginning: what came after it is missing there.
    const untold = attempt.output.tokens;
    const usage =
      told === undefined
        ? estimatedUsage(request, untold)
        : untold === 0
          ? told
          : { ...told, outputTokens: told.outputTokens + untold };
    const { price } = attempt.candidate.config;
    return { attempt, usage, estimated: told === undefined || untold > 0, costUsd: costUsd(price, usage) };
  });
}

/** One that answered with an error (a status) has done nothing, whatever that error says. */
function isBillable({ accepted, failure, isAbandoned, output }: Attempt): boolean {
  if (!accepted) return false;
  if (failure === undefined || isAbandoned || output.tokens > 0) return true;
  return (failure.kind === 'timeout' || failure.kind === 'aborted') && failure.status === undefined;
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
