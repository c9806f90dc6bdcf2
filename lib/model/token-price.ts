import { lookUpPrice, type PriceProvider } from '../private/price-lookup';
import type { PriceConfig, TokenPricesConfig } from '../private/serving-config';
import { requireInteger, requireNumber, requireUnique } from '../private/validation';

/** What a million tokens of a request with a long prompt cost, its answer's included. */
export interface LongContextPrice {
  /** A prompt with more tokens has this price. */
  readonly aboveInputTokens: number;

  /** USD per million input tokens. */
  readonly inputUsd: number;

  /** USD per million output tokens. */
  readonly outputUsd: number;

  /**
   * USD per million input tokens that were read from the provider's prompt cache.
   *
   * @default - the price of other input tokens
   */
  readonly cachedInputUsd?: number;

  /**
   * USD per million input tokens that were written to the provider's prompt cache.
   *
   * @default - the price of other input tokens
   */
  readonly cacheWriteUsd?: number;
}

/** What a million tokens cost. */
export interface TokenPriceProps {
  /** USD per million input tokens. */
  readonly inputUsd: number;

  /** USD per million output tokens. */
  readonly outputUsd: number;

  /**
   * USD per million input tokens that were read from the provider's prompt cache.
   *
   * @default - the price of other input tokens
   */
  readonly cachedInputUsd?: number;

  /**
   * USD per million input tokens that were written to the provider's prompt cache.
   *
   * @default - the price of other input tokens
   */
  readonly cacheWriteUsd?: number;

  /**
   * Prices of requests with long prompts, where the provider has them.
   *
   * @default - the same, whatever the prompt's length
   */
  readonly longContext?: LongContextPrice[];
}

/**
 * The price of a backend's tokens: what the usage of each answer is multiplied with.
 *
 * Backends of known providers find theirs by themselves; set one where your contract differs, or where none is known.
 */
export class TokenPrice {
  /** A price in USD per million tokens. */
  public static perMillion(props: TokenPriceProps): TokenPrice {
    for (const prices of [props, ...(props.longContext ?? [])]) requirePrices(prices);
    const lengths = (props.longContext ?? []).map(({ aboveInputTokens }) => aboveInputTokens);
    for (const length of lengths) requireInteger('aboveInputTokens', length, 1);
    requireUnique('longContext', lengths.map(String));
    return new TokenPrice(
      props.inputUsd,
      props.outputUsd,
      props.cachedInputUsd ?? props.inputUsd,
      props.cacheWriteUsd ?? props.inputUsd,
      [...(props.longContext ?? [])].sort((a, b) => a.aboveInputTokens - b.aboveInputTokens),
    );
  }

  /**
   * The list price, from the price table that comes with this package (`@pydantic/genai-prices`).
   *
   * Prices of long prompts included, where the provider charges more for them.
   *
   * @param provider the table's name of the provider: `aws` (Bedrock), `openai`, `anthropic`, `google`, `mistral`, …
   * @param model the provider's name of the model
   * @throws when the table has no price for it
   */
  public static lookup(provider: string, model: string): TokenPrice {
    return TokenPrice._lookup({ id: provider }, model);
  }

  /** Costs nothing: a fixed reply, a model on your own machine. */
  public static free(): TokenPrice {
    return new TokenPrice(0, 0, 0, 0, []);
  }

  /** @internal */
  public static _lookup(provider: PriceProvider, model: string): TokenPrice {
    const price = lookUpPrice(provider, model);
    if (price === undefined) {
      throw new Error(
        `no price is known for model "${model}" of ${provider.id ?? provider.url}: pass price: TokenPrice.perMillion({ inputUsd, outputUsd }), or TokenPrice.free() if nobody is billed for it`,
      );
    }
    return TokenPrice.perMillion({
      ...propsOf(price),
      longContext: price.longContext?.map((long) => ({ ...propsOf(long), aboveInputTokens: long.aboveInputTokens })),
    });
  }

  private constructor(
    /** USD per million input tokens. */
    public readonly inputUsd: number,
    /** USD per million output tokens. */
    public readonly outputUsd: number,
    /** USD per million input tokens read from the prompt cache. */
    public readonly cachedInputUsd: number,
    /** USD per million input tokens written to the prompt cache. */
    public readonly cacheWriteUsd: number,
    /** Prices of requests with long prompts, by rising length. */
    public readonly longContext: LongContextPrice[],
  ) {}

  /** @internal */
  public _render(): PriceConfig {
    return {
      ...configOf(this),
      ...(this.longContext.length > 0 && {
        longContext: this.longContext.map((long) => ({ ...configOf(long), aboveInputTokens: long.aboveInputTokens })),
      }),
    };
  }
}

type Prices = Omit<LongContextPrice, 'aboveInputTokens'>;

function requirePrices(prices: Prices): void {
  for (const prop of ['inputUsd', 'outputUsd', 'cachedInputUsd', 'cacheWriteUsd'] as const) {
    requireNumber(prop, prices[prop], 0);
  }
}

const propsOf = (prices: TokenPricesConfig): Prices => ({
  inputUsd: prices.input,
  outputUsd: prices.output,
  cachedInputUsd: prices.cachedInput,
  cacheWriteUsd: prices.cacheWrite,
});

const configOf = (prices: Prices): TokenPricesConfig => ({
  input: prices.inputUsd,
  output: prices.outputUsd,
  cachedInput: prices.cachedInputUsd ?? prices.inputUsd,
  cacheWrite: prices.cacheWriteUsd ?? prices.inputUsd,
});
