import { Duration, Lazy, RemovalPolicy, Stack, Validations } from 'aws-cdk-lib';
import { type Metric, type MetricOptions, Stats } from 'aws-cdk-lib/aws-cloudwatch';
import { Rule, Schedule } from 'aws-cdk-lib/aws-events';
import { LambdaFunction as FunctionTarget } from 'aws-cdk-lib/aws-events-targets';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { Code, type Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import { RetentionDays } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import type { Gateway } from '../gateway/gateway';
import { fleetsOf } from '../private/gateway-fleets';
import { handlerFolder } from '../private/handler-assets';
import { HandlerFunction } from '../private/handler-function';
import { METER_CONFIG_ENV, type MeterConfig } from '../private/meter-config';
import { servingSum } from '../private/serving-metrics';
import { requireDuration } from '../private/validation';

/** Properties of a cost meter. */
export interface CostMeterProps {
  /** What is metered: the gateway's spending, and the fleets behind its models. */
  readonly gateway: Gateway;

  /**
   * How often it runs: 5 minutes to 1 hour. Each run reads some metrics, at $0.01 per 1,000.
   *
   * @default Duration.minutes(15)
   */
  readonly interval?: Duration;

  /**
   * How long its log is kept.
   *
   * @default RetentionDays.ONE_MONTH
   */
  readonly logRetention?: RetentionDays;

  /**
   * The key that the log and the function's environment variables are encrypted with; its policy has to let CloudWatch
   * Logs use it, as a gateway's does.
   *
   * @default - the services' own
   */
  readonly encryptionKey?: IKey;
}

/**
 * Adds up what CloudWatch's alarms can't: the month so far and where it is going, and what fleets really cost, idle hours
 * included. A function that runs by a schedule and publishes metrics:
 *
 * - of the gateway: `MonthToDateUsd`, `MonthForecastUsd`
 * - of each fleet: `GpuHours`, `FleetCostUsd`, `Utilization`, `EffectiveUsdPerMillionTokens`
 *
 * The month's spending is what managed backends cost by their tokens, and what fleets cost by their instances' hours.
 */
export class CostMeter extends Construct {
  /** The function. */
  public readonly handler: LambdaFunction;

  /** What runs it. */
  public readonly rule: Rule;

  /** How often it runs. */
  public readonly interval: Duration;

  private readonly gateway: Gateway;

  constructor(scope: Construct, id: string, props: CostMeterProps) {
    super(scope, id);
    this.gateway = props.gateway;
    this.interval = props.interval ?? Duration.minutes(15);
    requireDuration('interval', this.interval, Duration.minutes(5), Duration.hours(1));
    this.handler = new HandlerFunction(this, 'Handler', {
      description: 'Meters the month and the fleets',
      code: Code.fromAsset(handlerFolder('meter')),
      memorySize: 256,
      timeout: Duration.minutes(1),
      tracing: false,
      logRetention: props.logRetention ?? RetentionDays.ONE_MONTH,
      logRemovalPolicy: RemovalPolicy.DESTROY,
      encryptionKey: props.encryptionKey,
    }).function;
    this.handler.addEnvironment(
      METER_CONFIG_ENV,
      Lazy.uncachedString({ produce: () => Stack.of(this).toJsonString(this.renderConfig()) }),
    );
    this.handler.addToRolePolicy(new PolicyStatement({ actions: ['cloudwatch:GetMetricData'], resources: ['*'] }));
    this.handler.addToRolePolicy(
      new PolicyStatement({
        actions: ['cloudwatch:PutMetricData'],
        resources: ['*'],
        conditions: {
          StringEquals: { 'cloudwatch:namespace': Lazy.uncachedList({ produce: () => this.namespaces() }) },
        },
      }),
    );
    if (this.handler.role !== undefined) {
      Validations.of(this.handler.role).acknowledge({
        id: 'AwsSolutions-IAM5[Resource::*]',
        reason:
          'Metrics have no ARNs: GetMetricData and PutMetricData take "*" only. Writing is limited to the namespaces of the gateway and its fleets.',
      });
    }
    this.rule = new Rule(this, 'Schedule', {
      description: 'Runs the cost meter',
      schedule: Schedule.rate(this.interval),
      // The next run makes good what one has missed.
      targets: [new FunctionTarget(this.handler, { retryAttempts: 0, maxEventAge: Duration.minutes(5) })],
    });
  }

  /** What this month (by UTC) has cost so far, in USD. */
  public metricMonthToDateUsd(options?: MetricOptions): Metric {
    return this.gauge('MonthToDateUsd', options);
  }

  /** What this month will have cost if the rest of it is like the last seven days, in USD. */
  public metricMonthForecastUsd(options?: MetricOptions): Metric {
    return this.gauge('MonthForecastUsd', options);
  }

  private gauge(metricName: string, options: MetricOptions = {}): Metric {
    const statistic = Stats.MAXIMUM;
    return servingSum(
      this.gateway.metricsNamespace,
      metricName,
      {},
      { statistic, period: Duration.hours(1), ...options },
    );
  }

  private namespaces(): string[] {
    const own = fleetsOf(this.gateway).map(({ fleet }) => fleet.metricsNamespace);
    return [...new Set([this.gateway.metricsNamespace, ...own])];
  }

  private renderConfig(): MeterConfig {
    return {
      namespace: this.gateway.metricsNamespace,
      fleets: fleetsOf(this.gateway).map(({ fleet, expectedTokensPerHour, backends }) => {
        const { hourlyUsd, onDemandBase, gpus, tasks } = fleet._instance;
        if (hourlyUsd === undefined) {
          throw new Error(
            `no hourly price is known for the instances of fleet "${fleet.fleetName}": pass hourlyPriceUsd to its capacity, or its cost can't be metered`,
          );
        }
        return {
          name: fleet.fleetName,
          namespace: fleet.metricsNamespace,
          cluster: fleet.cluster.clusterName,
          service: fleet.service.serviceName,
          instanceHourlyUsd: hourlyUsd,
          ...(onDemandBase?.hourlyUsd !== undefined && {
            onDemandBase: { instances: onDemandBase.instances, hourlyUsd: onDemandBase.hourlyUsd },
          }),
          gpusPerInstance: gpus,
          tasksPerInstance: tasks,
          expectedTokensPerHour,
          backends: backends.map(({ model, backendId }) => [model.modelName, backendId] as const),
        };
      }),
    };
  }
}
