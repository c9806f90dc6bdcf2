import { Duration, Lazy, Stack } from 'aws-cdk-lib';
import { CfnDashboard, Column, type IAlarm, type IWidget } from 'aws-cdk-lib/aws-cloudwatch';
import { Construct } from 'constructs';
import type { CostAlarms } from '../cost/cost-alarms';
import type { CostMeter } from '../cost/cost-meter';
import type { Gateway } from '../gateway/gateway';
import type { JobQueue } from '../jobs/job-queue';
import { alarmRows } from '../private/dashboard/alarms';
import { cacheRows } from '../private/dashboard/cache';
import { errorRows } from '../private/dashboard/errors';
import { fleetRows } from '../private/dashboard/fleets';
import { jobRows } from '../private/dashboard/jobs';
import { latencyRows } from '../private/dashboard/latency';
import { moneyRows } from '../private/dashboard/money';
import { requireDuration, requireNumber } from '../private/validation';

/** Properties of a dashboard. */
export interface ServingDashboardProps {
  /** What is shown: the gateway with its models, tiers, features and fleets, also those that are added later. */
  readonly gateway: Gateway;

  /**
   * The cost alarms: their states are shown, and their budget's course.
   *
   * @default - none
   */
  readonly costAlarms?: CostAlarms;

  /**
   * The gateway's queue of jobs: what waits there and what came of it, and its alarms' states.
   *
   * @default - none
   */
  readonly jobs?: JobQueue;

  /**
   * Alarms whose states are shown besides.
   *
   * @default - none
   */
  readonly alarms?: IAlarm[];

  /**
   * What adds up the month and meters fleets.
   *
   * @default - that of `costAlarms`; without one, the last 30 days stand in for the month
   */
  readonly meter?: CostMeter;

  /**
   * The month's budget that its spending is shown against.
   *
   * @default - that of `costAlarms`
   */
  readonly monthlyBudgetUsd?: number;

  /**
   * The dashboard's name in CloudWatch: letters, digits, `-` and `_`.
   *
   * @default - made by CloudFormation
   */
  readonly dashboardName?: string;

  /**
   * The time that is shown at first, up to now.
   *
   * @default Duration.hours(12)
   */
  readonly defaultInterval?: Duration;
}

/**
 * A CloudWatch dashboard: money first, then latency, errors and failover, and the cache, the fleets and the jobs where
 * there are any. The local run shows the same one.
 */
export class ServingDashboard extends Construct {
  /** The dashboard. */
  public readonly dashboard: CfnDashboard;

  private readonly own: IWidget[] = [];

  constructor(scope: Construct, id: string, props: ServingDashboardProps) {
    super(scope, id);
    const interval = props.defaultInterval ?? Duration.hours(12);
    requireDuration('defaultInterval', interval, Duration.minutes(5), Duration.days(90));
    requireNumber('monthlyBudgetUsd', props.monthlyBudgetUsd, 0.0001);
    if (props.dashboardName !== undefined && !/^[A-Za-z0-9_-]{1,255}$/.test(props.dashboardName)) {
      throw new Error(`dashboardName must be 1–255 letters, digits, "-" or "_", got "${props.dashboardName}"`);
    }
    this.dashboard = new CfnDashboard(this, 'Resource', {
      dashboardName: props.dashboardName,
      // Models and tiers may be added until synthesis.
      dashboardBody: Lazy.uncachedString({
        produce: () =>
          Stack.of(this).toJsonString({
            start: `-${interval.toIsoString()}`,
            periodOverride: 'inherit',
            widgets: this.render(props),
          }),
      }),
    });
  }

  /** Puts widgets of your own at the end, in rows of their own. */
  public addWidgets(...widgets: IWidget[]): void {
    this.own.push(...widgets);
  }

  private render(props: ServingDashboardProps): unknown[] {
    const { gateway, costAlarms, jobs } = props;
    const meter = props.meter ?? costAlarms?.meter;
    const column = new Column(
      ...moneyRows({ gateway, meter, monthlyBudgetUsd: props.monthlyBudgetUsd ?? costAlarms?.monthlyBudgetUsd }),
      ...alarmRows([...(costAlarms?.alarms ?? []), ...(jobs?._alarms ?? []), ...(props.alarms ?? [])]),
      ...latencyRows(gateway),
      ...errorRows(gateway),
      ...cacheRows(gateway),
      ...fleetRows(gateway, meter !== undefined),
      ...(jobs === undefined ? [] : jobRows(jobs)),
      ...this.own,
    );
    column.position(0, 0);
    return column.toJson();
  }
}
