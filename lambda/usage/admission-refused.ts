import { ApiError } from '../serving/errors.ts';
import type { MinuteState, Payer, Refusal } from './limits.ts';
import { toUsd } from './money.ts';
import { rateLimitHeaders } from './rate-limit.ts';

/** A limit has no room for the request. `retryAfterMs` says when it will have some. */
export class AdmissionRefused extends ApiError {
  readonly refusal: Refusal;

  constructor(refusal: Refusal, payer: Payer, minute: MinuteState) {
    const isBudget = refusal.limit.endsWith('budget');
    super(429, messageOf(refusal), {
      // OpenAI's: `insufficient_quota` for both, or the name of what ran out with `rate_limit_exceeded`.
      type: isBudget ? 'insufficient_quota' : refusal.limit.startsWith('tokens') ? 'tokens' : 'requests',
      code: isBudget ? 'insufficient_quota' : 'rate_limit_exceeded',
      retryAfterMs: refusal.retryAfterMs,
      headers: {
        ...rateLimitHeaders(payer, minute),
        // The SDKs ask again by themselves, which is of no use while there is no money.
        ...(isBudget || refusal.never ? { 'x-should-retry': 'false' } : {}),
      },
    });
    this.refusal = refusal;
  }
}

function messageOf({ limit, maximum, asked, never }: Refusal): string {
  switch (limit) {
    case 'team budget':
    case 'consumer budget': {
      const whose = limit === 'team budget' ? "The team's" : 'Your';
      return `You exceeded your current quota. ${whose} budget of $${toUsd(maximum)} a month has no room for this request, which may cost up to $${toUsd(asked)}.`;
    }
    default:
      return never
        ? `Request too large: ${asked} ${limit.split(' ')[0]}, the limit is ${maximum} per minute. Lower max_completion_tokens, or shorten the prompt.`
        : `Rate limit reached: ${maximum} ${limit}, and this request asks for ${asked}.`;
  }
}
