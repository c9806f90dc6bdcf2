import type { PriceConfig } from '../../lib/private/serving-config.ts';
import type { Usage } from '../backends/backend.ts';

const PER_TOKENS = 1_000_000;
/** A ten-billionth of a dollar: below any price of a single token, above the noise of floating point. */
const DECIMALS = 10;

/**
 * What an answer cost, USD. Of the input tokens, those read from and written to a prompt cache have prices of their own;
 * with a prompt that is long enough for another price, all of them have.
 */
export function costUsd(prices: PriceConfig, usage: Usage): number {
  const price = prices.longContext?.findLast((each) => usage.inputTokens > each.aboveInputTokens) ?? prices;
  const plainInput = Math.max(0, usage.inputTokens - usage.cachedInputTokens - usage.cacheWriteTokens);
  const cost =
    plainInput * price.input +
    usage.cachedInputTokens * price.cachedInput +
    usage.cacheWriteTokens * price.cacheWrite +
    usage.outputTokens * price.output;
  return Number((cost / PER_TOKENS).toFixed(DECIMALS));
}
