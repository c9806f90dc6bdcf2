import type { AlarmDefinition } from '../cloudwatch/alarm.ts';
import type { MetricQuery } from '../cloudwatch/query.ts';

/** A scaling policy of Application Auto Scaling, with what sets it off. */
export type ScalingPolicy = TargetTrackingPolicy | StepScalingPolicy;

export interface TargetTrackingPolicy {
  readonly type: 'target-tracking';
  readonly name: string;
  readonly query: MetricQuery;
  readonly target: number;
  readonly scaleOutCooldownMs: number;
  readonly scaleInCooldownMs: number;
  readonly disableScaleIn: boolean;
}

export interface StepScalingPolicy {
  readonly type: 'step';
  readonly name: string;
  readonly alarms: readonly AlarmDefinition[];
  readonly adjustment: 'ChangeInCapacity' | 'PercentChangeInCapacity' | 'ExactCapacity';
  readonly minAdjustment: number;
  readonly cooldownMs: number;
  readonly steps: readonly Step[];
}

/** Bounds are relative to the alarm's threshold. */
export interface Step {
  readonly lower: number;
  readonly upper: number;
  readonly by: number;
}

/** The step for a value: bounds above the threshold hold from their lower end on, those below it to their upper one. */
export function stepFor(steps: readonly Step[], delta: number): Step | undefined {
  return steps.find(({ lower, upper }) =>
    delta >= 0 && lower >= 0 ? delta >= lower && delta < upper : delta > lower && delta <= upper,
  );
}

export function adjusted(policy: StepScalingPolicy, base: number, by: number): number {
  switch (policy.adjustment) {
    case 'ExactCapacity':
      return by;
    case 'ChangeInCapacity':
      return base + by;
    case 'PercentChangeInCapacity': {
      // Away from nothing: 1.3 more are 1, 0.3 more are 1 as well.
      const change = (base * by) / 100;
      const whole = Math.abs(change) < 1 ? Math.sign(change) : Math.trunc(change);
      return base + Math.sign(whole) * Math.max(Math.abs(whole), policy.minAdjustment);
    }
  }
}
