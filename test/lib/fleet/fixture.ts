import type { Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { InstanceType, type IVpc, Vpc } from 'aws-cdk-lib/aws-ec2';
import { GpuCapacity, ModelFleet, type ModelFleetProps, ModelWeights, ServingEngine } from '../../../lib';
import { newStack } from '../fixture.ts';

export const QWEN = ModelWeights.huggingFace('Qwen/Qwen3-8B');
export const L40S = new InstanceType('g6e.xlarge');

export function vpcOf(stack: Stack): IVpc {
  return Vpc.fromVpcAttributes(stack, 'Vpc', {
    vpcId: 'vpc-1',
    availabilityZones: ['a', 'b'],
    privateSubnetIds: ['subnet-1', 'subnet-2'],
  });
}

export function fleetIn(stack: Stack, props: Partial<ModelFleetProps> = {}, id = 'Chat'): ModelFleet {
  return new ModelFleet(stack, id, {
    engine: ServingEngine.vllm({ contextLength: 8192 }),
    weights: QWEN,
    capacity: GpuCapacity.ec2({ instanceTypes: [L40S] }),
    vpc: props.vpc ?? vpcOf(stack),
    ...props,
  });
}

export interface Container {
  readonly Name: string;
  readonly Image: unknown;
  readonly Command?: string[];
  readonly EntryPoint?: string[];
  readonly Environment?: Array<{ Name: string; Value: unknown }>;
  readonly Secrets?: Array<{ Name: string; ValueFrom: unknown }>;
  readonly [property: string]: unknown;
}

export function fleetTemplate(props: Partial<ModelFleetProps> = {}) {
  const stack = newStack();
  const fleet = fleetIn(stack, props);
  const template = Template.fromStack(stack);
  const [task] = Object.values(template.findResources('AWS::ECS::TaskDefinition'));
  const containers = task?.Properties.ContainerDefinitions as Container[];
  const container = (name: string): Container => {
    const found = containers.find(({ Name }) => Name === name);
    if (found === undefined) throw new Error(`no container ${name}`);
    return found;
  };
  return { stack, fleet, template, task: task?.Properties, containers, container, engine: container('Engine') };
}

export const environmentOf = ({ Environment = [] }: Container): Record<string, unknown> =>
  Object.fromEntries(Environment.map(({ Name, Value }) => [Name, Value]));

/** The agent's configuration of what to scrape. */
export function scraped(agent: Container) {
  const {
    scrape_configs: [config],
  } = JSON.parse(String(environmentOf(agent).PROMETHEUS_CONFIG_CONTENT));
  return {
    target: config.static_configs[0].targets[0],
    labels: config.static_configs[0].labels,
    path: config.metrics_path,
    names: config.metric_relabel_configs[0].regex.split('|'),
  };
}
