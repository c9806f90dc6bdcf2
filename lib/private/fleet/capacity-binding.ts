import type { AutoScalingGroup } from 'aws-cdk-lib/aws-autoscaling';
import type { IVpc, SubnetSelection } from 'aws-cdk-lib/aws-ec2';
import type { Cluster } from 'aws-cdk-lib/aws-ecs';
import type { Construct } from 'constructs';
import type { GpuInstance } from './gpu-instances';

export interface CapacityContext {
  readonly scope: Construct;
  readonly vpc: IVpc;
  readonly vpcSubnets?: SubnetSelection;
  readonly cluster: Cluster;
  /** Tasks that may run at once while a deployment replaces them. */
  readonly mostTasks: number;
  readonly gpusPerTask: number;
}

export interface CapacityBinding {
  readonly capacityProviderName: string;
  readonly autoScalingGroup?: AutoScalingGroup;
  /** Folder on the instance that outlives tasks; absent where tasks can't have one. */
  readonly hostCacheFolder?: string;
}

/** What is known of a capacity before there is a fleet. */
export interface CapacityFacts {
  readonly instances: readonly GpuInstance[];
  /** USD an hour of one instance of the first type, on Spot where it is; undefined when neither given nor known. */
  readonly hourlyUsd?: number;
  /** Instances that are on-demand although others are Spot: so many come first, and cost more. */
  readonly onDemandBase?: { readonly instances: number; readonly hourlyUsd?: number };
  /** What a Spot instance costs was neither said nor implied. */
  readonly spotPriceUnknown: boolean;
}
