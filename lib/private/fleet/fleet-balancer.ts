import { Duration } from 'aws-cdk-lib';
import { type IVpc, SecurityGroup, type SubnetSelection } from 'aws-cdk-lib/aws-ec2';
import type { BaseService } from 'aws-cdk-lib/aws-ecs';
import {
  type ApplicationListener,
  ApplicationLoadBalancer,
  ApplicationProtocol,
  ApplicationTargetGroup,
  ListenerAction,
  ListenerCondition,
  TargetGroupLoadBalancingAlgorithmType,
  TargetType,
} from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import type { IBucket } from 'aws-cdk-lib/aws-s3';
import type { Construct } from 'constructs';
import type { EngineBinding } from './engine-binding';
import { acknowledgeBalancer } from './nag-reasons';

export interface BalancerProps {
  readonly vpc: IVpc;
  readonly vpcSubnets?: SubnetSelection;
  readonly engine: EngineBinding;
  readonly idleTimeout: Duration;
  readonly deregistrationDelay: Duration;
  readonly sessionStickiness: Duration | undefined;
  readonly accessLogs?: IBucket;
}

export interface FleetBalancer {
  readonly loadBalancer: ApplicationLoadBalancer;
  readonly listener: ApplicationListener;
  readonly targetGroup: ApplicationTargetGroup;
}

/** Plain HTTP inside the VPC: from the gateway's function to the load balancer, and from there to the tasks. */
const LISTENER_PORT = 80;

/** The only paths that get through. Engines serve others without asking for a key: metrics, tokenizers, SageMaker's. */
const ALLOWED_PATHS = ['/v1/chat/completions', '/v1/completions', '/v1/models'];

const NOT_FOUND = JSON.stringify({
  error: { message: 'Not found.', type: 'invalid_request_error', param: null, code: 'not_found' },
});

/** The internal load balancer of a fleet; nobody is let in yet. */
export function createBalancer(scope: Construct, props: BalancerProps): FleetBalancer {
  const { vpc, vpcSubnets, engine } = props;
  const loadBalancer = new ApplicationLoadBalancer(scope, 'LoadBalancer', {
    vpc,
    vpcSubnets,
    internetFacing: false,
    securityGroup: new SecurityGroup(scope, 'LoadBalancerSecurityGroup', {
      vpc,
      description: 'Load balancer of a fleet: in from gateways, out to tasks',
      allowAllOutbound: false,
    }),
    idleTimeout: props.idleTimeout,
    dropInvalidHeaderFields: true,
  });
  if (props.accessLogs === undefined) acknowledgeBalancer(loadBalancer);
  else loadBalancer.logAccessLogs(props.accessLogs);
  const targetGroup = new ApplicationTargetGroup(scope, 'TargetGroup', {
    vpc,
    port: engine.port,
    protocol: ApplicationProtocol.HTTP,
    targetType: TargetType.IP,
    // A long answer and a short one are one request each: what counts is who has least to do.
    loadBalancingAlgorithmType: TargetGroupLoadBalancingAlgorithmType.LEAST_OUTSTANDING_REQUESTS,
    stickinessCookieDuration: props.sessionStickiness,
    deregistrationDelay: props.deregistrationDelay,
    healthCheck: {
      path: engine.healthPath,
      healthyHttpCodes: '200',
      interval: Duration.seconds(Math.max(10, engine.healthTimeoutSeconds + 5)),
      timeout: Duration.seconds(engine.healthTimeoutSeconds),
      healthyThresholdCount: 2,
      unhealthyThresholdCount: 3,
    },
  });
  const listener = loadBalancer.addListener('Listener', {
    port: LISTENER_PORT,
    protocol: ApplicationProtocol.HTTP,
    open: false,
    defaultAction: ListenerAction.fixedResponse(404, { contentType: 'application/json', messageBody: NOT_FOUND }),
  });
  listener.addAction('Api', {
    priority: 1,
    conditions: [ListenerCondition.pathPatterns(ALLOWED_PATHS)],
    action: ListenerAction.forward([targetGroup]),
  });
  return { loadBalancer, listener, targetGroup };
}

/** Also opens the ways between the load balancer and the tasks, and no other. */
export function addTargets({ targetGroup }: FleetBalancer, service: BaseService, engine: EngineBinding): void {
  targetGroup.addTarget(service.loadBalancerTarget({ containerName: 'Engine', containerPort: engine.port }));
}
