import { Token } from 'aws-cdk-lib';
import type { InstanceType } from 'aws-cdk-lib/aws-ec2';
import { GPU_INSTANCES, type GpuInstance } from './gpu-table';

export type { GpuInstance };

/** In the order of the table: by family, then by number of GPUs and size. */
export const gpuInstances: readonly GpuInstance[] = [...GPU_INSTANCES.values()];

/** @throws Error when the type is none of the table's */
export function gpuInstance(type: InstanceType): GpuInstance {
  const name = type.toString();
  const known = GPU_INSTANCES.get(name);
  if (known !== undefined) return known;
  if (Token.isUnresolved(name)) {
    throw new Error('instanceTypes must be known at synth, but one is a token: the GPUs per task depend on it');
  }
  throw new Error(
    `instanceTypes has "${name}", which is no known GPU type: use one of ${[...GPU_INSTANCES.keys()].join(', ')}`,
  );
}
