import type { FallbackConfig } from '../../lib/private/serving-config.ts';
import type { BackendError } from '../backends/backend.ts';
import { Breaker, type BreakerCall } from './breaker.ts';
import { RecentLatency } from './latency.ts';
import { RetryBudget } from './retry-budget.ts';
import { isBackendsFault } from './verdict.ts';

/**
 * What processes tell each other of open breakers, so that a new one doesn't learn an outage from scratch. Both calls
 * may fail or be late: nothing waits for them longer than `SHARED_WAIT_MS`, and without them each process knows what it
 * has seen itself.
 */
export interface SharedBreakers {
  /** Of these backends the ones that are open, with the time until they are, Unix milliseconds. */
  read(backends: readonly string[]): Promise<ReadonlyMap<string, number>>;
  /** Open until then; 0: closed again. */
  write(backend: string, openUntil: number): Promise<void>;
}

const SHARED_WAIT_MS = 50;
const SHARED_REFRESH_MS = 2000;

/** What one process knows of its backends. Shared by all of its requests; holds nothing of any of them. */
export class Health {
  readonly #breakers = new Map<string, Breaker>();
  readonly #latencies = new Map<string, RecentLatency>();
  readonly #budgets = new Map<string, RetryBudget>();
  readonly #shared: SharedBreakers | undefined;
  readonly #refreshed = new Map<string, number>();
  readonly #now: () => number;

  constructor(shared?: SharedBreakers, now: () => number = Date.now) {
    this.#shared = shared;
    this.#now = now;
  }

  latencyOf(model: string): RecentLatency {
    return kept(this.#latencies, model, () => new RecentLatency());
  }

  budgetOf(model: string): RetryBudget {
    return kept(this.#budgets, model, () => new RetryBudget());
  }

  /** Takes over what other processes have found out, at most every two seconds. */
  async refresh(model: string, backends: readonly string[], { breaker: config }: FallbackConfig): Promise<void> {
    const shared = this.#shared;
    const now = this.#now();
    if (shared === undefined || config === undefined) return;
    if (Math.abs(now - (this.#refreshed.get(model) ?? 0)) < SHARED_REFRESH_MS) return;
    this.#refreshed.set(model, now);
    const reading = shared.read(backends).then(
      (open) => {
        const now = this.#now();
        for (const [backend, told] of open) {
          const breaker = this.#breakerOf(backend);
          // No longer than this process would: the other one's clock may be wrong.
          const until = Math.min(told, now + config.maxOpenMs);
          if (until > now && until > breaker.opensAgainAt) breaker.openUntil(until, now);
        }
      },
      () => undefined,
    );
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, SHARED_WAIT_MS);
    });
    await Promise.race([reading, late]);
    clearTimeout(timer);
  }

  admits(backend: string): boolean {
    return this.#breakers.get(backend)?.admits(this.#now()) ?? true;
  }

  lastFailureAt(backend: string): number {
    return this.#breakers.get(backend)?.lastFailureAt ?? 0;
  }

  begin(backend: string): BreakerCall {
    return this.#breakers.get(backend)?.begin(this.#now()) ?? {};
  }

  abandoned(backend: string, call: BreakerCall): void {
    this.#breakers.get(backend)?.abandoned(call);
  }

  /** @returns whether its breaker opened: an answer that came much too late is a failure, too */
  succeeded(backend: string, call: BreakerCall, firstTokenMs: number, { breaker: config }: FallbackConfig): boolean {
    if (config === undefined) return false;
    if (config.slowFirstTokenMs !== undefined && firstTokenMs > config.slowFirstTokenMs) {
      return this.#failed(backend, call, config);
    }
    if (this.#breakerOf(backend).succeeded(call, this.#now(), config)) this.#tell(backend, 0);
    return false;
  }

  /** @returns whether its breaker opened */
  failed(backend: string, call: BreakerCall, error: BackendError, { breaker: config }: FallbackConfig): boolean {
    if (config === undefined) return false;
    if (!isBackendsFault(error)) {
      this.abandoned(backend, call);
      return false;
    }
    const refused = error.kind === 'overloaded' || isRefusedConnection(error);
    if (refused || error.retryAfterMs !== undefined) {
      const skipMs = Math.min(error.retryAfterMs ?? config.skipMs, config.maxOpenMs);
      const now = this.#now();
      this.#breakerOf(backend).skipUntil(now + skipMs, now);
    }
    return this.#failed(backend, call, config);
  }

  #failed(backend: string, call: BreakerCall, config: NonNullable<FallbackConfig['breaker']>): boolean {
    const breaker = this.#breakerOf(backend);
    const opened = breaker.failed(call, this.#now(), config);
    if (opened) this.#tell(backend, breaker.opensAgainAt);
    return opened;
  }

  #tell(backend: string, openUntil: number): void {
    // Nobody waits for it, and a failure of the store is none of the request's.
    this.#shared?.write(backend, openUntil).catch(() => undefined);
  }

  #breakerOf(backend: string): Breaker {
    return kept(this.#breakers, backend, () => new Breaker());
  }
}

function kept<V>(map: Map<string, V>, key: string, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}

const isRefusedConnection = ({ kind, cause }: BackendError): boolean =>
  kind === 'connection' && (cause as NodeJS.ErrnoException | undefined)?.code === 'ECONNREFUSED';
