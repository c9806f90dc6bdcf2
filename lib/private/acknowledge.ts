import { Validations } from 'aws-cdk-lib';
import type { IConstruct } from 'constructs';

/** Tells cdk-nag (AwsSolutions-IAM4) why a role has a policy that AWS manages, such as `service-role/…`. */
export function acknowledgeManagedPolicy(scope: IConstruct, policy: string, reason: string): void {
  // The CDK leaves the partition of these ARNs to CloudFormation, also where it knows the region; so cdk-nag writes it.
  const id = `AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/${policy}]`;
  Validations.of(scope).acknowledge({ id, reason });
}
