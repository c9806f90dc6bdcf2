/**
 * A fleet alone, in a VPC that is there already and a cluster of your own: vLLM behind an internal load balancer, which
 * whoever is let in and may read the engine's key calls with OpenAI's API. No gateway.
 */
import { App, CfnOutput, Stack } from 'aws-cdk-lib';
import { InstanceType, Port, SecurityGroup, Vpc } from 'aws-cdk-lib/aws-ec2';
import { Cluster, ContainerInsights } from 'aws-cdk-lib/aws-ecs';
import { GpuCapacity, ModelFleet, ModelWeights, ServingEngine } from 'cdk-llm-serving';

const app = new App();
const stack = new Stack(app, 'Fleet');

const vpc = Vpc.fromVpcAttributes(stack, 'Vpc', {
  vpcId: 'vpc-0123456789abcdef0',
  vpcCidrBlock: '10.0.0.0/16',
  availabilityZones: ['us-east-1a', 'us-east-1b'],
  privateSubnetIds: ['subnet-0123456789abcdef0', 'subnet-0123456789abcdef1'],
});

const cluster = new Cluster(stack, 'Shared', { vpc, containerInsightsV2: ContainerInsights.ENABLED });

const fleet = new ModelFleet(stack, 'Qwen', {
  vpc,
  cluster,
  engine: ServingEngine.vllm({ contextLength: 16384 }),
  weights: ModelWeights.huggingFace('Qwen/Qwen3-8B'),
  capacity: GpuCapacity.ec2({ instanceTypes: [new InstanceType('g6.xlarge')] }),
  scaling: { minTasks: 1, maxTasks: 4 },
});
const caller = SecurityGroup.fromSecurityGroupId(stack, 'Caller', 'sg-0123456789abcdef0');
fleet.connections.allowFrom(caller, Port.tcp(80), 'The application');

new CfnOutput(stack, 'Url', { value: `http://${fleet.loadBalancer.loadBalancerDnsName}/v1` });
if (fleet.apiKey !== undefined) new CfnOutput(stack, 'KeySecretArn', { value: fleet.apiKey.secretArn });
