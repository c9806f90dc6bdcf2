/** The stack of the test of jobs before a fleet that sleeps: one model, one fleet, nothing behind it. */
import { App, Stack } from 'aws-cdk-lib';
import { InstanceType } from 'aws-cdk-lib/aws-ec2';
import {
  Backend,
  Consumer,
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
const stack = new Stack(app, 'Night');
const { vpc } = new ServingVpc(stack, 'Vpc');
const fleet = new ModelFleet(stack, 'Sleepy', {
  engine: ServingEngine.vllm({ contextLength: 16_384, maxSequences: 128, maxQueuedRequests: 256 }),
  weights: ModelWeights.huggingFace('Qwen/Qwen3-8B'),
  capacity: GpuCapacity.ec2({ instanceTypes: [new InstanceType('g6e.xlarge')] }),
  modelName: 'chat',
  vpc,
  scaling: { minTasks: 0, maxTasks: 1 },
});
const price = TokenPrice.perMillion({ inputUsd: 1, outputUsd: 2 });
const tier = new Tier(stack, 'Standard', { requestsPerSecond: 1_000, burst: 1_000 });
new Consumer(stack, 'Team', { consumerName: 'team', tier });
new LlmServing(stack, 'Serving', {
  models: [new Model(stack, 'Own', { backends: [Backend.fleet(fleet, { price })] })],
  tiers: [tier],
  compute: GatewayCompute.lambda({ vpc }),
  jobs: {},
});
app.synth();
