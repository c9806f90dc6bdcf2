import type { Size } from 'aws-cdk-lib';
import type { IMachineImage, InstanceType } from 'aws-cdk-lib/aws-ec2';
import type { CapacityBinding, CapacityContext, CapacityFacts } from '../private/fleet/capacity-binding';
import { Ec2Capacity } from '../private/fleet/ec2-capacity';
import { ManagedInstancesCapacity } from '../private/fleet/managed-instances-capacity';

/** Options that every capacity has. */
export interface GpuCapacityOptions {
  /**
   * What one instance costs on-demand, in USD an hour.
   *
   * @default - the first type's list price (Linux, on-demand, us-east-1), where this package knows it
   */
  readonly hourlyPriceUsd?: number;

  /**
   * What a Spot instance costs, as a share of the on-demand price: more than 0, at most 1. Needs `spot`. It is an
   * assumption, by which tokens are priced and the fleet is metered: Spot prices differ by type, zone and hour. The
   * pricing history of EC2's Spot requests shows yours; set a cautious one.
   *
   * @default 1 - as dear as on-demand: what is metered is too high rather than too low. Synthesis warns of it
   */
  readonly spotPriceFactor?: number;
}

/** Options of instances in an Auto Scaling group. */
export interface Ec2GpuCapacityOptions extends GpuCapacityOptions {
  /** GPU types to use, the preferred one first. Each must have the GPUs that a task needs. */
  readonly instanceTypes: InstanceType[];

  /**
   * Use Spot instances. They are up to 90 % cheaper and can be taken back with two minutes' notice: tasks are then
   * drained, and what they can't finish ends with an error event, or goes on at the model's next backend.
   *
   * @default false
   */
  readonly spot?: boolean;

  /**
   * With `spot`, instances that are on-demand nevertheless.
   *
   * @default 0
   */
  readonly onDemandBase?: number;

  /**
   * Instances at most.
   *
   * @default - as many as the fleet's most tasks need, those of a deployment included
   */
  readonly maxInstances?: number;

  /**
   * The instances' disk: images and, where there is no NVMe, weights.
   *
   * @default Size.gibibytes(200)
   */
  readonly volumeSize?: Size;

  /**
   * The image; it must be ECS-optimized and have NVIDIA's driver.
   *
   * @default - Amazon Linux 2023, ECS-optimized, GPU: the newest at each deployment
   */
  readonly machineImage?: IMachineImage;
}

/** Options of ECS Managed Instances. */
export interface ManagedInstancesGpuCapacityOptions extends GpuCapacityOptions {
  /** GPU types to use. Each must have the GPUs that a task needs. */
  readonly instanceTypes: InstanceType[];

  /**
   * Use Spot instances.
   *
   * @default false
   */
  readonly spot?: boolean;

  /**
   * The instances' disk for images and weights.
   *
   * @default Size.gibibytes(200)
   */
  readonly volumeSize?: Size;
}

/** The GPUs of a fleet. Made by `GpuCapacity`'s factories. */
export interface IGpuCapacity {
  /** @internal */
  _facts(): CapacityFacts;

  /** @internal */
  _bind(context: CapacityContext): CapacityBinding;
}

/** The GPUs of a fleet. */
export abstract class GpuCapacity {
  /** Instances in an Auto Scaling group of your account, as many as tasks need, none when there are none. */
  public static ec2(options: Ec2GpuCapacityOptions): IGpuCapacity {
    return new Ec2Capacity(options);
  }

  /**
   * ECS Managed Instances: ECS chooses, patches and replaces them, for a fee on top of EC2's price. Tasks find no cache
   * of weights there: each downloads its own.
   */
  public static managedInstances(options: ManagedInstancesGpuCapacityOptions): IGpuCapacity {
    return new ManagedInstancesCapacity(options);
  }

  private constructor() {}
}
