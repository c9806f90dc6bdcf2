import type { MinuteState, Payer } from './limits.ts';

/** What is left of a minute's limits, as OpenAI tells it. https://platform.openai.com/docs/guides/rate-limits */
export function rateLimitHeaders(payer: Payer, minute: MinuteState): Record<string, string> {
  const headers: Record<string, string> = {};
  const limits = [
    ['tokens', payer.tokensPerMinute, minute.tokens],
    ['requests', payer.requestsPerMinute, minute.requests],
  ] as const;
  for (const [name, limit, remaining] of limits) {
    if (limit === undefined) continue;
    headers[`x-ratelimit-limit-${name}`] = String(limit);
    headers[`x-ratelimit-remaining-${name}`] = String(remaining);
    headers[`x-ratelimit-reset-${name}`] = durationOf(minute.resetMs);
  }
  return headers;
}

/** `6m0s`, `12.5s`, `350ms` */
export function durationOf(ms: number): string {
  if (ms < 1000) return `${Math.ceil(ms)}ms`;
  const seconds = Math.ceil(ms / 100) / 10;
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${Math.ceil(seconds % 60)}s`;
}
