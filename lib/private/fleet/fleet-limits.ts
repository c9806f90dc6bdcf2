import { Duration } from 'aws-cdk-lib';
import type { IMetric } from 'aws-cdk-lib/aws-cloudwatch';
import type { FleetScaling, FleetSchedule } from '../../fleet/fleet-scaling';
import { requireDuration, requireInteger, requireNumber } from '../validation';

/** An agent's scrape, and CloudWatch's minutes. */
const METRICS_SECONDS = 120;

/** A fleet's scaling with its defaults filled in. */
export interface FleetLimits {
  readonly minTasks: number;
  readonly maxTasks: number;
  readonly targetRequestsPerTask: number;
  readonly waitingThreshold: number;
  /** From a step up until the tasks that it added show in the metrics. */
  readonly settleSeconds: number;
  readonly idleMinutes: number;
  readonly sleeps: boolean;
  readonly scalesOnLoad: boolean;
  readonly wakeMetrics: readonly IMetric[];
  readonly schedules: readonly FleetSchedule[];
}

export function fleetLimits(scaling: FleetScaling, hasMetrics: boolean): FleetLimits {
  requireInteger('minTasks', scaling.minTasks, 0);
  requireInteger('maxTasks', scaling.maxTasks, 1);
  requireNumber('targetRequestsPerTask', scaling.targetRequestsPerTask, 0.1);
  requireNumber('waitingThreshold', scaling.waitingThreshold, 0.1);
  const minTasks = scaling.minTasks ?? 1;
  const maxTasks = scaling.maxTasks ?? Math.max(1, minTasks);
  requireOrder('maxTasks', maxTasks, minTasks);
  for (const [index, schedule] of (scaling.schedules ?? []).entries()) {
    requireInteger(`schedules[${index}].minTasks`, schedule.minTasks, 0);
    requireInteger(`schedules[${index}].maxTasks`, schedule.maxTasks, 0);
    requireOrder(`schedules[${index}].maxTasks`, schedule.maxTasks, schedule.minTasks);
  }
  const sleeps = [{ minTasks, maxTasks }, ...(scaling.schedules ?? [])].some(
    (limits) => limits.minTasks === 0 && limits.maxTasks > 0,
  );
  for (const prop of ['idleTimeout', 'wakeMetrics'] as const) {
    if (scaling[prop] !== undefined && !sleeps) {
      throw new Error(`${prop} needs minTasks: 0, of the fleet or of a schedule: other fleets don't sleep`);
    }
  }
  const most = Math.max(maxTasks, ...(scaling.schedules ?? []).map((schedule) => schedule.maxTasks));
  const scalesOnLoad = most > 1 && hasMetrics;
  if (!hasMetrics) {
    for (const prop of ['targetRequestsPerTask', 'waitingThreshold', 'taskStartTime'] as const) {
      if (scaling[prop] !== undefined) {
        throw new Error(
          `${prop} needs an engine whose metrics are known: pass metrics to ServingEngine.openAiCompatible`,
        );
      }
    }
  }
  const start = requireDuration(
    'taskStartTime',
    scaling.taskStartTime ?? Duration.minutes(6),
    Duration.seconds(10),
    Duration.hours(1),
  );
  const idle = requireDuration(
    'idleTimeout',
    scaling.idleTimeout ?? Duration.minutes(Math.max(15, Math.ceil(start / 60_000))),
    // The longest that a request may take: its metric comes when it ends.
    Duration.minutes(15),
    // The longest that an alarm of one-minute periods may look back.
    Duration.days(1),
  );
  if (idle < start) {
    throw new Error(
      `idleTimeout (${idle / 60_000} minutes) must not be shorter than taskStartTime (${start / 60_000} minutes): one request would wake the fleet, and find it asleep again before a task serves`,
    );
  }
  return {
    minTasks,
    maxTasks,
    targetRequestsPerTask: scaling.targetRequestsPerTask ?? 8,
    waitingThreshold: scaling.waitingThreshold ?? 5,
    settleSeconds: Math.ceil(start / 1000) + METRICS_SECONDS,
    idleMinutes: Math.ceil(idle / 60_000),
    sleeps,
    scalesOnLoad,
    wakeMetrics: scaling.wakeMetrics ?? [],
    schedules: scaling.schedules ?? [],
  };
}

/** Of all times: what capacity has to be there for. */
export function mostTasks({ maxTasks, schedules }: FleetLimits): number {
  return Math.max(maxTasks, ...schedules.map((schedule) => schedule.maxTasks));
}

/**
 * A deployment adds tasks first where the most percent, rounded down, allow one more, else it takes one away where the
 * fewest, rounded up, allow one less. Where neither is so it never ends.
 * https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentConfiguration.html
 */
export function requireRoomToReplace(limits: FleetLimits, minHealthy: number, maxHealthy: number): void {
  const most = mostTasks(limits);
  for (let tasks = Math.max(1, limits.minTasks); tasks <= most; tasks += 1) {
    const mayAdd = Math.floor((tasks * maxHealthy) / 100) > tasks;
    const mayTake = Math.ceil((tasks * minHealthy) / 100) < tasks;
    if (mayAdd || mayTake) continue;
    throw new Error(
      `minHealthyPercent (${minHealthy}) and maxHealthyPercent (${maxHealthy}) leave no room to replace a task of ${tasks}: use 100 and ${Math.ceil((tasks + 1) / tasks) * 100}, or 0 and 100 for a fixed number of GPUs`,
    );
  }
}

function requireOrder(prop: string, max: number, min: number): void {
  if (max < min) throw new Error(`${prop} (${max}) must not be less than minTasks (${min})`);
}
