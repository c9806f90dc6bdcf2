import type { Connections, ISecurityGroup, IVpc, SubnetSelection } from 'aws-cdk-lib/aws-ec2';
import type { IFunction } from 'aws-cdk-lib/aws-lambda';

/** Where a function is. */
export interface FunctionNetwork {
  readonly vpc?: IVpc;
  readonly vpcSubnets?: SubnetSelection;
  readonly securityGroups?: ISecurityGroup[];
}

/** What a compute says about the function that runs on it. */
export interface ComputeFunctionProps extends FunctionNetwork {
  /**
   * The function's construct id. Lambda refuses to add a capacity provider to a function, or to take it away, so that
   * a function with one is not the function without.
   */
  readonly functionId: string;
  readonly memorySize: number;
  readonly reservedConcurrentExecutions?: number;
}

/** The function as it is called and as it calls. */
export interface ComputeTarget {
  /** What API Gateway invokes. */
  readonly invoked: IFunction;
  /** Where the function is in a VPC; absent when it is in none. */
  readonly connections?: Connections;
}
