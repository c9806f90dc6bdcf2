import { type AlarmState, evaluateAlarm } from '../cloudwatch/alarm.ts';
import type { MetricStore } from '../cloudwatch/metric-store.ts';
import { adjusted, type ScalingPolicy, type StepScalingPolicy, stepFor, type TargetTrackingPolicy } from './policy.ts';
import type { Schedule } from './schedule.ts';

export interface ScheduledAction {
  readonly name: string;
  readonly schedule: Schedule;
  readonly minCapacity: number | undefined;
  readonly maxCapacity: number | undefined;
}

export interface ScalableTargetDefinition {
  /** `service/<cluster>/<service>` */
  readonly resourceId: string;
  readonly minCapacity: number;
  readonly maxCapacity: number;
  readonly policies: readonly ScalingPolicy[];
  readonly schedules: readonly ScheduledAction[];
}

/** What is scaled. */
export interface Capacity {
  readonly desired: number;
  setDesired(desired: number, reason: string): void;
}

interface Proposal {
  readonly policy: ScalingPolicy;
  readonly desired: number;
  readonly reason: string;
}

interface LastScaling {
  readonly time: number;
  /** Before it. */
  readonly base: number;
}

/** Alarms of target tracking, as AWS makes them: up after 3 minutes above, down after 15 below nine tenths. */
const OUT_MINUTES = 3;
const IN_MINUTES = 15;
const IN_SHARE = 0.9;
export const MINUTE_MS = 60_000;

/** Application Auto Scaling for one service: `evaluate` is to be called each minute. */
export class ScalableTarget {
  readonly definition: ScalableTargetDefinition;
  readonly #capacity: Capacity;
  readonly #store: MetricStore;
  readonly #states = new Map<string, AlarmState>();
  readonly #lastOut = new Map<string, LastScaling>();
  readonly #lastIn = new Map<string, LastScaling>();
  #min: number;
  #max: number;
  #evaluated: number | undefined;

  constructor(definition: ScalableTargetDefinition, capacity: Capacity, store: MetricStore) {
    this.definition = definition;
    this.#capacity = capacity;
    this.#store = store;
    this.#min = definition.minCapacity;
    this.#max = definition.maxCapacity;
    this.#clamp('the scalable target');
  }

  get limits(): { readonly min: number; readonly max: number } {
    return { min: this.#min, max: this.#max };
  }

  evaluate(now: number): void {
    this.#runSchedules(now);
    const proposals = [...this.#steps(now), ...this.#tracking(now)];
    // Several at once: the one with the most capacity counts.
    const [most] = proposals.sort((a, b) => b.desired - a.desired);
    if (most === undefined) return;
    const { desired: current } = this.#capacity;
    const desired = Math.min(this.#max, Math.max(this.#min, most.desired));
    if (desired === current) return;
    const { policy } = most;
    if (desired < current) this.#lastIn.set(policy.name, { time: now, base: current });
    else this.#lastOut.set(policy.name, { time: now, base: this.#base(policy, now) });
    this.#capacity.setDesired(desired, most.reason);
  }

  #steps(now: number): Proposal[] {
    const policies = this.definition.policies.filter((policy): policy is StepScalingPolicy => policy.type === 'step');
    return policies.flatMap((policy) =>
      policy.alarms.flatMap((alarm): Proposal[] => {
        const { state, value } = evaluateAlarm(alarm, this.#store, now, this.#states.get(alarm.name) ?? 'OK');
        this.#states.set(alarm.name, state);
        if (state !== 'ALARM') return [];
        // Without a value (missing data that counts as breaching) the threshold itself is the value.
        const step = stepFor(policy.steps, value === undefined ? 0 : value - alarm.threshold);
        if (step === undefined) return [];
        const { cooldownMs } = policy;
        const desired = adjusted(policy, this.#base(policy, now), step.by);
        const reason = `${alarm.name} is in alarm${value === undefined ? '' : ` at ${round(value)}`}`;
        return this.#allowed(policy, desired, now, cooldownMs, cooldownMs) ? [{ policy, desired, reason }] : [];
      }),
    );
  }

  #tracking(now: number): Proposal[] {
    const policies = this.definition.policies.filter(
      (policy): policy is TargetTrackingPolicy => policy.type === 'target-tracking',
    );
    const current = this.#capacity.desired;
    const wishes = policies.map((policy) => ({ policy, ...this.#wish(policy, now) }));
    // In only when no policy objects.
    const inward = wishes.every(({ desired }) => desired !== undefined && desired < current);
    return wishes.flatMap(({ policy, desired, value = 0 }): Proposal[] => {
      if (desired === undefined || (desired < current && !inward)) return [];
      if (!this.#allowed(policy, desired, now, policy.scaleOutCooldownMs, policy.scaleInCooldownMs)) return [];
      return [{ policy, desired, reason: `${policy.name} at ${round(value)}, target ${policy.target}` }];
    });
  }

  #wish(policy: TargetTrackingPolicy, now: number): { readonly desired?: number; readonly value?: number } {
    const values = Array.from({ length: IN_MINUTES }, (_, i) => policy.query.value(this.#store, now - i * MINUTE_MS));
    const [value] = values;
    // Nothing is done without data: from zero tasks another policy has to wake the service.
    if (value === undefined) return {};
    const over = values.slice(0, OUT_MINUTES).every((each) => each !== undefined && each > policy.target);
    const under = values.every((each) => each !== undefined && each < policy.target * IN_SHARE);
    if (!over && (!under || policy.disableScaleIn)) return {};
    const base = over ? this.#base(policy, now) : this.#capacity.desired;
    return { desired: Math.ceil((base * value) / policy.target), value };
  }

  /** During a cooldown, what it added already counts: only a larger step adds more. */
  #base(policy: ScalingPolicy, now: number): number {
    const last = this.#lastOut.get(policy.name);
    const cooldownMs = policy.type === 'step' ? policy.cooldownMs : policy.scaleOutCooldownMs;
    return last !== undefined && now < last.time + cooldownMs ? last.base : this.#capacity.desired;
  }

  #allowed(policy: ScalingPolicy, desired: number, now: number, outMs: number, inMs: number): boolean {
    const { desired: current } = this.#capacity;
    if (desired > current) return true;
    // What was just added isn't taken away for the smaller step that its base would give.
    const out = this.#lastOut.get(policy.name);
    const exact = policy.type === 'step' && policy.adjustment === 'ExactCapacity';
    if (!exact && out !== undefined && now < out.time + outMs) return false;
    const last = this.#lastIn.get(policy.name);
    return last === undefined || now >= last.time + inMs;
  }

  #runSchedules(now: number): void {
    const minute = Math.floor(now / MINUTE_MS) * MINUTE_MS;
    const first = this.#evaluated === undefined ? minute : this.#evaluated + MINUTE_MS;
    this.#evaluated = minute;
    for (let at = first; at <= minute; at += MINUTE_MS) {
      for (const action of this.definition.schedules) {
        if (!action.schedule.isDue(at)) continue;
        this.#min = action.minCapacity ?? this.#min;
        this.#max = action.maxCapacity ?? this.#max;
        this.#clamp(`the schedule ${action.name}`);
      }
    }
  }

  #clamp(reason: string): void {
    const { desired } = this.#capacity;
    const clamped = Math.min(this.#max, Math.max(this.#min, desired));
    if (clamped !== desired) this.#capacity.setDesired(clamped, reason);
  }
}

function round(value: number): string {
  return String(Math.round(value * 100) / 100);
}
