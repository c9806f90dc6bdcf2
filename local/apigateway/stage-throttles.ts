import type { MethodThrottle } from './definition.ts';
import { TokenBucket } from './token-bucket.ts';

/** The stage's throttles. Each method has a bucket of its own; its own settings come before those for all methods. */
export class StageThrottles {
  readonly #settings: readonly MethodThrottle[];
  readonly #buckets = new Map<string, TokenBucket | undefined>();

  constructor(settings: readonly MethodThrottle[]) {
    this.#settings = settings;
  }

  take(resourcePath: string, httpMethod: string): boolean {
    const id = `${resourcePath}/${httpMethod}`;
    if (!this.#buckets.has(id)) this.#buckets.set(id, this.#bucketFor(resourcePath, httpMethod));
    return this.#buckets.get(id)?.take() ?? true;
  }

  #bucketFor(resourcePath: string, httpMethod: string): TokenBucket | undefined {
    const fits = (own: string, value: string): boolean => own === '*' || own === value;
    const [setting] = this.#settings
      .filter((item) => fits(item.resourcePath, resourcePath) && fits(item.httpMethod, httpMethod))
      .sort((a, b) => wildcards(a) - wildcards(b));
    return setting === undefined ? undefined : new TokenBucket(setting.throttle);
  }
}

function wildcards(setting: MethodThrottle): number {
  return (setting.resourcePath === '*' ? 2 : 0) + (setting.httpMethod === '*' ? 1 : 0);
}
