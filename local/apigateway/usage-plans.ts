import type { ApiKeyDefinition, RestApiDefinition, Throttle, UsagePlanDefinition } from './definition.ts';
import { TokenBucket } from './token-bucket.ts';

export type UsageRefusal = 'INVALID_API_KEY' | 'THROTTLED' | 'QUOTA_EXCEEDED';

interface Meter {
  /** First moment of the current period, Unix milliseconds. */
  period: number;
  used: number;
}

/** Keys, the plans that they are in, and what was used of them since the start: usage doesn't outlive a run. */
export class UsagePlans {
  readonly #keys: ReadonlyMap<string, ApiKeyDefinition>;
  readonly #planOfKey = new Map<string, UsagePlanDefinition>();
  readonly #buckets = new Map<string, TokenBucket>();
  readonly #meters = new Map<string, Meter>();
  readonly #now: () => number;

  constructor(api: Pick<RestApiDefinition, 'apiKeys' | 'usagePlans'>, now: () => number = Date.now) {
    this.#now = now;
    this.#keys = new Map(api.apiKeys.map((key) => [key.value, key]));
    for (const plan of api.usagePlans) {
      for (const keyId of plan.keyIds) this.#planOfKey.set(keyId, plan);
    }
  }

  /** The key of a value, if it is enabled and in a plan of the stage. */
  keyOf(value: string | undefined): ApiKeyDefinition | undefined {
    const key = value === undefined ? undefined : this.#keys.get(value);
    return key?.enabled && this.#planOfKey.has(key.id) ? key : undefined;
  }

  /** Counts one request of a key. A method's own throttle in the plan is used in place of the plan's. */
  use(key: ApiKeyDefinition, resourcePath: string, httpMethod: string): UsageRefusal | undefined {
    const plan = this.#planOfKey.get(key.id);
    if (plan === undefined) return 'INVALID_API_KEY';
    const method = `${resourcePath}/${httpMethod}`;
    const ofMethod = plan.methodThrottles[method];
    const throttle = ofMethod ?? plan.throttle;
    const bucket = `${plan.id} ${key.id} ${ofMethod === undefined ? '' : method}`;
    if (throttle !== undefined && !this.#bucket(bucket, throttle).take()) return 'THROTTLED';
    return plan.quota === undefined || this.#count(plan.id, key.id, plan.quota) ? undefined : 'QUOTA_EXCEEDED';
  }

  #bucket(id: string, throttle: Throttle): TokenBucket {
    const bucket = this.#buckets.get(id) ?? new TokenBucket(throttle);
    this.#buckets.set(id, bucket);
    return bucket;
  }

  #count(planId: string, keyId: string, quota: NonNullable<UsagePlanDefinition['quota']>): boolean {
    const period = periodStart(this.#now(), quota.period);
    const id = `${planId} ${keyId}`;
    const known = this.#meters.get(id);
    // The offset is how much of the first period counts as used.
    const meter = known?.period === period ? known : { period, used: known === undefined ? quota.offset : 0 };
    this.#meters.set(id, meter);
    if (meter.used >= quota.limit) return false;
    meter.used++;
    return true;
  }
}

/** UTC; a week begins on Sunday. */
export function periodStart(now: number, period: 'DAY' | 'WEEK' | 'MONTH'): number {
  const date = new Date(now);
  const day = period === 'MONTH' ? 1 : date.getUTCDate() - (period === 'WEEK' ? date.getUTCDay() : 0);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), day);
}
