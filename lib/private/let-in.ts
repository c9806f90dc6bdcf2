import type { Connections, Port } from 'aws-cdk-lib/aws-ec2';

/**
 * Lets the one side in, and out of its own security groups where those let nothing out by themselves: the CDK's
 * `allowFrom` writes that rule for any group, and warns that one which lets everything out ignores it.
 */
export function letIn(to: Connections, from: Connections, port: Port, description: string): void {
  for (const target of to.securityGroups) {
    for (const source of from.securityGroups) {
      // In the stack of the source, which refers to the target anyway: the other way round two stacks need each other.
      target.addIngressRule(source, port, description, true);
      if (!source.allowAllOutbound) source.addEgressRule(target, port, description);
    }
  }
}
