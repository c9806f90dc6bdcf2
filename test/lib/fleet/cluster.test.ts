import { Template } from 'aws-cdk-lib/assertions';
import { Vpc } from 'aws-cdk-lib/aws-ec2';
import { Cluster } from 'aws-cdk-lib/aws-ecs';
import { describe, expect, test } from 'vitest';
import { newStack } from '../fixture.ts';
import { fleetIn, vpcOf } from './fixture.ts';

describe('fleets in a cluster of the user', () => {
  test('run beside each other, each on its own instances', () => {
    const stack = newStack();
    const vpc = vpcOf(stack);
    const cluster = new Cluster(stack, 'Shared', { vpc });
    fleetIn(stack, { vpc, cluster }, 'Chat');
    fleetIn(stack, { vpc, cluster }, 'Code');
    const template = Template.fromStack(stack);
    template.resourceCountIs('AWS::ECS::Cluster', 1);
    template.resourceCountIs('AWS::ECS::CapacityProvider', 2);
    const [links] = Object.values(template.findResources('AWS::ECS::ClusterCapacityProviderAssociations'));
    expect(links?.Properties.CapacityProviders).toHaveLength(2);
    const providers = Object.values(template.findResources('AWS::ECS::Service')).map(({ Properties }) =>
      JSON.stringify(Properties.CapacityProviderStrategy),
    );
    expect(new Set(providers).size).toBe(2);
  }, 60_000);

  test('need to be in its VPC', () => {
    const stack = newStack();
    const other = Vpc.fromVpcAttributes(stack, 'Other', {
      vpcId: 'vpc-2',
      availabilityZones: ['a'],
      privateSubnetIds: ['subnet-9'],
    });
    const cluster = new Cluster(stack, 'Shared', { vpc: other });
    expect(() => fleetIn(stack, { cluster })).toThrow(
      'cluster "Test/Shared" is in another VPC than fleet "chat": pass the cluster\'s as vpc',
    );
  });
});
