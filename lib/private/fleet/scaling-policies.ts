import { Duration, Names } from 'aws-cdk-lib';
import {
  AdjustmentType,
  CfnScalingPolicy,
  type ScalableTarget,
  StepScalingAction,
} from 'aws-cdk-lib/aws-applicationautoscaling';
import {
  Alarm,
  ComparisonOperator,
  type IMetric,
  MathExpression,
  type Metric,
  TreatMissingData,
} from 'aws-cdk-lib/aws-cloudwatch';
import { ApplicationScalingAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import type { BaseService } from 'aws-cdk-lib/aws-ecs';
import type { Construct } from 'constructs';
import type { FleetLimits } from './fleet-limits';

/** Metrics over one minute, which is what policies act upon. */
export interface ScalingMetrics {
  /** On a task, on average. */
  readonly running?: Metric;
  readonly waiting?: Metric;
  /** Requests that wanted the fleet. */
  readonly demand: Metric;
  /** Those that found no task. */
  readonly unserved: Metric;
}

const MINUTE = Duration.minutes(1);

/** Between two steps down, on top of the 15 minutes below the target that target tracking asks for. */
const SCALE_IN_SECONDS = 600;

export interface PolicyProps {
  readonly service: BaseService;
  readonly limits: FleetLimits;
  readonly metrics: ScalingMetrics;
  /** How long a new task takes until it serves. */
  readonly startTime: Duration;
}

interface Policies extends PolicyProps {
  readonly target: ScalableTarget;
}

export function addPolicies(scope: Construct, given: PolicyProps): void {
  const { limits, metrics } = given;
  const count = given.service.autoScaleTaskCount({ minCapacity: limits.minTasks, maxCapacity: limits.maxTasks });
  // The service's own interface knows no L1 policies and no steps to an exact number.
  const props: Policies = { ...given, target: count.node.findChild('Target') as ScalableTarget };
  if (limits.scalesOnLoad && metrics.running !== undefined && metrics.waiting !== undefined) {
    trackLoad(scope, props, metrics.running, metrics.waiting);
    stepOnWaiting(props, metrics.waiting);
  }
  if (limits.sleeps) {
    wake(scope, props);
    sleep(scope, props);
  }
  for (const [index, { schedule, minTasks, maxTasks, timeZone }] of limits.schedules.entries()) {
    props.target.scaleOnSchedule(`Schedule${index}`, {
      schedule,
      timeZone,
      minCapacity: minTasks,
      maxCapacity: maxTasks,
    });
  }
}

/**
 * L1, for the L2 takes no metric math.
 *
 * Requests in flight don't grow in proportion to what arrives: with one too many they pile up, with one too few a batch
 * gets faster. Therefore one step at most doubles or halves the fleet, and the next one waits until the tasks of this
 * one serve and show in the metrics (measured: bench/scaling.ts). The floor also leaves the last task to `idleTimeout`.
 */
function trackLoad(scope: Construct, { target, limits }: Policies, running: Metric, waiting: Metric): void {
  const load = 'running + waiting';
  const aim = limits.targetRequestsPerTask;
  const bounded = `IF(${load} > ${aim * 2}, ${aim * 2}, IF(${load} < ${aim / 2}, ${aim / 2}, ${load}))`;
  new CfnScalingPolicy(scope, 'LoadPolicy', {
    policyName: `${Names.uniqueResourceName(scope, { maxLength: 200 })}-load`,
    policyType: 'TargetTrackingScaling',
    scalingTargetId: target.scalableTargetId,
    targetTrackingScalingPolicyConfiguration: {
      targetValue: aim,
      scaleOutCooldown: limits.settleSeconds,
      scaleInCooldown: SCALE_IN_SECONDS,
      customizedMetricSpecification: {
        metrics: [
          {
            id: 'load',
            label: 'Requests on a task',
            expression: bounded,
            returnData: true,
          },
          { id: 'running', metricStat: statOf(running), returnData: false },
          { id: 'waiting', metricStat: statOf(waiting), returnData: false },
        ],
      },
    },
  });
}

function statOf(metric: Metric) {
  return {
    metric: {
      namespace: metric.namespace,
      metricName: metric.metricName,
      dimensions: Object.entries(metric.dimensions ?? {}).map(([name, value]) => ({ name, value: String(value) })),
    },
    stat: metric.statistic,
  };
}

/** Load is averaged over minutes; a queue that is there already can't wait for that. */
function stepOnWaiting({ target, limits }: Policies, waiting: Metric): void {
  target.scaleOnMetric('Waiting', {
    metric: waiting,
    adjustmentType: AdjustmentType.CHANGE_IN_CAPACITY,
    cooldown: Duration.seconds(limits.settleSeconds),
    evaluationPeriods: 1,
    scalingSteps: [
      { lower: limits.waitingThreshold, change: 1 },
      { lower: limits.waitingThreshold * 4, change: 2 },
    ],
  });
}

/** From zero tasks there is no metric of an engine: the gateway says that somebody asks. */
function wake(scope: Construct, { target, limits, metrics, startTime }: Policies): void {
  const action = new StepScalingAction(scope, 'WakePolicy', {
    scalingTarget: target,
    adjustmentType: AdjustmentType.CHANGE_IN_CAPACITY,
    // One task, and no second one while that one starts.
    cooldown: startTime,
  });
  action.addAdjustment({ adjustment: 1, lowerBound: 0 });
  for (const [index, metric] of [metrics.unserved, ...limits.wakeMetrics].entries()) {
    alarm(scope, index === 0 ? 'WakeAlarm' : `WakeAlarm${index}`, {
      metric,
      description: 'Somebody asks for a fleet that has no task',
      comparison: ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      threshold: 1,
      evaluationPeriods: 1,
      missing: TreatMissingData.NOT_BREACHING,
    }).addAlarmAction(new ApplicationScalingAction(action));
  }
}

function sleep(scope: Construct, { target, limits, metrics }: Policies): void {
  const action = new StepScalingAction(scope, 'SleepPolicy', {
    scalingTarget: target,
    adjustmentType: AdjustmentType.EXACT_CAPACITY,
    cooldown: MINUTE,
  });
  action.addAdjustment({ adjustment: 0, upperBound: 0 });
  alarm(scope, 'SleepAlarm', {
    metric: limits.wakeMetrics.length === 0 ? metrics.demand : sumOf([metrics.demand, ...limits.wakeMetrics]),
    description: 'Nobody has asked for the fleet',
    comparison: ComparisonOperator.LESS_THAN_OR_EQUAL_TO_THRESHOLD,
    threshold: 0,
    evaluationPeriods: limits.idleMinutes,
    // A metric of requests has no values while there are none.
    missing: TreatMissingData.BREACHING,
  }).addAlarmAction(new ApplicationScalingAction(action));
}

/** What wakes a fleet also keeps it awake. */
function sumOf(metrics: readonly IMetric[]): MathExpression {
  const ids = metrics.map((_, index) => `m${index}`);
  return new MathExpression({
    expression: ids.map((id) => `FILL(${id}, 0)`).join(' + '),
    usingMetrics: Object.fromEntries(metrics.map((metric, index) => [`m${index}`, metric])),
    // The default would make the metrics' own periods five minutes.
    period: MINUTE,
  });
}

interface AlarmSettings {
  readonly metric: IMetric;
  readonly description: string;
  readonly comparison: ComparisonOperator;
  readonly threshold: number;
  readonly evaluationPeriods: number;
  readonly missing: TreatMissingData;
}

function alarm(scope: Construct, id: string, settings: AlarmSettings): Alarm {
  return new Alarm(scope, id, {
    metric: settings.metric,
    alarmDescription: settings.description,
    comparisonOperator: settings.comparison,
    threshold: settings.threshold,
    evaluationPeriods: settings.evaluationPeriods,
    treatMissingData: settings.missing,
  });
}
