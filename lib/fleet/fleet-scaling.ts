import type { Duration, TimeZone } from 'aws-cdk-lib';
import type { Schedule } from 'aws-cdk-lib/aws-applicationautoscaling';
import type { IMetric } from 'aws-cdk-lib/aws-cloudwatch';

/** Other limits for a fleet's size from a time on, until the next schedule. */
export interface FleetSchedule {
  /** When: `Schedule.cron({ hour: '20', minute: '0' })`. */
  readonly schedule: Schedule;

  /** Fewest tasks from then on. With 0 (and `maxTasks` above) the fleet sleeps and wakes as one with `minTasks: 0` does. */
  readonly minTasks: number;

  /** Most tasks from then on. */
  readonly maxTasks: number;

  /**
   * The time zone of the schedule.
   *
   * @default - UTC
   */
  readonly timeZone?: TimeZone;
}

/** How many tasks a fleet has. */
export interface FleetScaling {
  /**
   * Fewest tasks. With 0 the fleet sleeps after `idleTimeout` and wakes when a request finds it asleep, which takes as
   * long as an instance's start and the weights' load.
   *
   * @default 1
   */
  readonly minTasks?: number;

  /**
   * Most tasks: a ceiling for the bill.
   *
   * @default - `minTasks`, at least 1
   */
  readonly maxTasks?: number;

  /**
   * Requests on a task, running and waiting together, that the fleet aims at. More tasks start above it, and stop well
   * below it. A lower number costs more and leaves more room for bursts.
   *
   * @default 8
   */
  readonly targetRequestsPerTask?: number;

  /**
   * Requests that wait on a task, on average, from which on tasks are added at once; two from four times that number.
   *
   * @default 5
   */
  readonly waitingThreshold?: number;

  /**
   * How long a new task usually takes until it serves: instance, image and weights. Tasks that were added are given this
   * time before more are, so that a load isn't answered twice.
   *
   * @default Duration.minutes(6)
   */
  readonly taskStartTime?: Duration;

  /**
   * How long nobody may have asked before a fleet with `minTasks: 0` sleeps; at least 15 minutes, the longest that a
   * request may take, and no shorter than `taskStartTime`.
   *
   * @default Duration.minutes(15) - or `taskStartTime` if that is longer
   */
  readonly idleTimeout?: Duration;

  /**
   * Further metrics that wake a fleet with `minTasks: 0` when they are 1 or more, such as a job queue's depth.
   *
   * @default - the requests that found it asleep
   */
  readonly wakeMetrics?: IMetric[];

  /**
   * Other limits at certain times: nights, weekends.
   *
   * @default - none
   */
  readonly schedules?: FleetSchedule[];
}
