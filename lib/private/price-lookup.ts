import { calcPrice, type ModelPrice } from '@pydantic/genai-prices';
import type { PriceConfig } from './serving-config';

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
  const input = baseOf(found.model_price, 'input_mtok');
  const output = baseOf(found.model_price, 'output_mtok');
  if (input === undefined || output === undefined) return undefined;
  return {
    input,
    output,
    cachedInput: baseOf(found.model_price, 'cache_read_mtok') ?? input,
    cacheWrite: baseOf(found.model_price, 'cache_write_mtok') ?? input,
  };
}

function baseOf(price: ModelPrice, key: string): number | undefined {
  const value = price[key];
  return typeof value === 'object' ? value.base : value;
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
