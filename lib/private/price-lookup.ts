import { calcPrice, type ModelPrice } from '@pydantic/genai-prices';
import type { PriceConfig, TokenPricesConfig } from './serving-config';

export interface PriceProvider {
  /** The table's name of the provider. */
  readonly id?: string;
  /** Or the URL of its API. */
  readonly url?: string;
}

/** The list price, or `undefined` when the table has none. */
export function lookUpPrice(provider: PriceProvider, model: string): PriceConfig | undefined {
  // The usage is only there to have the price found: a token of each kind.
  const found = calcPrice({ input_tokens: 1, output_tokens: 1 }, model, {
    providerId: provider.id,
    providerApiUrl: provider.url,
  });
  if (found === null || isOtherVersion(model, found.model.id)) return undefined;
  const base = pricesFrom(found.model_price, 0);
  if (base === undefined) return undefined;
  const longContext = startsOf(found.model_price).flatMap((aboveInputTokens) => {
    const prices = pricesFrom(found.model_price, aboveInputTokens);
    return prices === undefined ? [] : { ...prices, aboveInputTokens };
  });
  return { ...base, ...(longContext.length > 0 && { longContext }) };
}

/** The price of a model that has no output; only of this very one, for the table matches names by their beginning. */
export function lookUpInputPrice(provider: PriceProvider, model: string): number | undefined {
  const found = calcPrice({ input_tokens: 1 }, model, { providerId: provider.id, providerApiUrl: provider.url });
  if (found === null || found.model.id !== model) return undefined;
  const price = found.model_price.input_mtok;
  return typeof price === 'object' ? price.base : price;
}

/** The lengths beyond which prompts have another price. */
function startsOf(price: ModelPrice): number[] {
  const starts = Object.values(price).flatMap((value) =>
    typeof value === 'object' ? value.tiers.map(({ start }) => start) : [],
  );
  return [...new Set(starts)].sort((a, b) => a - b);
}

/** Of a prompt that is longer than `start`. */
function pricesFrom(price: ModelPrice, start: number): TokenPricesConfig | undefined {
  const of = (key: string): number | undefined => {
    const value = price[key];
    if (typeof value !== 'object') return value;
    const tiers = value.tiers.filter((tier) => tier.start <= start).sort((a, b) => a.start - b.start);
    return start === 0 ? value.base : (tiers.at(-1)?.price ?? value.base);
  };
  const [input, output] = [of('input_mtok'), of('output_mtok')];
  if (input === undefined || output === undefined) return undefined;
  return {
    ...{ input, output },
    cachedInput: of('cache_read_mtok') ?? input,
    cacheWrite: of('cache_write_mtok') ?? input,
  };
}

/**
 * The table matches some names by their beginning, so a model that is newer than the table may be taken for its
 * predecessor (`claude-sonnet-5-5` for `claude-sonnet-5`). A wrong price is worse than none.
 */
function isOtherVersion(asked: string, found: string): boolean {
  const askedName = bareName(asked);
  const foundName = bareName(found);
  if (!askedName.startsWith(foundName)) return false;
  // Dates and revisions have three digits or more; `-0` is the provider's own alias of the version without it.
  return /^[-.][1-9]\d?(\D|$)/.test(askedName.slice(foundName.length));
}

/** `us.anthropic.claude-sonnet-5-v1:0` → `claude-sonnet-5` */
function bareName(model: string): string {
  return model
    .replace(/^.*\//, '')
    .replace(/^([a-z][a-z-]*\.)+/, '')
    .replace(/(-v\d+)?(:\d+)?$/, '');
}
