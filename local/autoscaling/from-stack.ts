import type { Resource, Stack } from '../cloudformation/stack.ts';
import { isArray, isObject, type Json, type JsonObject } from '../cloudformation/template.ts';
import { alarmOf } from '../cloudwatch/alarm.ts';
import { metricQuery, metricsQuery } from '../cloudwatch/query.ts';
import type { ScalingPolicy, StepScalingPolicy } from './policy.ts';
import type { ScalableTargetDefinition, ScheduledAction } from './scalable-target.ts';
import { parseSchedule } from './schedule.ts';

/** Seconds; Application Auto Scaling's default for ECS services. */
const COOLDOWN = 300;

/** What scales ECS services. @throws Error for what isn't stood in for */
export function scalableTargetsOf(stack: Stack): ScalableTargetDefinition[] {
  return stack
    .ofType('AWS::ApplicationAutoScaling::ScalableTarget')
    .filter((target) => target.property('ServiceNamespace') === 'ecs')
    .map((target) => ({
      resourceId: String(target.required('ResourceId')),
      minCapacity: Number(target.required('MinCapacity')),
      maxCapacity: Number(target.required('MaxCapacity')),
      policies: stack
        .ofType('AWS::ApplicationAutoScaling::ScalingPolicy')
        .filter((policy) => isOf(policy, target))
        .map((policy) => policyOf(stack, policy)),
      schedules: list(target.property('ScheduledActions')).map((action) => scheduledActionOf(action)),
    }));
}

function isOf(policy: Resource, target: Resource): boolean {
  const id = policy.property('ScalingTargetId');
  return id === undefined ? policy.property('ResourceId') === target.property('ResourceId') : id === target.ref;
}

function policyOf(stack: Stack, policy: Resource): ScalingPolicy {
  const name = nameOf(policy);
  switch (policy.property('PolicyType')) {
    case 'TargetTrackingScaling': {
      const config = object(policy.required('TargetTrackingScalingPolicyConfiguration'));
      const metric = object(config.CustomizedMetricSpecification);
      if (config.CustomizedMetricSpecification === undefined) {
        const kind = String(object(config.PredefinedMetricSpecification).PredefinedMetricType);
        throw new Error(`${policy.logicalId}: the local run has no metric ${kind} of its processes`);
      }
      return {
        type: 'target-tracking',
        name,
        query: isArray(metric.Metrics)
          ? metricsQuery(metric.Metrics, 60)
          : metricQuery(metric, String(metric.Statistic), 60),
        target: Number(config.TargetValue),
        scaleOutCooldownMs: Number(config.ScaleOutCooldown ?? COOLDOWN) * 1000,
        scaleInCooldownMs: Number(config.ScaleInCooldown ?? COOLDOWN) * 1000,
        disableScaleIn: config.DisableScaleIn === true,
      };
    }
    case 'StepScaling': {
      const config = object(policy.required('StepScalingPolicyConfiguration'));
      return {
        type: 'step',
        name,
        alarms: stack
          .ofType('AWS::CloudWatch::Alarm')
          .filter((alarm) => list(alarm.property('AlarmActions')).includes(policy.ref))
          .map(alarmOf),
        adjustment: adjustmentOf(policy, config.AdjustmentType),
        minAdjustment: Number(config.MinAdjustmentMagnitude ?? 1),
        cooldownMs: Number(config.Cooldown ?? COOLDOWN) * 1000,
        steps: list(config.StepAdjustments).map((step) => {
          const { MetricIntervalLowerBound, MetricIntervalUpperBound, ScalingAdjustment } = object(step);
          return {
            lower: Number(MetricIntervalLowerBound ?? Number.NEGATIVE_INFINITY),
            upper: Number(MetricIntervalUpperBound ?? Number.POSITIVE_INFINITY),
            by: Number(ScalingAdjustment),
          };
        }),
      };
    }
    default:
      throw new Error(
        `${policy.logicalId}: the local run doesn't know scaling policies of type ${String(policy.property('PolicyType'))}`,
      );
  }
}

/** The construct path says more than a generated name. */
function nameOf(policy: Resource): string {
  const parts = policy.path.split('/').filter((part) => part !== 'Resource');
  return parts.at(-1) ?? policy.logicalId;
}

function adjustmentOf(policy: Resource, type: Json | undefined): StepScalingPolicy['adjustment'] {
  if (type === 'ChangeInCapacity' || type === 'PercentChangeInCapacity' || type === 'ExactCapacity') return type;
  throw new Error(`${policy.logicalId}: the local run doesn't know the adjustment type ${String(type)}`);
}

function scheduledActionOf(value: Json): ScheduledAction {
  const action = object(value);
  const { MinCapacity, MaxCapacity } = object(action.ScalableTargetAction);
  return {
    name: String(action.ScheduledActionName),
    schedule: parseSchedule(String(action.Schedule), String(action.Timezone ?? 'UTC')),
    minCapacity: MinCapacity === undefined ? undefined : Number(MinCapacity),
    maxCapacity: MaxCapacity === undefined ? undefined : Number(MaxCapacity),
  };
}

function list(value: Json | undefined): readonly Json[] {
  return isArray(value) ? value : [];
}

function object(value: Json | undefined): JsonObject {
  return isObject(value) ? value : {};
}
