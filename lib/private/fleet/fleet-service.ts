import type { Duration } from 'aws-cdk-lib';
import { type IVpc, SecurityGroup, type SubnetSelection } from 'aws-cdk-lib/aws-ec2';
import {
  AvailabilityZoneRebalancing,
  type BaseService,
  type Cluster,
  Ec2Service,
  FargateService,
  PlacementStrategy,
  type TaskDefinition,
} from 'aws-cdk-lib/aws-ecs';
import type { Construct } from 'constructs';
import type { CapacityBinding } from './capacity-binding';

export interface ServiceProps {
  readonly cluster: Cluster;
  readonly vpc: IVpc;
  readonly vpcSubnets?: SubnetSelection;
  readonly taskDefinition: TaskDefinition;
  readonly capacity: CapacityBinding;
  /** Absent where something scales it: a deployment must not set the number back. */
  readonly desiredCount?: number;
  readonly minHealthyPercent: number;
  readonly maxHealthyPercent: number;
  readonly startTimeout: Duration;
}

/**
 * Its desired count isn't set: CloudFormation starts it with one task, which shows at deployment whether the model
 * loads, and leaves the number to scaling from then on. A number in the template would come back at every deployment.
 */
export function createService(scope: Construct, props: ServiceProps): BaseService {
  const { capacity } = props;
  const common = {
    cluster: props.cluster,
    taskDefinition: props.taskDefinition,
    vpcSubnets: props.vpcSubnets,
    securityGroups: [
      new SecurityGroup(scope, 'TaskSecurityGroup', {
        vpc: props.vpc,
        description: 'Tasks of a fleet: in from the load balancer, everything out',
      }),
    ],
    capacityProviderStrategies: [{ capacityProvider: capacity.capacityProviderName, weight: 1 }],
    desiredCount: props.desiredCount,
    minHealthyPercent: props.minHealthyPercent,
    maxHealthyPercent: props.maxHealthyPercent,
    circuitBreaker: { enable: true, rollback: true },
    healthCheckGracePeriod: props.startTimeout,
    enableECSManagedTags: true,
    // Moving a task costs the minutes of a load, and GPUs may be in one zone only.
    availabilityZoneRebalancing: AvailabilityZoneRebalancing.DISABLED,
  };
  if (capacity.autoScalingGroup === undefined) {
    // The CDK's class for services on instances that aren't ours, Managed Instances included.
    return new FargateService(scope, 'Service', common);
  }
  return new Ec2Service(scope, 'Service', {
    ...common,
    // Instances get empty, so that they can go.
    placementStrategies: [PlacementStrategy.packedByMemory()],
  });
}
