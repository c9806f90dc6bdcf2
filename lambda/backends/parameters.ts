import type { ChatCompletionRequest } from '../contract/openai.ts';

/**
 * They say who asks, and this path has read them: a backend that doesn't take them gets the request without them, while
 * any other parameter that it doesn't take keeps the request away from it.
 */
export const ATTRIBUTION_PARAMETERS: readonly string[] = ['user', 'safety_identifier', 'metadata', 'store'];

/**
 * Whether the request asks for another service tier than the account's own: others have other prices, which are the
 * deployment's to choose, and of which the backend's price knows nothing.
 */
export const asksForTier = ({ service_tier: tier }: ChatCompletionRequest): boolean =>
  tier != null && tier !== 'auto' && tier !== 'default';

/** Values that ask for nothing: they are what happens without the parameter. */
const DEFAULTS: Readonly<Record<string, unknown>> = {
  n: 1,
  stream: false,
  logprobs: false,
  top_logprobs: 0,
  parallel_tool_calls: true,
  frequency_penalty: 0,
  presence_penalty: 0,
  service_tier: 'auto',
};

/** Whether a request asks for something with this parameter. */
export function asksFor(request: ChatCompletionRequest, name: string): boolean {
  const value = Object.hasOwn(request, name) ? request[name] : undefined;
  if (value === undefined || value === null || value === DEFAULTS[name]) return false;
  if (Array.isArray(value)) return value.length > 0;
  if (name === 'tool_choice') return asksFor(request, 'tools');
  if (name === 'response_format') return request.response_format?.type !== 'text';
  if (typeof value === 'object') return Object.keys(value).length > 0;
  return true;
}
