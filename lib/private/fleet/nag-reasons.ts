import { Validations } from 'aws-cdk-lib';
import type { IConstruct } from 'constructs';
import { acknowledgeManagedPolicy } from '../acknowledge';

/** Tells cdk-nag why instances of an Auto Scaling group are as they are. */
export function acknowledgeInstances(group: IConstruct, role: IConstruct): void {
  Validations.of(group).acknowledge({
    id: 'AwsSolutions-AS3',
    reason:
      'ECS scales the group; its capacity provider and the service say what happens, notifications would repeat it.',
  });
  Validations.of(role).acknowledge({
    id: 'AwsSolutions-IAM5[Resource::*]',
    reason: 'ecs:Poll and ecr:GetAuthorizationToken have no resources to restrict; the former is tied to the cluster.',
  });
}

export function acknowledgeManagedInstances(provider: IConstruct): void {
  acknowledgeManagedPolicy(
    provider,
    'AmazonECSInfrastructureRolePolicyForManagedInstances',
    "ECS's own policy for the instances that it runs on the user's behalf.",
  );
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
