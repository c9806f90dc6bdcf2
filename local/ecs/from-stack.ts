import type { Gap } from '../cloudformation/gaps.ts';
import type { Resource, Stack } from '../cloudformation/stack.ts';
import { isArray, isObject, type Json, type JsonObject } from '../cloudformation/template.ts';
import { agentOf } from '../cloudwatch/agent.ts';
import { type EngineKind, KEY_VARIABLE } from '../engine/dialects.ts';
import type { EngineContainer, ServiceDefinition, TaskDefinition } from './definition.ts';

export interface EcsStack {
  readonly services: readonly ServiceDefinition[];
  readonly gaps: readonly Gap[];
}

/** The value of a secret, by what a container's `Secrets` refer to. */
export type SecretValue = (valueFrom: string) => string | undefined;

/** ECS's defaults: seconds until a container that was told to stop is killed, and percents of a rolling update. */
const STOP_TIMEOUT = 30;
const MIN_HEALTHY_PERCENT = 100;
const MAX_HEALTHY_PERCENT = 200;

/** @throws Error for what isn't stood in for */
export function ecsOf(stack: Stack, secret: SecretValue): EcsStack {
  const services: ServiceDefinition[] = [];
  const gaps: Gap[] = [];
  for (const service of stack.ofType('AWS::ECS::Service')) {
    const definition = stack
      .ofType('AWS::ECS::TaskDefinition')
      .find((candidate) => candidate.ref === service.property('TaskDefinition'));
    if (definition === undefined) throw new Error(`${service.logicalId}: its task definition is not in its stack`);
    const task = taskOf(definition, targetContainerOf(service), secret, gaps);
    if (task === undefined) {
      gaps.push({
        what: `AWS::ECS::Service ${labelOf(service)}`,
        count: 1,
        meaning: 'none of its containers is an engine: it has no task, requests to it are answered 503',
      });
      continue;
    }
    services.push({ ...serviceOf(service), task });
  }
  return { services, gaps };
}

function serviceOf(service: Resource): Omit<ServiceDefinition, 'task'> {
  const deployment = object(service.property('DeploymentConfiguration'));
  const breaker = object(deployment.DeploymentCircuitBreaker);
  return {
    arn: service.ref,
    resourceId: `service/${service.ref.split('/').slice(-2).join('/')}`,
    label: labelOf(service),
    desiredCount: Number(service.property('DesiredCount') ?? 1),
    minHealthyPercent: Number(deployment.MinimumHealthyPercent ?? MIN_HEALTHY_PERCENT),
    maxHealthyPercent: Number(deployment.MaximumPercent ?? MAX_HEALTHY_PERCENT),
    healthCheckGraceMs: Number(service.property('HealthCheckGracePeriodSeconds') ?? 0) * 1000,
    circuitBreaker: { enabled: breaker.Enable === true, rollback: breaker.Rollback === true },
    targets: list(service.property('LoadBalancers')).map((value) => {
      const { TargetGroupArn, ContainerPort } = object(value);
      return { groupArn: String(TargetGroupArn), containerPort: Number(ContainerPort) };
    }),
  };
}

/** The fleet's name rather than the service's: `Fleet` of `Stack/Fleet/Service/Service`. */
function labelOf(resource: Resource): string {
  const parts = resource.path.split('/').filter((part) => part !== 'Resource' && part !== 'Service');
  return parts.at(-1) ?? resource.logicalId;
}

/** The container that a load balancer sends requests to. */
function targetContainerOf(service: Resource): string | undefined {
  const [target] = list(service.property('LoadBalancers')).map(object);
  return target?.ContainerName === undefined ? undefined : String(target.ContainerName);
}

function taskOf(
  definition: Resource,
  target: string | undefined,
  secret: SecretValue,
  gaps: Gap[],
): TaskDefinition | undefined {
  const containers = list(definition.required('ContainerDefinitions')).map(object);
  const agents = containers.filter(isAgent);
  const known = containers.filter((container) => kindOf(container) !== undefined);
  const engines = known.length > 0 ? known : containers.filter(({ Name }) => target !== undefined && Name === target);
  for (const container of containers) {
    if (engines.includes(container) || agents.includes(container)) continue;
    gaps.push({
      what: `container ${String(container.Name)} (${String(container.Image)})`,
      count: 1,
      meaning: 'it is not run, and counts as having done its work',
    });
  }
  const [engine, ...others] = engines;
  if (engine === undefined) return undefined;
  if (others.length > 0)
    throw new Error(`${definition.logicalId}: the local run takes one engine's container in a task`);
  return {
    engine: engineOf(definition, engine, secret),
    agents: agents.map((agent) => agentOf(String(agent.Name), environmentOf(agent))),
  };
}

/** By its image, or by its command or environment when the image is one of the account's own. */
function kindOf(container: JsonObject): EngineKind | undefined {
  const variables = [...Object.keys(environmentOf(container)), ...list(container.Secrets).map((s) => object(s).Name)];
  const image = String(container.Image);
  const command = [...list(container.EntryPoint), ...list(container.Command)].map(String);
  if (/sglang/i.test(image) || command.includes('sglang.launch_server')) return 'sglang';
  if (/tensorrt-llm/i.test(image) || command[0] === 'trtllm-serve') return 'tensorrt-llm';
  if (/text-generation-inference/i.test(image)) return 'tgi';
  if (/vllm/i.test(image) || variables.some((name) => String(name).startsWith('VLLM_'))) return 'vllm';
  return undefined;
}

function isAgent(container: JsonObject): boolean {
  const { PROMETHEUS_CONFIG_CONTENT, CW_CONFIG_CONTENT } = environmentOf(container);
  return PROMETHEUS_CONFIG_CONTENT !== undefined && CW_CONFIG_CONTENT !== undefined;
}

function engineOf(definition: Resource, container: JsonObject, secret: SecretValue): EngineContainer {
  const secrets = list(container.Secrets).map((value) => {
    const { Name, ValueFrom } = object(value);
    return [String(Name), secret(String(ValueFrom))] as const;
  });
  const known = secrets.filter((entry): entry is readonly [string, string] => entry[1] !== undefined);
  const kind = kindOf(container) ?? 'other';
  const key = kind === 'other' ? known.find(([name]) => name !== 'HF_TOKEN') : undefined;
  const stopTimeout = Number(container.StopTimeout ?? STOP_TIMEOUT);
  if (stopTimeout > 120)
    throw new Error(`${definition.logicalId}: StopTimeout is at most 120 seconds, not ${stopTimeout}`);
  return {
    kind,
    name: String(container.Name),
    command: [...list(container.EntryPoint), ...list(container.Command)].map(String),
    environment: {
      ...environmentOf(container),
      ...Object.fromEntries(known),
      ...(key === undefined ? {} : { [KEY_VARIABLE]: key[1] }),
    },
    ports: list(container.PortMappings).map((mapping) => Number(object(mapping).ContainerPort)),
    stopTimeoutMs: stopTimeout * 1000,
  };
}

function environmentOf(container: JsonObject): Record<string, string> {
  return Object.fromEntries(
    list(container.Environment).map((value) => {
      const { Name, Value } = object(value);
      return [String(Name), String(Value)];
    }),
  );
}

function list(value: Json | undefined): readonly Json[] {
  return isArray(value) ? value : [];
}

function object(value: Json | undefined): JsonObject {
  return isObject(value) ? value : {};
}
