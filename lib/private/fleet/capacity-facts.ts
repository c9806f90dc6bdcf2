import type { InstanceType } from 'aws-cdk-lib/aws-ec2';
import { requireNumber, requireUnique } from '../validation';
import type { CapacityFacts } from './capacity-binding';
import { gpuInstance } from './gpu-instances';

interface Given {
  readonly instanceTypes: readonly InstanceType[];
  readonly hourlyPriceUsd?: number;
}

export function capacityFacts({ instanceTypes, hourlyPriceUsd }: Given): CapacityFacts {
  if (instanceTypes.length === 0) throw new Error('instanceTypes must name at least one type');
  requireUnique(
    'instanceTypes',
    instanceTypes.map((type) => type.toString()),
  );
  requireNumber('hourlyPriceUsd', hourlyPriceUsd, 0);
  const instances = instanceTypes.map(gpuInstance);
  return { instances, hourlyUsd: hourlyPriceUsd ?? instances[0]?.hourlyUsd };
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
