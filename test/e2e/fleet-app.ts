/** The stack of the fleet tests: fleets that sleep, alone and with another backend behind, and one of three tasks. */
import { App, Stack } from 'aws-cdk-lib';
import { InstanceType } from 'aws-cdk-lib/aws-ec2';
import {
  Backend,
  Consumer,
  type FleetScaling,
  GatewayCompute,
  GpuCapacity,
  LlmServing,
  Model,
  ModelFleet,
  ModelWeights,
  ServingEngine,
  ServingVpc,
  Tier,
  TokenPrice,
} from '../../lib/index.js';

const app = new App({ context: { 'aws:cdk:enable-path-metadata': true } });
const stack = new Stack(app, 'Fleets');
const { vpc } = new ServingVpc(stack, 'Vpc');

function fleet(id: string, scaling: FleetScaling): ModelFleet {
  return new ModelFleet(stack, id, {
    engine: ServingEngine.vllm({ contextLength: 16_384, maxSequences: 128, maxQueuedRequests: 256 }),
    weights: ModelWeights.huggingFace('Qwen/Qwen3-8B'),
    capacity: GpuCapacity.ec2({ instanceTypes: [new InstanceType('g6e.xlarge')] }),
    modelName: 'chat',
    vpc,
    scaling,
  });
}

const price = TokenPrice.perMillion({ inputUsd: 0.1, outputUsd: 0.3 });
const sleepy = { minTasks: 0, maxTasks: 1 };
const models = [
  new Model(stack, 'Own', { backends: [Backend.fleet(fleet('Sleepy', sleepy), { price })] }),
  new Model(stack, 'Hybrid', {
    backends: [Backend.fleet(fleet('Drowsy', sleepy), { price }), Backend.bedrock('amazon.nova-lite-v1:0')],
  }),
  new Model(stack, 'Three', {
    backends: [Backend.fleet(fleet('Trio', { minTasks: 3 }), { price })],
  }),
];
const tier = new Tier(stack, 'Standard', { requestsPerSecond: 1_000, burst: 1_000 });
new Consumer(stack, 'Team', { consumerName: 'team', tier });
new LlmServing(stack, 'Serving', { models, tiers: [tier], compute: GatewayCompute.lambda({ vpc }) });
app.synth();
