import { calcPrice } from '@pydantic/genai-prices';
import { describe, expect, test } from 'vitest';
import { costUsd } from '../../lambda/serving/cost.ts';
import { TokenPrice } from '../../lib';

const usage = (inputTokens: number, cachedInputTokens = 0) => ({
  ...{ inputTokens, cachedInputTokens },
  ...{ outputTokens: 1000, cacheWriteTokens: 0, reasoningTokens: 0 },
});

describe('long prompts', () => {
  test.each([
    ['anthropic', 'claude-sonnet-4-5'],
    ['google', 'gemini-2.5-pro'],
    ['openai', 'gpt-4o'],
  ])('cost what the table of %s says for %s, on either side of the step', (providerId, model) => {
    const price = TokenPrice.lookup(providerId, model)._render();
    for (const input of [1000, 200_000, 200_001, 500_000]) {
      const table = calcPrice({ input_tokens: input, cache_read_tokens: 500, output_tokens: 1000 }, model, {
        providerId,
      });
      expect(costUsd(price, usage(input, 500))).toBeCloseTo(table?.total_price ?? Number.NaN, 8);
    }
  });

  test('may have prices of your own', () => {
    const long = { aboveInputTokens: 100, inputUsd: 10, outputUsd: 20 };
    const longer = { aboveInputTokens: 200, inputUsd: 100, outputUsd: 200, cachedInputUsd: 1 };
    const price = TokenPrice.perMillion({ inputUsd: 1, outputUsd: 2, longContext: [longer, long] })._render();
    expect([100, 101, 201].map((input) => costUsd(price, usage(input)))).toEqual([0.0021, 0.02101, 0.2201]);
    expect(costUsd(price, usage(300, 300))).toBe(0.2003);
  });

  test.each([
    [{ aboveInputTokens: 0, inputUsd: 1, outputUsd: 1 }, /^aboveInputTokens must/],
    [{ aboveInputTokens: 5, inputUsd: -1, outputUsd: 1 }, /^inputUsd must/],
  ])('refuses %j', (long, message) => {
    expect(() => TokenPrice.perMillion({ inputUsd: 1, outputUsd: 1, longContext: [long] })).toThrow(message);
  });
});
