import { setTimeout as wait } from 'node:timers/promises';
import type { Clock } from '../clock.ts';
import type { TargetGroupDefinition } from './definition.ts';

/** Real milliseconds between health checks: however fast the clock, checks don't take the machine from requests. */
const LEAST_INTERVAL_MS = 100;

export type TargetState = 'initial' | 'healthy' | 'unhealthy' | 'draining';

/** One registered address. */
export class Target {
  readonly id: string;
  readonly port: number;
  state: TargetState = 'initial';
  /** Requests that it answers just now. */
  outstanding = 0;
  passed = 0;
  failed = 0;
  stopChecks: () => void = () => {};
  #whenIdle: Array<() => void> = [];

  constructor(id: string, port: number) {
    this.id = id;
    this.port = port;
  }

  /** Counts a request until the function that is returned is called. */
  begin(): () => void {
    this.outstanding += 1;
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      this.outstanding -= 1;
      if (this.outstanding === 0) for (const resolve of this.#whenIdle.splice(0)) resolve();
    };
  }

  idle(): Promise<void> {
    if (this.outstanding === 0) return Promise.resolve();
    return new Promise((resolve) => this.#whenIdle.push(resolve));
  }
}

export interface TargetGroupOptions {
  readonly definition: TargetGroupDefinition;
  readonly clock: Clock;
}

/** Targets with their health, and the choice among them. */
export class TargetGroup {
  readonly definition: TargetGroupDefinition;
  readonly #options: TargetGroupOptions;
  readonly #targets = new Map<string, Target>();
  readonly #listeners: Array<(target: Target) => void> = [];
  #turn = 0;

  constructor(options: TargetGroupOptions) {
    this.definition = options.definition;
    this.#options = options;
  }

  get targets(): Target[] {
    return [...this.#targets.values()];
  }

  target(id: string): Target | undefined {
    return this.#targets.get(id);
  }

  /** Calls back when a target's state changes. */
  onChange(listener: (target: Target) => void): void {
    this.#listeners.push(listener);
  }

  /** @param port on 127.0.0.1 */
  register(id: string, port: number): Target {
    const target = new Target(id, port);
    this.#targets.set(id, target);
    const check = (): Promise<void> => this.#check(target);
    const { clock } = this.#options;
    const interval = Math.max(this.definition.healthCheck.intervalMs, LEAST_INTERVAL_MS * clock.speed);
    target.stopChecks = clock.every(interval, check);
    void check();
    return target;
  }

  /** Gets no new requests; resolves when the last one has ended, or the deregistration delay has. */
  async deregister(id: string): Promise<void> {
    const target = this.#targets.get(id);
    if (target === undefined) return;
    target.stopChecks();
    this.#set(target, 'draining');
    const delay = new AbortController();
    await Promise.race([
      target.idle(),
      wait(this.definition.deregistrationDelayMs, undefined, { signal: delay.signal, ref: false }).catch(() => {}),
    ]);
    delay.abort();
    this.#targets.delete(id);
  }

  /** `undefined`: nothing that could answer. */
  choose(): Target | undefined {
    const of = (state: TargetState): Target[] => this.targets.filter((target) => target.state === state);
    const healthy = of('healthy');
    // When all that were checked are unhealthy, it fails open.
    const candidates = healthy.length > 0 || of('initial').length > 0 ? healthy : of('unhealthy');
    if (candidates.length === 0) return undefined;
    this.#turn += 1;
    switch (this.definition.algorithm) {
      case 'least_outstanding_requests': {
        const least = Math.min(...candidates.map((target) => target.outstanding));
        const equal = candidates.filter((target) => target.outstanding === least);
        return equal[this.#turn % equal.length];
      }
      case 'round_robin':
        return candidates[this.#turn % candidates.length];
      case 'weighted_random':
        return candidates[Math.floor(Math.random() * candidates.length)];
    }
  }

  close(): void {
    for (const target of this.targets) target.stopChecks();
    this.#targets.clear();
  }

  async #check(target: Target): Promise<void> {
    const { path, timeoutMs, healthyThreshold, unhealthyThreshold, isHealthy } = this.definition.healthCheck;
    let ok = false;
    try {
      const response = await fetch(`http://127.0.0.1:${target.port}${path}`, {
        headers: { 'user-agent': 'ELB-HealthChecker/2.0' },
        redirect: 'manual',
        signal: AbortSignal.timeout(timeoutMs),
      });
      await response.body?.cancel();
      ok = isHealthy(response.status);
    } catch {
      // Refused, late or broken: all the same.
    }
    if (target.state === 'draining') return;
    target.passed = ok ? target.passed + 1 : 0;
    target.failed = ok ? 0 : target.failed + 1;
    // A new target needs one success, not as many as one that comes back.
    if (ok && (target.state === 'initial' || target.passed >= healthyThreshold)) this.#set(target, 'healthy');
    if (!ok && target.failed >= unhealthyThreshold) this.#set(target, 'unhealthy');
  }

  #set(target: Target, state: TargetState): void {
    if (target.state === state) return;
    target.state = state;
    for (const listener of this.#listeners) listener(target);
  }
}
