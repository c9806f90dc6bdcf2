import { App, Stack as CdkStack, Duration } from 'aws-cdk-lib';
import {
  AdjustmentType,
  ScalableTarget as CdkScalableTarget,
  CfnScalingPolicy,
  ServiceNamespace,
  StepScalingAction,
} from 'aws-cdk-lib/aws-applicationautoscaling';
import { AutoScalingGroup } from 'aws-cdk-lib/aws-autoscaling';
import { Alarm, ComparisonOperator, Metric, TreatMissingData } from 'aws-cdk-lib/aws-cloudwatch';
import { ApplicationScalingAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import { InstanceType, LaunchTemplate, MachineImage, UserData, Vpc } from 'aws-cdk-lib/aws-ec2';
import {
  AsgCapacityProvider,
  Cluster,
  ContainerImage,
  Ec2Service,
  Ec2TaskDefinition,
  Secret as EcsSecret,
  NetworkMode,
} from 'aws-cdk-lib/aws-ecs';
import {
  ApplicationLoadBalancer,
  ApplicationProtocol,
  ListenerAction,
  ListenerCondition,
  TargetGroupLoadBalancingAlgorithmType,
} from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import { Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { afterAll } from 'vitest';
import { Clock } from '../../../local/clock.ts';
import { readAssembly } from '../../../local/cloudformation/assembly.ts';
import { evaluateStacks, type Stack } from '../../../local/cloudformation/stack.ts';
import { MetricStore } from '../../../local/cloudwatch/metric-store.ts';
import { DEFAULT_PACE } from '../../../local/engine/situation.ts';
import { type Fleet, type FleetOptions, Fleets } from '../../../local/fleets.ts';
import { temporaryFolder } from './assembly.ts';

export interface FleetStackOptions {
  readonly tasks?: number;
  readonly flags?: readonly string[];
  readonly image?: string;
  readonly keyVariable?: string;
  readonly stopTimeout?: Duration;
  /** Of the load balancer's cookie. @default - none */
  readonly stickiness?: Duration;
  readonly minHealthyPercent?: number;
  readonly maxHealthyPercent?: number;
  /** Wakes on `Unserved`, sleeps after three minutes without `Demand`, and tracks 4 requests a task. */
  readonly scaling?: { readonly min: number; readonly max: number };
}

const METRICS = ['vllm:num_requests_running', 'vllm:num_requests_waiting', 'vllm:generation_tokens_total'];

/** An ECS service of vLLM tasks behind an ALB, as the CDK's own constructs write it. */
export function fleetStack(options: FleetStackOptions = {}): Stack {
  const app = new App({ outdir: temporaryFolder(), context: { 'aws:cdk:enable-path-metadata': true } });
  const stack = new CdkStack(app, 'Stack');
  const vpc = new Vpc(stack, 'Vpc', { natGateways: 0 });
  const cluster = new Cluster(stack, 'Cluster', { vpc });
  const group = new AutoScalingGroup(stack, 'Instances', {
    vpc,
    launchTemplate: new LaunchTemplate(stack, 'Template', {
      instanceType: new InstanceType('g6e.xlarge'),
      machineImage: MachineImage.latestAmazonLinux2023(),
      userData: UserData.forLinux(),
      role: new Role(stack, 'InstanceRole', { assumedBy: new ServicePrincipal('ec2.amazonaws.com') }),
    }),
  });
  const provider = new AsgCapacityProvider(stack, 'Provider', { autoScalingGroup: group });
  cluster.addAsgCapacityProvider(provider);
  const task = new Ec2TaskDefinition(stack, 'Task', { networkMode: NetworkMode.AWS_VPC });
  const key = new Secret(stack, 'Key', { generateSecretString: { excludePunctuation: true } });
  task.addContainer('Engine', {
    image: ContainerImage.fromRegistry(options.image ?? 'vllm/vllm-openai:v0.32.0'),
    command: ['test/model', '--shutdown-timeout', '5', ...(options.flags ?? [])],
    memoryReservationMiB: 1024,
    gpuCount: 1,
    portMappings: [{ containerPort: 8000 }],
    stopTimeout: options.stopTimeout ?? Duration.seconds(10),
    secrets: { [options.keyVariable ?? 'VLLM_API_KEY']: EcsSecret.fromSecretsManager(key) },
  });
  task.addContainer('Agent', {
    image: ContainerImage.fromRegistry('public.ecr.aws/cloudwatch-agent/cloudwatch-agent:1'),
    memoryReservationMiB: 128,
    environment: {
      PROMETHEUS_CONFIG_CONTENT: JSON.stringify({
        global: { scrape_interval: '20s' },
        scrape_configs: [
          { job_name: 'engine', static_configs: [{ targets: ['localhost:8000'], labels: { fleet: 'test' } }] },
        ],
      }),
      CW_CONFIG_CONTENT: JSON.stringify({
        logs: {
          metrics_collected: {
            prometheus: {
              emf_processor: {
                metric_namespace: 'Test',
                metric_declaration: [
                  {
                    source_labels: ['fleet'],
                    label_matcher: '^test$',
                    dimensions: [['fleet']],
                    metric_selectors: METRICS.map((name) => `^${name}$`),
                  },
                ],
              },
            },
          },
        },
      }),
    },
  });
  task.addContainer('Shipper', {
    image: ContainerImage.fromRegistry('fluent/fluent-bit'),
    memoryReservationMiB: 64,
    essential: false,
  });
  const service = new Ec2Service(stack, 'Service', {
    cluster,
    taskDefinition: task,
    desiredCount: options.tasks ?? 1,
    minHealthyPercent: options.minHealthyPercent ?? 100,
    maxHealthyPercent: options.maxHealthyPercent ?? 200,
    healthCheckGracePeriod: Duration.minutes(10),
    circuitBreaker: { rollback: true },
    capacityProviderStrategies: [{ capacityProvider: provider.capacityProviderName, weight: 1 }],
  });
  const listener = new ApplicationLoadBalancer(stack, 'Balancer', { vpc }).addListener('Listener', {
    port: 80,
    open: false,
    defaultAction: ListenerAction.fixedResponse(404),
  });
  listener.addTargets('Tasks', {
    priority: 1,
    conditions: [ListenerCondition.pathPatterns(['/v1/*'])],
    port: 8000,
    protocol: ApplicationProtocol.HTTP,
    targets: [service.loadBalancerTarget({ containerName: 'Engine', containerPort: 8000 })],
    loadBalancingAlgorithmType: TargetGroupLoadBalancingAlgorithmType.LEAST_OUTSTANDING_REQUESTS,
    deregistrationDelay: Duration.seconds(60),
    ...(options.stickiness && { stickinessCookieDuration: options.stickiness }),
    healthCheck: { path: '/health', interval: Duration.seconds(10), timeout: Duration.seconds(5) },
  });
  if (options.scaling !== undefined) addScaling(stack, cluster, service, options.scaling);
  const [evaluated] = evaluateStacks(readAssembly(app.synth().directory).stacks);
  if (evaluated === undefined) throw new Error('no stack');
  return evaluated;
}

function addScaling(
  stack: CdkStack,
  cluster: Cluster,
  service: Ec2Service,
  { min, max }: { min: number; max: number },
): void {
  const target = new CdkScalableTarget(stack, 'Target', {
    serviceNamespace: ServiceNamespace.ECS,
    resourceId: `service/${cluster.clusterName}/${service.serviceName}`,
    scalableDimension: 'ecs:service:DesiredCount',
    minCapacity: min,
    maxCapacity: max,
  });
  const stat = (metricName: string) => ({
    metric: { namespace: 'Test', metricName, dimensions: [{ name: 'fleet', value: 'test' }] },
    stat: 'Average',
  });
  new CfnScalingPolicy(stack, 'Load', {
    policyName: 'load',
    policyType: 'TargetTrackingScaling',
    scalingTargetId: target.scalableTargetId,
    targetTrackingScalingPolicyConfiguration: {
      targetValue: 4,
      scaleOutCooldown: 60,
      scaleInCooldown: 60,
      customizedMetricSpecification: {
        metrics: [
          { id: 'load', expression: 'MAX([r + w, 0.1])', returnData: true },
          { id: 'r', metricStat: stat('vllm:num_requests_running'), returnData: false },
          { id: 'w', metricStat: stat('vllm:num_requests_waiting'), returnData: false },
        ],
      },
    },
  });
  const metric = (metricName: string) =>
    new Metric({
      namespace: 'Test',
      metricName,
      dimensionsMap: { fleet: 'test' },
      statistic: 'Sum',
      period: Duration.minutes(1),
    });
  const wake = new StepScalingAction(stack, 'Wake', {
    scalingTarget: target,
    adjustmentType: AdjustmentType.CHANGE_IN_CAPACITY,
    cooldown: Duration.minutes(10),
  });
  wake.addAdjustment({ adjustment: 1, lowerBound: 0 });
  new Alarm(stack, 'WakeAlarm', {
    metric: metric('Unserved'),
    comparisonOperator: ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
    threshold: 1,
    evaluationPeriods: 1,
    treatMissingData: TreatMissingData.NOT_BREACHING,
  }).addAlarmAction(new ApplicationScalingAction(wake));
  const sleep = new StepScalingAction(stack, 'Sleep', {
    scalingTarget: target,
    adjustmentType: AdjustmentType.EXACT_CAPACITY,
    cooldown: Duration.minutes(1),
  });
  sleep.addAdjustment({ adjustment: min, upperBound: 0 });
  new Alarm(stack, 'SleepAlarm', {
    metric: metric('Demand'),
    comparisonOperator: ComparisonOperator.LESS_THAN_OR_EQUAL_TO_THRESHOLD,
    threshold: 0,
    evaluationPeriods: 3,
    treatMissingData: TreatMissingData.BREACHING,
  }).addAlarmAction(new ApplicationScalingAction(sleep));
}

const started: Fleets[] = [];
afterAll(() => Promise.all(started.map((fleets) => fleets.close())));

export interface StartedFleet {
  readonly fleets: Fleets;
  readonly fleet: Fleet;
  readonly store: MetricStore;
  readonly clock: Clock;
  readonly log: string[];
  chat(body?: object, init?: RequestInit): Promise<Response>;
}

export const API_KEY = 'fleet-key';

/** A stack's fleet, its clock a hundred times as fast unless told otherwise. */
export async function startFleet(
  stack: Stack,
  options: Partial<FleetOptions> & { readonly speed?: number } = {},
): Promise<StartedFleet> {
  const clock = new Clock(options.speed ?? 100);
  const store = new MetricStore(clock);
  const log: string[] = [];
  const fleets = await Fleets.start([stack], {
    clock,
    store,
    secret: () => API_KEY,
    model: { answerTokens: 20 },
    pace: { ...DEFAULT_PACE, baseMs: 4 },
    instanceMs: 2_000,
    loadMs: 5_000,
    ...options,
    log: (label, line) => log.push(`${label}: ${line}`),
  });
  started.push(fleets);
  const [fleet] = fleets.all;
  if (fleet === undefined) throw new Error('no fleet');
  return {
    ...{ fleets, fleet, store, clock, log },
    chat: (body = {}, init = {}) =>
      fetch(`${fleet.url}/v1/chat/completions`, {
        method: 'POST',
        headers: { authorization: `Bearer ${API_KEY}` },
        body: JSON.stringify({ model: 'test/model', messages: [{ role: 'user', content: 'Hello' }], ...body }),
        ...init,
      }),
  };
}
