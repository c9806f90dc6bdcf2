import type { Resource, Stack } from '../cloudformation/stack.ts';
import { isArray, isObject, type Json, type JsonObject } from '../cloudformation/template.ts';
import type {
  ActionDefinition,
  ConditionDefinition,
  ListenerDefinition,
  LoadBalancerDefinition,
  RuleDefinition,
  TargetGroupDefinition,
} from './definition.ts';

/** Load balancer's and target group's defaults, in seconds. */
const IDLE_TIMEOUT = 60;
const DEREGISTRATION_DELAY = 300;
const STICKINESS = 86_400;

/** @throws Error for what isn't stood in for */
export function loadBalancersOf(stack: Stack): LoadBalancerDefinition[] {
  return stack.ofType('AWS::ElasticLoadBalancingV2::LoadBalancer').flatMap((balancer) => {
    if ((balancer.property('Type') ?? 'application') !== 'application') return [];
    const attributes = attributesOf(balancer, 'LoadBalancerAttributes');
    return [
      {
        arn: balancer.ref,
        name: balancer.ref.split('/').at(-2) ?? balancer.logicalId,
        dnsName: balancer.attribute('DNSName'),
        idleTimeoutMs: seconds(attributes.get('idle_timeout.timeout_seconds'), IDLE_TIMEOUT),
        listeners: stack
          .ofType('AWS::ElasticLoadBalancingV2::Listener')
          .filter((listener) => listener.property('LoadBalancerArn') === balancer.ref)
          .map((listener) => listenerOf(stack, listener)),
      },
    ];
  });
}

function listenerOf(stack: Stack, listener: Resource): ListenerDefinition {
  const protocol = listener.property('Protocol') ?? 'HTTP';
  if (protocol !== 'HTTP' && protocol !== 'HTTPS') {
    throw new Error(`${listener.logicalId}: the local run doesn't know listeners of protocol ${String(protocol)}`);
  }
  const rules = stack
    .ofType('AWS::ElasticLoadBalancingV2::ListenerRule')
    .filter((rule) => rule.property('ListenerArn') === listener.ref)
    .sort((a, b) => Number(a.required('Priority')) - Number(b.required('Priority')))
    .map(
      (rule): RuleDefinition => ({
        conditions: list(rule.required('Conditions')).map((condition) => conditionOf(rule, condition)),
        action: actionOf(rule, list(rule.required('Actions'))),
      }),
    );
  const otherwise = { conditions: [], action: actionOf(listener, list(listener.required('DefaultActions'))) };
  return { port: Number(listener.required('Port')), protocol, rules: [...rules, otherwise] };
}

const CONFIGS = {
  'path-pattern': 'PathPatternConfig',
  'host-header': 'HostHeaderConfig',
  'http-request-method': 'HttpRequestMethodConfig',
  'http-header': 'HttpHeaderConfig',
} as const;

function conditionOf(rule: Resource, condition: JsonObject): ConditionDefinition {
  const field = String(condition.Field);
  if (!isKnown(field)) {
    throw new Error(`${rule.logicalId}: the local run doesn't know rule conditions on ${field}`);
  }
  const config = object(condition[CONFIGS[field]]);
  const values = config.Values ?? condition.Values;
  return {
    field,
    ...(config.HttpHeaderName === undefined ? {} : { header: String(config.HttpHeaderName).toLowerCase() }),
    patterns: isArray(values) ? values.map(String) : [],
  };
}

function isKnown(field: string): field is keyof typeof CONFIGS {
  return Object.hasOwn(CONFIGS, field);
}

/** An authenticating action would come first; here none is known. */
function actionOf(owner: Resource, actions: readonly JsonObject[]): ActionDefinition {
  const [action, ...others] = actions;
  if (action === undefined || others.length > 0) {
    throw new Error(`${owner.logicalId}: the local run takes one action, here are ${actions.length}`);
  }
  if (action.Type === 'fixed-response') {
    const { StatusCode, ContentType, MessageBody } = object(action.FixedResponseConfig);
    return {
      type: 'fixed-response',
      status: Number(StatusCode),
      contentType: String(ContentType ?? 'text/plain'),
      body: String(MessageBody ?? ''),
    };
  }
  if (action.Type === 'forward') {
    const groups = list(object(action.ForwardConfig).TargetGroups ?? [{ TargetGroupArn: action.TargetGroupArn ?? '' }]);
    return {
      type: 'forward',
      groups: groups.map(({ TargetGroupArn, Weight }) => ({
        arn: String(TargetGroupArn),
        weight: Number(Weight ?? 1),
      })),
    };
  }
  throw new Error(`${owner.logicalId}: the local run doesn't know actions of type ${String(action.Type)}`);
}

/** @throws Error for what isn't stood in for */
export function targetGroupsOf(stack: Stack): TargetGroupDefinition[] {
  return stack.ofType('AWS::ElasticLoadBalancingV2::TargetGroup').map((group) => {
    const attributes = attributesOf(group, 'TargetGroupAttributes');
    const sticky = attributes.get('stickiness.enabled') === 'true';
    if (sticky && (attributes.get('stickiness.type') ?? 'lb_cookie') !== 'lb_cookie') {
      throw new Error(
        `${group.logicalId}: the local run doesn't know stickiness by ${attributes.get('stickiness.type')}`,
      );
    }
    return {
      arn: group.ref,
      name: group.ref.split('/').at(-2) ?? group.logicalId,
      algorithm: algorithmOf(group, attributes.get('load_balancing.algorithm.type') ?? 'round_robin'),
      stickinessMs: sticky ? seconds(attributes.get('stickiness.lb_cookie.duration_seconds'), STICKINESS) : undefined,
      deregistrationDelayMs: seconds(attributes.get('deregistration_delay.timeout_seconds'), DEREGISTRATION_DELAY),
      healthCheck: {
        path: String(group.property('HealthCheckPath') ?? '/'),
        intervalMs: seconds(group.property('HealthCheckIntervalSeconds'), 30),
        timeoutMs: seconds(group.property('HealthCheckTimeoutSeconds'), 5),
        healthyThreshold: Number(group.property('HealthyThresholdCount') ?? 5),
        unhealthyThreshold: Number(group.property('UnhealthyThresholdCount') ?? 2),
        isHealthy: matcherOf(String(object(group.property('Matcher')).HttpCode ?? '200')),
      },
    };
  });
}

function algorithmOf(group: Resource, algorithm: string): TargetGroupDefinition['algorithm'] {
  if (algorithm === 'round_robin' || algorithm === 'least_outstanding_requests' || algorithm === 'weighted_random') {
    return algorithm;
  }
  throw new Error(`${group.logicalId}: the local run doesn't know the algorithm ${algorithm}`);
}

/** `200`, `200,202` or `200-299` */
function matcherOf(codes: string): (status: number) => boolean {
  const ranges = codes.split(',').map((part) => part.split('-').map(Number));
  return (status) => ranges.some(([from = 0, to = from]) => status >= from && status <= to);
}

function attributesOf(resource: Resource, property: string): Map<string, string> {
  return new Map(list(resource.property(property)).map(({ Key, Value }) => [String(Key), String(Value)]));
}

/** Milliseconds of a number of seconds, which templates may hold as a string. */
function seconds(value: Json | undefined, otherwise: number): number {
  return Number(value ?? otherwise) * 1000;
}

function list(value: Json | undefined): JsonObject[] {
  return isArray(value) ? value.map(object) : [];
}

function object(value: Json | undefined): JsonObject {
  return isObject(value) ? value : {};
}
