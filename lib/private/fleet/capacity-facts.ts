import type { InstanceType } from 'aws-cdk-lib/aws-ec2';
import { requireKnown, requireNumber, requireUnique } from '../validation';
import type { CapacityFacts } from './capacity-binding';
import { gpuInstance } from './gpu-instances';

interface Given {
  readonly instanceTypes: readonly InstanceType[];
  readonly hourlyPriceUsd?: number;
  readonly spotPriceFactor?: number;
  readonly spot?: boolean;
  readonly onDemandBase?: number;
}

/** Cheaper Spot instances than this nobody has seen: EC2 speaks of up to 90 %. */
const MIN_SPOT_FACTOR = 0.01;

export function capacityFacts(given: Given): CapacityFacts {
  const { instanceTypes, hourlyPriceUsd, spotPriceFactor, spot = false, onDemandBase = 0 } = given;
  if (instanceTypes.length === 0) throw new Error('instanceTypes must name at least one type');
  requireUnique(
    'instanceTypes',
    instanceTypes.map((type) => type.toString()),
  );
  requireNumber('hourlyPriceUsd', hourlyPriceUsd, 0);
  requireKnown('spotPriceFactor', spotPriceFactor);
  requireNumber('spotPriceFactor', spotPriceFactor, MIN_SPOT_FACTOR, 1);
  if (spotPriceFactor !== undefined && !spot) {
    throw new Error('spotPriceFactor needs spot: without it every instance has the on-demand price');
  }
  const instances = instanceTypes.map(gpuInstance);
  const onDemandUsd = hourlyPriceUsd ?? instances[0]?.hourlyUsd;
  return {
    instances,
    hourlyUsd: onDemandUsd === undefined ? undefined : onDemandUsd * (spotPriceFactor ?? 1),
    ...(onDemandBase > 0 && { onDemandBase: { instances: onDemandBase, hourlyUsd: onDemandUsd } }),
    spotPriceUnknown: spot && hourlyPriceUsd === undefined && spotPriceFactor === undefined,
  };
}

/** Tasks that fit on one instance, by its GPUs. The first type counts for what things cost. */
export function tasksPerInstance(facts: CapacityFacts, gpusPerTask: number): number[] {
  return facts.instances.map((instance) => {
    const tasks = Math.floor(instance.gpus / gpusPerTask);
    if (tasks === 0) {
      throw new Error(
        `instanceTypes has "${instance.type}" with ${instance.gpus} GPU(s), but a task needs ${gpusPerTask}: use a larger type, or a smaller tensorParallelSize`,
      );
    }
    return tasks;
  });
}

/**
 * MiB of an instance's memory that are reserved for one task: what is left for others is the reserve for the operating
 * system and ECS's agent. There is no upper limit: memory that nobody else asks for is the engine's.
 */
export function taskMemoryMiB(facts: CapacityFacts, gpusPerTask: number): number {
  const tasks = tasksPerInstance(facts, gpusPerTask);
  const shares = facts.instances.map(({ memoryGiB }, index) => (memoryGiB * 1024 * 0.8) / (tasks[index] ?? 1));
  return Math.floor(Math.min(...shares));
}
