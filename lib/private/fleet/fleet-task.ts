import type { Duration } from 'aws-cdk-lib';
import { Stack } from 'aws-cdk-lib';
import {
  AssetImage,
  Capability,
  Compatibility,
  ContainerDependencyCondition,
  ContainerImage,
  EcrImage,
  Secret as EcsSecret,
  LinuxParameters,
  LogDrivers,
  NetworkMode,
  TaskDefinition,
} from 'aws-cdk-lib/aws-ecs';
import type { LogGroup } from 'aws-cdk-lib/aws-logs';
import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager';
import type { Construct } from 'constructs';
import type { CapacityBinding } from './capacity-binding';
import type { EngineBinding, WeightsBinding } from './engine-binding';
import { copyFolder } from './engines/common';
import { agentConfig, prometheusConfig } from './metrics-agent';
import { acknowledgeImagePull, acknowledgeTask } from './nag-reasons';

/** The containers' view of the cache of weights. */
export const CACHE_FOLDER = '/model-cache';

const AGENT_IMAGE = 'public.ecr.aws/cloudwatch-agent/cloudwatch-agent:1.300066.1';
const AWS_CLI_IMAGE = 'public.ecr.aws/aws-cli/aws-cli:2.36.1';

export interface TaskProps {
  readonly fleetName: string;
  readonly metricsNamespace: string;
  readonly engine: EngineBinding;
  readonly weights: WeightsBinding;
  readonly capacity: CapacityBinding;
  readonly memoryReservationMiB: number;
  readonly sharedMemoryMiB: number;
  readonly stopTimeout: Duration;
  readonly apiKey?: ISecret;
  readonly logGroup: LogGroup;
  readonly metricsLogGroup: LogGroup;
  readonly agentImage?: ContainerImage;
  readonly copyImage?: ContainerImage;
}

/** One task: the engine, an agent that reads its metrics, and, where the engine can't stream, a copier of weights. */
export function createTask(scope: Construct, props: TaskProps): TaskDefinition {
  const { engine, capacity, weights } = props;
  const onEc2 = capacity.autoScalingGroup !== undefined;
  const task = new TaskDefinition(scope, 'Task', {
    compatibility: onEc2 ? Compatibility.EC2 : Compatibility.MANAGED_INSTANCES,
    networkMode: NetworkMode.AWS_VPC,
    volumes: [{ name: 'cache', ...(capacity.hostCacheFolder && { host: { sourcePath: capacity.hostCacheFolder } }) }],
    ...(!onEc2 && { cpu: '2048', memoryMiB: String(props.memoryReservationMiB) }),
  });
  weights.grantRead(task.taskRole);
  const container = addEngine(scope, task, props, onEc2);
  if (engine.copyWeights) {
    const copier = addCopier(task, props);
    container.addContainerDependencies({ container: copier, condition: ContainerDependencyCondition.SUCCESS });
  }
  if (engine.metrics !== undefined) addAgent(task, props);
  acknowledgeTask(task);
  if (needsToken(props)) acknowledgeImagePull(task);
  return task;
}

function addEngine(scope: Construct, task: TaskDefinition, props: TaskProps, onEc2: boolean) {
  const { engine, weights } = props;
  const linuxParameters = new LinuxParameters(scope, 'Linux', {
    initProcessEnabled: true,
    // Workers of one task pass tensors through it; Docker's own 64 MiB would stop them.
    sharedMemorySize: props.sharedMemoryMiB,
  });
  linuxParameters.dropCapabilities(
    Capability.NET_RAW,
    Capability.MKNOD,
    Capability.AUDIT_WRITE,
    Capability.SETFCAP,
    Capability.SYS_CHROOT,
  );
  const container = task.addContainer('Engine', {
    image: engine.image,
    command: engine.command.length > 0 ? engine.command : undefined,
    entryPoint: engine.entryPoint,
    environment: { ...(weights.source.type === 's3' && regionOf(task)), ...engine.environment },
    secrets: {
      ...(engine.apiKeyVariable !== undefined &&
        props.apiKey && { [engine.apiKeyVariable]: EcsSecret.fromSecretsManager(props.apiKey) }),
      ...(weights.token && { HF_TOKEN: EcsSecret.fromSecretsManager(weights.token, weights.tokenField) }),
    },
    gpuCount: engine.gpus,
    memoryReservationMiB: props.memoryReservationMiB,
    portMappings: [{ containerPort: engine.port }],
    stopTimeout: props.stopTimeout,
    linuxParameters,
    // Only folders of an instance of ours are prepared for another user than root. The root file system isn't read-only:
    // NVIDIA's container hook writes to it at the start (https://github.com/kserve/kserve/pull/5711).
    user: engine.user ?? (onEc2 ? engine.unprivilegedUser : undefined),
    logging: LogDrivers.awsLogs({ logGroup: props.logGroup, streamPrefix: 'engine' }),
    ...(onEc2 && { dockerSecurityOptions: ['no-new-privileges'] }),
  });
  container.addMountPoints({ sourceVolume: 'cache', containerPath: CACHE_FOLDER, readOnly: false });
  return container;
}

/** Copies what isn't there yet; a second task on the same instance finds it done. */
function addCopier(task: TaskDefinition, { weights, copyImage, logGroup }: TaskProps) {
  const { source } = weights;
  if (source.type !== 's3') throw new Error('only weights of a bucket are copied');
  const copier = task.addContainer('Weights', {
    image: copyImage ?? ContainerImage.fromRegistry(AWS_CLI_IMAGE),
    command: ['s3', 'sync', '--only-show-errors', '--exact-timestamps', source.uri, copyFolder(CACHE_FOLDER, source)],
    environment: regionOf(task),
    essential: false,
    memoryReservationMiB: 256,
    readonlyRootFilesystem: true,
    logging: LogDrivers.awsLogs({ logGroup, streamPrefix: 'weights' }),
  });
  copier.addMountPoints({ sourceVolume: 'cache', containerPath: CACHE_FOLDER, readOnly: false });
  return copier;
}

function addAgent(task: TaskDefinition, props: TaskProps): void {
  const { engine, fleetName, metricsLogGroup } = props;
  if (engine.metrics === undefined) return;
  const settings = {
    fleetName,
    port: engine.port,
    metrics: engine.metrics,
    namespace: props.metricsNamespace,
    logGroupName: metricsLogGroup.logGroupName,
  };
  task.addContainer('MetricsAgent', {
    image: props.agentImage ?? ContainerImage.fromRegistry(AGENT_IMAGE),
    // Without its metrics a fleet doesn't scale, but it serves.
    essential: false,
    enableRestartPolicy: true,
    memoryReservationMiB: 128,
    environment: {
      ...regionOf(task),
      PROMETHEUS_CONFIG_CONTENT: prometheusConfig(settings),
      CW_CONFIG_CONTENT: Stack.of(task).toJsonString(agentConfig(settings)),
    },
    logging: LogDrivers.awsLogs({ logGroup: props.logGroup, streamPrefix: 'agent' }),
  });
  metricsLogGroup.grantWrite(task.taskRole);
}

/** ECS on instances doesn't name it, and without it clients of S3 ask an endpoint outside the VPC. */
const regionOf = (task: TaskDefinition) => ({ AWS_REGION: Stack.of(task).region });

/** Whether an image is in a registry of the account: ECS then needs a token of it. */
function needsToken({ engine, agentImage, copyImage }: TaskProps): boolean {
  return [engine.image, engine.metrics && agentImage, engine.copyWeights && copyImage].some(
    (image) => image instanceof EcrImage || image instanceof AssetImage,
  );
}
