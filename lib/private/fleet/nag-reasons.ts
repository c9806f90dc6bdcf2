import { ArnFormat, Stack, Validations } from 'aws-cdk-lib';
import type { IConstruct } from 'constructs';
import { acknowledgeManagedPolicy } from '../acknowledge';

/** Tells cdk-nag why instances of an Auto Scaling group are as they are. */
export function acknowledgeInstances(group: IConstruct, role: IConstruct): void {
  Validations.of(group).acknowledge(
    {
      id: 'AwsSolutions-AS3',
      reason:
        'ECS scales the group; its capacity provider and the service say what happens, notifications would repeat it.',
    },
    {
      id: 'AwsSolutions-EC26',
      reason: "The launch template encrypts its volume; cdk-nag can't read one that several instance types share.",
    },
  );
  Validations.of(role).acknowledge(
    {
      id: 'AwsSolutions-IAM5[Resource::*]',
      reason:
        'ecs:Poll and ecr:GetAuthorizationToken have no resources to restrict; the former is tied to the cluster.',
    },
    {
      id: 'AwsSolutions-IAM5[Action::ecs:Submit*]',
      reason: "The CDK's grant for ECS's agent: three actions by which it reports states, on the fleet's own cluster.",
    },
  );
}

export function acknowledgeManagedInstances(provider: IConstruct): void {
  acknowledgeManagedPolicy(
    provider,
    'AmazonECSInfrastructureRolePolicyForManagedInstances',
    "ECS's own policy for the instances that it runs on the user's behalf.",
  );
  const reason = "The CDK's grants for ECS's agent on instances, whose names are not known before they exist.";
  Validations.of(provider).acknowledge({ id: 'AwsSolutions-IAM5[Resource::*]', reason });
  const arn = Stack.of(provider).formatArn({
    service: 'ecs',
    resource: 'container-instance',
    resourceName: '*',
    arnFormat: ArnFormat.SLASH_RESOURCE_NAME,
  });
  acknowledgeWildcard(provider, arn, reason);
}

export function acknowledgeBalancer(loadBalancer: IConstruct): void {
  Validations.of(loadBalancer).acknowledge({
    id: 'AwsSolutions-ELB2',
    reason:
      'Only the gateway gets in, whose own log has every request; accessLogs of the fleet turns this one on as well.',
  });
}

export function acknowledgeTask(taskDefinition: IConstruct): void {
  Validations.of(taskDefinition).acknowledge({
    id: 'AwsSolutions-ECS2',
    reason: 'Variables hold settings of the engine and the agent, which belong to the revision; keys are secrets.',
  });
}

export function acknowledgeKey(secret: IConstruct): void {
  Validations.of(secret).acknowledge({
    id: 'AwsSolutions-SMG4',
    reason: "Engines read their key once, at start: a rotation has to replace all tasks, which is the owner's to time.",
  });
}

/** cdk-nag can't read the VPC's address range, which is an attribute at deploy. */
export function acknowledgeEndpoints(endpoint: IConstruct): void {
  Validations.of(endpoint).acknowledge({
    id: 'AwsSolutions-EC23',
    reason: "Let in is HTTPS from the VPC's own addresses, which are an attribute that cdk-nag can't read.",
  });
}

/** Tells cdk-nag why a policy has a resource with a wildcard; it names values of deploy in angle brackets. */
export function acknowledgeWildcard(scope: IConstruct, arn: string, reason: string): void {
  const id = `AwsSolutions-IAM5[Resource::${flat(Stack.of(scope).resolve(arn))}]`;
  Validations.of(scope).acknowledge({ id, reason });
}

export function acknowledgeImagePull(taskDefinition: IConstruct): void {
  Validations.of(taskDefinition).acknowledge({
    id: 'AwsSolutions-IAM5[Resource::*]',
    reason: 'ecr:GetAuthorizationToken, which pulling from a registry of the account needs, takes "*" only.',
  });
}

function flat(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value);
  const [[name, argument] = ['', '']] = Object.entries(value);
  if (name === 'Fn::Join') return (argument as [string, unknown[]])[1].map(flat).join((argument as [string])[0]);
  if (name === 'Fn::GetAtt') return `<${(argument as string[]).join('.')}>`;
  return `<${argument}>`;
}
