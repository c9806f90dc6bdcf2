import { Duration, RemovalPolicy, type Size } from 'aws-cdk-lib';
import {
  MathExpression,
  type MathExpressionOptions,
  type Metric,
  type MetricOptions,
  Stats,
} from 'aws-cdk-lib/aws-cloudwatch';
import type { Connections, IConnectable, IVpc, SubnetSelection } from 'aws-cdk-lib/aws-ec2';
import {
  type BaseService,
  Cluster,
  type ContainerImage,
  ContainerInsights,
  type TaskDefinition,
} from 'aws-cdk-lib/aws-ecs';
import type { ApplicationLoadBalancer, ApplicationTargetGroup } from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { IBucket } from 'aws-cdk-lib/aws-s3';
import { type ISecret, Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import type { CapacityFacts } from '../private/fleet/capacity-binding';
import { taskMemoryMiB, tasksPerInstance } from '../private/fleet/capacity-facts';
import type { EngineBinding } from '../private/fleet/engine-binding';
import { addTargets, createBalancer } from '../private/fleet/fleet-balancer';
import { fleetLimits, mostTasks, requireRoomToReplace } from '../private/fleet/fleet-limits';
import { fleetMetric, serviceMetric } from '../private/fleet/fleet-metrics';
import { createService } from '../private/fleet/fleet-service';
import { CACHE_FOLDER, createTask } from '../private/fleet/fleet-task';
import { warnOf } from '../private/fleet/fleet-warnings';
import { requireOffloadingFits } from '../private/fleet/memory-fit';
import { acknowledgeKey } from '../private/fleet/nag-reasons';
import { addPolicies } from '../private/fleet/scaling-policies';
import { defaultApiName, metricsNamespace } from '../private/names';
import { requireDuration, requireInteger } from '../private/validation';
import type { FleetScaling } from './fleet-scaling';
import type { IGpuCapacity } from './gpu-capacity';
import type { IModelWeights } from './model-weights';
import type { IServingEngine } from './serving-engine';

/** Properties of a fleet. */
export interface ModelFleetProps {
  /**
   * Names the fleet in metrics, logs and as a backend: lower-case letters, digits and `-`, at most 32. Unique within a
   * gateway.
   *
   * @default - the construct's id, in lower case
   */
  readonly fleetName?: string;

  /**
   * The CloudWatch namespace of the fleet's metrics, those of its engine and those that gateways write of it.
   *
   * @default - `LlmServing/`, the stack's name and the construct's path in it
   */
  readonly metricsNamespace?: string;

  /** What runs the model. */
  readonly engine: IServingEngine;

  /** The model. */
  readonly weights: IModelWeights;

  /** The GPUs. */
  readonly capacity: IGpuCapacity;

  /** The VPC that tasks and load balancer are in. The gateway's function has to be in it, too. */
  readonly vpc: IVpc;

  /**
   * The cluster that the tasks run in, in the same VPC and of the same app: a fleet adds its capacity to it, which an
   * imported one doesn't allow.
   *
   * @default - a new one, of the fleet's own
   */
  readonly cluster?: Cluster;

  /**
   * Which of its subnets.
   *
   * @default - the private ones
   */
  readonly vpcSubnets?: SubnetSelection;

  /**
   * How many tasks there are.
   *
   * @default - one, always
   */
  readonly scaling?: FleetScaling;

  /**
   * What requests call the model.
   *
   * @default - the weights' repository, or the name of their folder
   */
  readonly modelName?: string;

  /**
   * How long a new task may take until it answers health checks: the image's pull, the weights' load and the engine's
   * warm-up. Until then it isn't replaced.
   *
   * @default Duration.minutes(20)
   */
  readonly startTimeout?: Duration;

  /**
   * How long a task that goes gets no new requests and may finish its own, before it is told to stop. It is no longer
   * than the last of them takes.
   *
   * @default Duration.minutes(15) - the longest that a request may take
   */
  readonly deregistrationDelay?: Duration;

  /**
   * How long a task that was told to stop may take, at most 2 minutes; longer than the engine's own time for it, and
   * shorter than `deregistrationDelay`.
   *
   * @default - 10 seconds more than the engine's, at least 30
   */
  readonly stopTimeout?: Duration;

  /**
   * How long the load balancer keeps a connection without traffic. It must be longer than a whole answer takes.
   *
   * @default Duration.minutes(15)
   */
  readonly idleConnectionTimeout?: Duration;

  /**
   * Keep a conversation on the task that has its beginning in the KV cache, for this long.
   *
   * @default Duration.hours(1)
   */
  readonly sessionStickiness?: Duration;

  /**
   * The share of the tasks, in percent, that must run while a deployment replaces them. With 0 (and
   * `maxHealthyPercent: 100`) tasks go before their successors come, for a fixed number of GPUs.
   *
   * @default 100
   */
  readonly minHealthyPercent?: number;

  /**
   * The share of the tasks, in percent, that may run while a deployment replaces them: more than 100 needs more GPUs
   * for that time.
   *
   * @default 200
   */
  readonly maxHealthyPercent?: number;

  /**
   * Shared memory of a task's processes.
   *
   * @default - 1 GiB, 8 GiB for engines that use several GPUs
   */
  readonly sharedMemorySize?: Size;

  /**
   * The image of the CloudWatch agent that reads the engine's metrics. In a VPC without a way to the internet it has to
   * be in a registry of your account.
   *
   * @default - a pinned version from Amazon ECR Public
   */
  readonly agentImage?: ContainerImage;

  /**
   * The image of the AWS CLI that copies weights out of a bucket, for engines that can't stream them.
   *
   * @default - a pinned version from Amazon ECR Public
   */
  readonly copyImage?: ContainerImage;

  /**
   * A bucket for the load balancer's access logs. The stack's region has to be known then.
   *
   * @default - none: the gateway's log has every request
   */
  readonly accessLogs?: IBucket;

  /**
   * How long the engine's logs are kept.
   *
   * @default RetentionDays.ONE_MONTH
   */
  readonly logRetention?: RetentionDays;
}

/** GPU tasks that run one engine with one set of weights, behind a load balancer inside the VPC. */
export class ModelFleet extends Construct implements IConnectable {
  /** Names the fleet in metrics, logs and as a backend. */
  public readonly fleetName: string;

  /** The engine's name: `vllm`, `sglang`, …. */
  public readonly engineName: string;

  /** What requests call the model. */
  public readonly modelName: string;

  /** The CloudWatch namespace of the fleet's metrics. */
  public readonly metricsNamespace: string;

  /** The VPC that tasks and load balancer are in. */
  public readonly vpc: IVpc;

  /** The cluster. */
  public readonly cluster: Cluster;

  /** The service. */
  public readonly service: BaseService;

  /** What a task is made of. */
  public readonly taskDefinition: TaskDefinition;

  /** The load balancer. */
  public readonly loadBalancer: ApplicationLoadBalancer;

  /** The load balancer's targets: the tasks. */
  public readonly targetGroup: ApplicationTargetGroup;

  /** The key that the engine asks for; undefined for engines without one. */
  public readonly apiKey?: ISecret;

  /** The log of the engine. */
  public readonly logGroup: LogGroup;

  /** Who may reach the load balancer. */
  public readonly connections: Connections;

  /** @internal */
  public readonly _engine: EngineBinding;

  /** USD an hour of one task: its share of an instance; of an on-demand one while those come first. @internal */
  public readonly _taskHourlyUsd?: number;

  /** Of an instance of the first type. @internal */
  public readonly _instance: {
    readonly hourlyUsd?: number;
    readonly onDemandBase?: CapacityFacts['onDemandBase'];
    readonly gpus: number;
    readonly tasks: number;
  };

  /** Seconds. @internal */
  public readonly _stickySeconds: number;

  /** At any time. @internal */
  public readonly _maxTasks: number;

  constructor(scope: Construct, id: string, props: ModelFleetProps) {
    super(scope, id);
    this.fleetName = props.fleetName ?? id.toLowerCase();
    if (!/^[a-z0-9][a-z0-9-]{0,31}$/.test(this.fleetName)) {
      throw new Error(
        `fleetName must be 1–32 lower-case letters, digits or "-" and begin with a letter or digit, got "${this.fleetName}"`,
      );
    }
    this.metricsNamespace = metricsNamespace(props.metricsNamespace, defaultApiName(this));
    requireInteger('minHealthyPercent', props.minHealthyPercent, 0, 100);
    requireInteger('maxHealthyPercent', props.maxHealthyPercent, 100, 400);
    const minHealthyPercent = props.minHealthyPercent ?? 100;
    const maxHealthyPercent = props.maxHealthyPercent ?? 200;
    if (minHealthyPercent === 100 && maxHealthyPercent === 100) {
      throw new Error(
        'minHealthyPercent and maxHealthyPercent must not both be 100: no task could ever be replaced; use 0 and 100 for a fixed number of GPUs',
      );
    }
    const idleTimeout = props.idleConnectionTimeout ?? Duration.minutes(15);
    requireDuration('idleConnectionTimeout', idleTimeout, Duration.minutes(1), Duration.seconds(4000));
    const startTimeout = props.startTimeout ?? Duration.minutes(20);
    requireDuration('startTimeout', startTimeout, Duration.minutes(1), Duration.hours(6));
    const stickiness = props.sessionStickiness ?? Duration.hours(1);
    requireDuration('sessionStickiness', stickiness, Duration.seconds(1), Duration.days(7));
    this._stickySeconds = stickiness.toSeconds();

    const weights = props.weights._bind();
    this.vpc = props.vpc;
    this.engineName = props.engine.engineName;
    this.modelName = props.modelName ?? weights.modelName;
    const engine = props.engine._bind({
      weights: weights.source,
      servedName: this.modelName,
      cacheFolder: CACHE_FOLDER,
      keepAliveSeconds: idleTimeout.toSeconds() + 60,
    });
    this._engine = engine;
    const { stopTimeout, deregistrationDelay } = drainOrder(engine, props);
    const limits = fleetLimits(props.scaling ?? {}, engine.metrics !== undefined);
    requireRoomToReplace(limits, minHealthyPercent, maxHealthyPercent);
    this._maxTasks = mostTasks(limits);
    const facts = props.capacity._facts();
    const [perInstance = 1] = tasksPerInstance(facts, engine.gpus);
    this._instance = {
      hourlyUsd: facts.hourlyUsd,
      onDemandBase: facts.onDemandBase,
      gpus: facts.instances[0]?.gpus ?? engine.gpus,
      tasks: perInstance,
    };
    const firstHourlyUsd = facts.onDemandBase?.hourlyUsd ?? facts.hourlyUsd;
    this._taskHourlyUsd = firstHourlyUsd === undefined ? undefined : firstHourlyUsd / perInstance;

    requireOffloadingFits(engine, taskMemoryMiB(facts, engine.gpus));
    warnOf(this, { ...props, fleetName: this.fleetName, facts, engine, weights });

    if (props.cluster !== undefined && props.cluster.vpc.vpcId !== props.vpc.vpcId) {
      throw new Error(
        `cluster "${props.cluster.node.path}" is in another VPC than fleet "${this.fleetName}": pass the cluster's as vpc`,
      );
    }
    this.cluster =
      props.cluster ?? new Cluster(this, 'Cluster', { vpc: props.vpc, containerInsightsV2: ContainerInsights.ENABLED });
    const capacity = props.capacity._bind({
      scope: new Construct(this, 'Capacity'),
      vpc: props.vpc,
      vpcSubnets: props.vpcSubnets,
      cluster: this.cluster,
      mostTasks: Math.ceil((mostTasks(limits) * maxHealthyPercent) / 100),
      gpusPerTask: engine.gpus,
    });
    if (engine.apiKeyVariable !== undefined) this.apiKey = this.createKey();
    const logs = { retention: props.logRetention ?? RetentionDays.ONE_MONTH, removalPolicy: RemovalPolicy.DESTROY };
    this.logGroup = new LogGroup(this, 'Logs', logs);
    this.taskDefinition = createTask(this, {
      fleetName: this.fleetName,
      metricsNamespace: this.metricsNamespace,
      engine,
      weights,
      capacity,
      memoryReservationMiB: taskMemoryMiB(facts, engine.gpus),
      sharedMemoryMiB: props.sharedMemorySize?.toMebibytes() ?? (engine.gpus > 1 ? 8192 : 1024),
      stopTimeout,
      apiKey: this.apiKey,
      logGroup: this.logGroup,
      // CloudWatch has made metrics of them by then.
      metricsLogGroup: new LogGroup(this, 'MetricsLogs', { ...logs, retention: RetentionDays.ONE_DAY }),
      agentImage: props.agentImage,
      copyImage: props.copyImage,
    });
    const balancer = createBalancer(this, {
      vpc: props.vpc,
      vpcSubnets: props.vpcSubnets,
      engine,
      idleTimeout,
      deregistrationDelay,
      sessionStickiness: stickiness,
      accessLogs: props.accessLogs,
    });
    this.loadBalancer = balancer.loadBalancer;
    this.targetGroup = balancer.targetGroup;
    this.connections = balancer.listener.connections;
    const scales = limits.maxTasks > limits.minTasks || limits.schedules.length > 0;
    this.service = createService(this, {
      ...(!scales && { desiredCount: limits.minTasks }),
      cluster: this.cluster,
      vpc: props.vpc,
      vpcSubnets: props.vpcSubnets,
      taskDefinition: this.taskDefinition,
      capacity,
      minHealthyPercent,
      maxHealthyPercent,
      startTimeout,
    });
    // The cluster's link to its capacity provider, too, which the service doesn't refer to.
    this.service.node.addDependency(balancer.listener, this.cluster);
    addTargets(balancer, this.service, engine);
    if (scales) {
      addPolicies(this, {
        service: this.service,
        limits,
        startTime: startTimeout,
        metrics: {
          ...(engine.metrics && {
            running: this.metricRunning({ period: Duration.minutes(1) }),
            waiting: this.metricWaiting({ period: Duration.minutes(1) }),
          }),
          demand: this.metricDemand({ period: Duration.minutes(1) }),
          unserved: this.metricUnserved({ period: Duration.minutes(1) }),
        },
      });
    }
  }

  /** Tasks that run; their average over 5 minutes unless told otherwise. */
  public metricTasks(options?: MetricOptions): Metric {
    return serviceMetric(this.cluster.clusterName, this.service.serviceName, 'RunningTaskCount', options);
  }

  /** Requests that run on a task, on average over 5 minutes unless told otherwise. */
  public metricRunning(options?: MetricOptions): Metric {
    return fleetMetric(this.metricsPlace, this.engineMetrics.running, options);
  }

  /** Requests that wait on a task, on average over 5 minutes unless told otherwise. */
  public metricWaiting(options?: MetricOptions): Metric {
    return fleetMetric(this.metricsPlace, this.engineMetrics.waiting, options);
  }

  /** The share of the KV cache in use, 0–1, on average over 5 minutes unless told otherwise. */
  public metricKvCacheUsage(options?: MetricOptions): Metric {
    return fleetMetric(this.metricsPlace, this.requireMetric('kvCacheUsage'), options);
  }

  /** The share of prompt tokens that were in the prefix cache, in percent, over 5 minutes unless told otherwise. */
  public metricPrefixCacheHitRate(options: MathExpressionOptions = {}): MathExpression {
    const sum = { statistic: Stats.SUM, period: options.period ?? Duration.minutes(5) };
    return new MathExpression({
      label: 'Prefix cache hits, %',
      ...options,
      expression: '100 * hits / queries',
      period: sum.period,
      usingMetrics: {
        hits: fleetMetric(this.metricsPlace, this.requireMetric('prefixHits'), sum),
        queries: fleetMetric(this.metricsPlace, this.requireMetric('prefixQueries'), sum),
      },
    });
  }

  /** Requests that wanted this fleet, also when it had no task; their sum over 5 minutes unless told otherwise. */
  public metricDemand(options?: MetricOptions): Metric {
    return fleetMetric(this.metricsPlace, 'Demand', { statistic: Stats.SUM, ...options });
  }

  /** Requests that wanted this fleet and didn't get it; their sum over 5 minutes unless told otherwise. */
  public metricUnserved(options?: MetricOptions): Metric {
    return fleetMetric(this.metricsPlace, 'Unserved', { statistic: Stats.SUM, ...options });
  }

  /** GPU-hours that tasks held in each period of an hour. */
  public metricGpuHours(options: MathExpressionOptions = {}): MathExpression {
    return new MathExpression({
      label: 'GPU-hours',
      ...options,
      expression: `tasks * ${this._engine.gpus}`,
      period: Duration.hours(1),
      usingMetrics: { tasks: this.metricTasks({ period: Duration.hours(1) }) },
    });
  }

  /** GPU-hours of the fleet's instances, idle ones included, by a `CostMeter`; their sum over an hour. */
  public metricMeteredGpuHours(options?: MetricOptions): Metric {
    return fleetMetric(this.metricsPlace, 'GpuHours', { statistic: Stats.SUM, period: Duration.hours(1), ...options });
  }

  /** What the fleet's instances cost in USD, idle ones included, by a `CostMeter`; the sum over an hour. */
  public metricCostUsd(options?: MetricOptions): Metric {
    return fleetMetric(this.metricsPlace, 'FleetCostUsd', {
      statistic: Stats.SUM,
      period: Duration.hours(1),
      ...options,
    });
  }

  /**
   * Tokens that the fleet answered with, in percent of those that are expected of its instances, by a `CostMeter`; the
   * average over an hour. At 100 % a token costs what its price says.
   */
  public metricUtilization(options?: MetricOptions): Metric {
    return fleetMetric(this.metricsPlace, 'Utilization', { period: Duration.hours(1), ...options });
  }

  /** What a million tokens of the last 24 hours cost in USD, idle instances included, by a `CostMeter`. */
  public metricEffectiveUsdPerMillionTokens(options?: MetricOptions): Metric {
    return fleetMetric(this.metricsPlace, 'EffectiveUsdPerMillionTokens', { period: Duration.hours(1), ...options });
  }

  private get metricsPlace() {
    return { namespace: this.metricsNamespace, fleet: this.fleetName };
  }

  private get engineMetrics() {
    const { metrics } = this._engine;
    if (metrics === undefined) {
      throw new Error(
        `the metrics of engine "${this.engineName}" aren't known: pass them to ServingEngine.openAiCompatible`,
      );
    }
    return metrics;
  }

  private requireMetric(name: 'kvCacheUsage' | 'prefixQueries' | 'prefixHits'): string {
    const metric = this.engineMetrics[name];
    if (metric === undefined) throw new Error(`engine "${this.engineName}" has no metric for that`);
    return metric;
  }

  private createKey(): ISecret {
    const secret = new Secret(this, 'ApiKey', {
      description: `Key that the engine of fleet ${this.fleetName} asks its gateway for`,
      generateSecretString: { passwordLength: 48, excludePunctuation: true },
    });
    acknowledgeKey(secret);
    return secret;
  }
}

/** Engine's shutdown < stop < deregistration: each stage must have ended before the next one is cut off. */
function drainOrder(
  engine: EngineBinding,
  props: ModelFleetProps,
): { stopTimeout: Duration; deregistrationDelay: Duration } {
  const stopTimeout = props.stopTimeout ?? Duration.seconds(Math.max(30, engine.shutdownSeconds + 10));
  // https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html
  requireDuration('stopTimeout', stopTimeout, Duration.seconds(2), Duration.seconds(120));
  const deregistrationDelay = props.deregistrationDelay ?? Duration.minutes(15);
  requireDuration('deregistrationDelay', deregistrationDelay, Duration.seconds(0), Duration.hours(1));
  if (stopTimeout.toSeconds() <= engine.shutdownSeconds) {
    throw new Error(
      `stopTimeout (${stopTimeout.toSeconds()} s) must be longer than the engine's shutdownTimeout (${engine.shutdownSeconds} s), or ECS kills it in the middle`,
    );
  }
  if (deregistrationDelay.toSeconds() <= stopTimeout.toSeconds()) {
    throw new Error(
      `deregistrationDelay (${deregistrationDelay.toSeconds()} s) must be longer than stopTimeout (${stopTimeout.toSeconds()} s)`,
    );
  }
  return { stopTimeout, deregistrationDelay };
}
