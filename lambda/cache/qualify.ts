import type { CachePolicyConfig } from '../contract/config.ts';
import type { ChatCompletionRequest } from '../contract/openai.ts';

/** What a request's `Cache-Control` asks for. */
export interface Directives {
  /** Answer anew, and keep the new answer. */
  readonly noCache: boolean;
  /** Neither answer from the cache nor keep the answer. */
  readonly noStore: boolean;
  /** Nothing older than so many milliseconds. */
  readonly maxAgeMs: number;
}

/** @see https://www.rfc-editor.org/rfc/rfc9111#section-5.2.1 */
export function directivesOf(cacheControl: string | undefined): Directives {
  const named = new Map(
    (cacheControl ?? '').split(',').map((part) => {
      const [name = '', value = ''] = part.split('=');
      return [name.trim().toLowerCase(), value.trim().replaceAll('"', '')] as const;
    }),
  );
  const maxAge = named.get('max-age');
  // An age that is none asks for something fresh.
  const seconds = maxAge === undefined ? Number.POSITIVE_INFINITY : /^\d+$/.test(maxAge) ? Number(maxAge) : 0;
  return {
    noCache: named.has('no-cache') || seconds === 0,
    noStore: named.has('no-store'),
    maxAgeMs: seconds * 1000,
  };
}

/** Whether the policy lets this request be answered by an earlier answer. */
export function qualifies(request: ChatCompletionRequest, policy: CachePolicyConfig): boolean {
  if (!policy.enabled) return false;
  // A provider is to keep the answer, or to look something up: more is asked for than an answer.
  if (request.store === true || request.web_search_options != null) return false;
  if (!policy.tools && (request.tools?.length ?? 0) > 0) return false;
  if (policy.requireSeed && request.seed == null) return false;
  // The protocol's default, whatever a backend takes for it.
  const temperature = request.temperature ?? 1;
  if (policy.maxTemperature !== undefined && temperature > policy.maxTemperature && request.seed == null) return false;
  return true;
}
