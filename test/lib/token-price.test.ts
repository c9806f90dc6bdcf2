import { describe, expect, test } from 'vitest';
import { TokenPrice } from '../../lib';

describe('TokenPrice', () => {
  test('takes the price of cached tokens from other input tokens when it is not given', () => {
    expect(TokenPrice.perMillion({ inputUsd: 2, outputUsd: 8 })._render()).toEqual({
      input: 2,
      output: 8,
      cachedInput: 2,
      cacheWrite: 2,
    });
  });

  test('keeps every price that is given', () => {
    const price = TokenPrice.perMillion({ inputUsd: 2, outputUsd: 8, cachedInputUsd: 0.2, cacheWriteUsd: 2.5 });
    expect(price._render()).toEqual({ input: 2, output: 8, cachedInput: 0.2, cacheWrite: 2.5 });
  });

  test('is nothing when free', () => {
    expect(TokenPrice.free()._render()).toEqual({ input: 0, output: 0, cachedInput: 0, cacheWrite: 0 });
  });

  test.each([
    ['inputUsd', { inputUsd: -1, outputUsd: 1 }],
    ['outputUsd', { inputUsd: 1, outputUsd: Number.NaN }],
    ['cachedInputUsd', { inputUsd: 1, outputUsd: 1, cachedInputUsd: -0.1 }],
    ['cacheWriteUsd', { inputUsd: 1, outputUsd: 1, cacheWriteUsd: Number.POSITIVE_INFINITY }],
  ])('refuses a bad %s', (prop, props) => {
    expect(() => TokenPrice.perMillion(props)).toThrow(new RegExp(`^${prop} must be a number of at least 0`));
  });

  test('finds list prices, cached tokens included', () => {
    // https://aws.amazon.com/bedrock/pricing/
    expect(TokenPrice.lookup('aws', 'amazon.nova-lite-v1:0')._render()).toMatchObject({
      input: 0.06,
      output: 0.24,
      cachedInput: 0.015,
    });
  });

  test('takes the price of the first tokens where long prompts cost more', () => {
    expect(TokenPrice.lookup('anthropic', 'claude-sonnet-4-5')._render()).toMatchObject({ input: 3, output: 15 });
  });

  test.each(['claude-sonnet-4-5-20250929', 'claude-3-5-haiku-20241022', 'claude-opus-4-0'])(
    'finds the dated name %s',
    (model) => {
      expect(TokenPrice.lookup('anthropic', model).inputUsd).toBeGreaterThan(0);
    },
  );

  test.each([
    ['aws', 'amazon.nova-nonsense-v9:0'],
    ['no-such-provider', 'gpt-4.1'],
    ['openai', ''],
  ])('says what to do when %s has no price for "%s"', (provider, model) => {
    expect(() => TokenPrice.lookup(provider, model)).toThrow(
      /^no price is known for model ".*" of .*: pass price: TokenPrice\.perMillion/,
    );
  });

  test('does not take a newer version for the one in the table whose name it begins with', () => {
    expect(TokenPrice.lookup('anthropic', 'claude-sonnet-4').inputUsd).toBe(3);
    expect(() => TokenPrice.lookup('anthropic', 'claude-sonnet-4-99')).toThrow(/no price is known/);
  });
});
