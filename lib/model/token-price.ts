import { lookUpPrice, type PriceProvider } from '../private/price-lookup';
import type { PriceConfig } from '../private/serving-config';
import { requireNumber } from '../private/validation';

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
}

/**
 * The price of a backend's tokens: what the usage of each answer is multiplied with.
 *
 * Backends of known providers find theirs by themselves; set one where your contract differs, or where none is known.
 */
export class TokenPrice {
  /** A price in USD per million tokens. */
  public static perMillion(props: TokenPriceProps): TokenPrice {
    requireNumber('inputUsd', props.inputUsd, 0);
    requireNumber('outputUsd', props.outputUsd, 0);
    requireNumber('cachedInputUsd', props.cachedInputUsd, 0);
    requireNumber('cacheWriteUsd', props.cacheWriteUsd, 0);
    return new TokenPrice(
      props.inputUsd,
      props.outputUsd,
      props.cachedInputUsd ?? props.inputUsd,
      props.cacheWriteUsd ?? props.inputUsd,
    );
  }

  /**
   * The list price, from the price table that comes with this package (`@pydantic/genai-prices`).
   *
   * Where a provider charges more for very long prompts, this is the price of the shorter ones.
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
    return new TokenPrice(0, 0, 0, 0);
  }

  /** @internal */
  public static _lookup(provider: PriceProvider, model: string): TokenPrice {
    const price = lookUpPrice(provider, model);
    if (price === undefined) {
      throw new Error(
        `no price is known for model "${model}" of ${provider.id ?? provider.url}: pass price: TokenPrice.perMillion({ inputUsd, outputUsd }), or TokenPrice.free() if nobody is billed for it`,
      );
    }
    return new TokenPrice(price.input, price.output, price.cachedInput, price.cacheWrite);
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
  ) {}

  /** @internal */
  public _render(): PriceConfig {
    return {
      input: this.inputUsd,
      output: this.outputUsd,
      cachedInput: this.cachedInputUsd,
      cacheWrite: this.cacheWriteUsd,
    };
  }
}
