import { Size } from 'aws-cdk-lib';
import { SecurityGroup } from 'aws-cdk-lib/aws-ec2';
import { CapacityOptionType, ManagedInstancesCapacityProvider } from 'aws-cdk-lib/aws-ecs';
import type { IGpuCapacity, ManagedInstancesGpuCapacityOptions } from '../../fleet/gpu-capacity';
import { requireSize } from '../validation';
import type { CapacityBinding, CapacityContext, CapacityFacts } from './capacity-binding';
import { capacityFacts, tasksPerInstance } from './capacity-facts';
import { acknowledgeManagedInstances } from './nag-reasons';

/** What the API's reference names for none. */
const NO_PRICE_LIMIT = 999_999;

export class ManagedInstancesCapacity implements IGpuCapacity {
  private readonly facts: CapacityFacts;
  private readonly volumeSize: Size;

  constructor(private readonly options: ManagedInstancesGpuCapacityOptions) {
    this.facts = capacityFacts(options);
    this.volumeSize = options.volumeSize ?? Size.gibibytes(200);
    requireSize('volumeSize', this.volumeSize, Size.gibibytes(30), Size.gibibytes(16384));
  }

  /** @internal */
  public _facts(): CapacityFacts {
    return this.facts;
  }

  /** @internal */
  public _bind({ scope, vpc, vpcSubnets, cluster, gpusPerTask }: CapacityContext): CapacityBinding {
    tasksPerInstance(this.facts, gpusPerTask);
    const { instances } = this.facts;
    const provider = new ManagedInstancesCapacityProvider(scope, 'CapacityProvider', {
      subnets: vpc.selectSubnets(vpcSubnets).subnets,
      securityGroups: [
        new SecurityGroup(scope, 'InstanceSecurityGroup', {
          vpc,
          description: 'GPU instances: nothing in, everything out',
        }),
      ],
      taskVolumeStorage: this.volumeSize,
      ...(this.options.spot && { capacityOptionType: CapacityOptionType.SPOT }),
      instanceRequirements: {
        // The names decide; the minima are required fields.
        allowedInstanceTypes: instances.map(({ type }) => type),
        vCpuCountMin: Math.min(...instances.map(({ vcpus }) => vcpus)),
        memoryMin: Size.gibibytes(Math.min(...instances.map(({ memoryGiB }) => memoryGiB))),
        // Otherwise types are left out, without a word, that cost 20 % more than the cheapest.
        ...(this.options.spot
          ? { spotMaxPricePercentageOverLowestPrice: NO_PRICE_LIMIT }
          : { onDemandMaxPricePercentageOverLowestPrice: NO_PRICE_LIMIT }),
      },
    });
    cluster.addManagedInstancesCapacityProvider(provider);
    acknowledgeManagedInstances(provider);
    return { capacityProviderName: provider.capacityProviderName };
  }
}
