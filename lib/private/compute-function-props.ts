import type { ISecurityGroup, IVpc, SubnetSelection } from 'aws-cdk-lib/aws-ec2';

/** What a compute says about the function that runs on it. */
export interface ComputeFunctionProps {
  readonly memorySize: number;
  readonly reservedConcurrentExecutions?: number;
  readonly vpc?: IVpc;
  readonly vpcSubnets?: SubnetSelection;
  readonly securityGroups?: ISecurityGroup[];
}
