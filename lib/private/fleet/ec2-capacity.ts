import { Size } from 'aws-cdk-lib';
import {
  AutoScalingGroup,
  BlockDeviceVolume,
  EbsDeviceVolumeType,
  GroupMetrics,
  OnDemandAllocationStrategy,
  SpotAllocationStrategy,
} from 'aws-cdk-lib/aws-autoscaling';
import { LaunchTemplate, SecurityGroup, UserData } from 'aws-cdk-lib/aws-ec2';
import { AmiHardwareType, AsgCapacityProvider, BottleRocketImage, EcsOptimizedImage } from 'aws-cdk-lib/aws-ecs';
import { Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { Ec2GpuCapacityOptions, IGpuCapacity } from '../../fleet/gpu-capacity';
import { requireInteger, requireSize } from '../validation';
import type { CapacityBinding, CapacityContext, CapacityFacts } from './capacity-binding';
import { capacityFacts, tasksPerInstance } from './capacity-facts';
import { acknowledgeInstances } from './nag-reasons';

/** Outlives tasks; on the instance's own NVMe where it has one, else on its EBS volume. */
const CACHE_FOLDER = '/var/lib/model-cache';

export class Ec2Capacity implements IGpuCapacity {
  private readonly facts: CapacityFacts;
  private readonly volumeGiB: number;

  constructor(private readonly options: Ec2GpuCapacityOptions) {
    this.facts = capacityFacts(options);
    requireInteger('maxInstances', options.maxInstances, 1);
    requireInteger('onDemandBase', options.onDemandBase, 0);
    if (options.onDemandBase !== undefined && options.spot !== true) {
      throw new Error('onDemandBase needs spot: without it every instance is on-demand');
    }
    if (options.machineImage instanceof BottleRocketImage) {
      throw new Error(
        "machineImage must not be Bottlerocket, which doesn't run the script that prepares the instance: use an ECS-optimized image of Amazon Linux with NVIDIA's driver",
      );
    }
    this.volumeGiB = requireVolume(options.volumeSize);
  }

  /** @internal */
  public _facts(): CapacityFacts {
    return this.facts;
  }

  /** @internal */
  public _bind(context: CapacityContext): CapacityBinding {
    const { scope, vpc, cluster } = context;
    const spot = this.options.spot ?? false;
    const fewest = Math.min(...tasksPerInstance(this.facts, context.gpusPerTask));
    const userData = UserData.forLinux();
    userData.addCommands(...setUp(spot));
    const role = new Role(scope, 'InstanceRole', { assumedBy: new ServicePrincipal('ec2.amazonaws.com') });
    const launchTemplate = new LaunchTemplate(scope, 'LaunchTemplate', {
      machineImage: this.options.machineImage ?? EcsOptimizedImage.amazonLinux2023(AmiHardwareType.GPU),
      userData,
      role,
      securityGroup: new SecurityGroup(scope, 'InstanceSecurityGroup', {
        vpc,
        description: 'GPU instances: nothing in, everything out',
      }),
      requireImdsv2: true,
      // Containers in a bridge, one hop further away, don't get at the instance's credentials; tasks: see below.
      httpPutResponseHopLimit: 1,
      blockDevices: [
        {
          deviceName: '/dev/xvda',
          volume: BlockDeviceVolume.ebs(this.volumeGiB, {
            encrypted: true,
            volumeType: EbsDeviceVolumeType.GP3,
            // Weights are read at start: gp3's own 125 MiB/s would take minutes more. Its maximum is 1,000.
            throughput: 500,
            iops: 4000,
          }),
        },
      ],
    });
    const autoScalingGroup = new AutoScalingGroup(scope, 'Instances', {
      vpc,
      vpcSubnets: context.vpcSubnets,
      minCapacity: 0,
      maxCapacity: this.options.maxInstances ?? Math.ceil(context.mostTasks / fewest),
      mixedInstancesPolicy: {
        launchTemplate,
        launchTemplateOverrides: this.options.instanceTypes.map((instanceType) => ({ instanceType })),
        instancesDistribution: {
          onDemandAllocationStrategy: OnDemandAllocationStrategy.PRIORITIZED,
          onDemandBaseCapacity: this.options.onDemandBase ?? 0,
          onDemandPercentageAboveBaseCapacity: spot ? 0 : 100,
          ...(spot && { spotAllocationStrategy: SpotAllocationStrategy.PRICE_CAPACITY_OPTIMIZED }),
        },
      },
      capacityRebalance: spot,
      groupMetrics: [GroupMetrics.all()],
    });
    const provider = new AsgCapacityProvider(scope, 'CapacityProvider', {
      autoScalingGroup,
      // An instance with a task isn't taken; one that must go hands its tasks over first.
      enableManagedTerminationProtection: true,
      enableManagedDraining: true,
      targetCapacityPercent: 100,
    });
    cluster.addAsgCapacityProvider(provider);
    acknowledgeInstances(autoScalingGroup, role);
    return {
      capacityProviderName: provider.capacityProviderName,
      autoScalingGroup,
      hostCacheFolder: CACHE_FOLDER,
    };
  }
}

function requireVolume(size: Size | undefined): number {
  const given = size ?? Size.gibibytes(200);
  requireSize('volumeSize', given, Size.gibibytes(30), Size.gibibytes(16384));
  return given.toGibibytes();
}

/** Shell commands that an instance runs at its first start, before ECS's agent is told its cluster. */
function setUp(spot: boolean): string[] {
  return [
    // Instance store disks become one cache; they are faster than EBS and cost nothing more.
    `mkdir -p ${CACHE_FOLDER}`,
    'disks=$(lsblk --nodeps --noheadings --output NAME,MODEL | awk \'/Instance Storage/ {print "/dev/" $1}\')',
    'count=$(echo $disks | wc -w)',
    // The image is made of Amazon Linux's minimal one, which has no mdadm; its packages are in S3.
    'if [ "$count" -gt 1 ]; then command -v mdadm || dnf install -y --setopt=retries=2 mdadm; fi',
    'if [ "$count" -gt 1 ] && mdadm --create /dev/md0 --run --level=0 --raid-devices=$count $disks; then disks=/dev/md0; fi',
    // One disk of several is better than none.
    "disk=$(echo $disks | cut -d ' ' -f 1)",
    `if [ "$count" -gt 0 ]; then mkfs.xfs -f $disk && mount $disk ${CACHE_FOLDER}; fi`,
    // Engines that don't run as root are in its group.
    `chmod g+rwxs ${CACHE_FOLDER}`,
    // Images are large, and their tags are pinned.
    'echo ECS_IMAGE_PULL_BEHAVIOR=prefer-cached >> /etc/ecs/ecs.config',
    // A task has a network interface of its own, by which a hop limit of 1 is kept: only this keeps it from the role.
    // https://docs.aws.amazon.com/AmazonECS/latest/developerguide/security-iam-roles.html
    'echo ECS_AWSVPC_BLOCK_IMDS=true >> /etc/ecs/ecs.config',
    // Tasks that were told to stop are given their time.
    'echo ECS_CONTAINER_STOP_TIMEOUT=2m >> /etc/ecs/ecs.config',
    ...(spot ? ['echo ECS_ENABLE_SPOT_INSTANCE_DRAINING=true >> /etc/ecs/ecs.config'] : []),
  ];
}
