/** A fleet of each engine that isn't vLLM, one task each. */
import { App, Stack } from 'aws-cdk-lib';
import { InstanceType } from 'aws-cdk-lib/aws-ec2';
import { ContainerImage } from 'aws-cdk-lib/aws-ecs';
import {
  Backend,
  Consumer,
  GatewayCompute,
  GpuCapacity,
  type IServingEngine,
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
const stack = new Stack(app, 'Engines');
const { vpc } = new ServingVpc(stack, 'Vpc');

const engines: Readonly<Record<string, IServingEngine>> = {
  Sglang: ServingEngine.sglang({ toolCallParser: 'qwen25' }),
  TensorRtLlm: ServingEngine.tensorRtLlm(),
  Tgi: ServingEngine.tgi(),
  Mine: ServingEngine.openAiCompatible({
    image: ContainerImage.fromRegistry('example.com/mine:1'),
    command: ['serve', '{model}'],
    port: 9000,
    healthPath: '/ready',
    metrics: { path: '/stats', running: 'busy', waiting: 'queued' },
    apiKeyVariable: 'MY_KEY',
  }),
};
const price = TokenPrice.perMillion({ inputUsd: 0.1, outputUsd: 0.3 });
const models = Object.entries(engines).map(
  ([id, engine]) =>
    new Model(stack, id, {
      backends: [
        Backend.fleet(
          new ModelFleet(stack, `${id}Fleet`, {
            engine,
            fleetName: id.toLowerCase(),
            weights: ModelWeights.huggingFace('Qwen/Qwen3-8B'),
            capacity: GpuCapacity.ec2({ instanceTypes: [new InstanceType('g6e.xlarge')] }),
            vpc,
          }),
          { price },
        ),
      ],
    }),
);
const tier = new Tier(stack, 'Standard', { requestsPerSecond: 100, burst: 100 });
new Consumer(stack, 'Team', { consumerName: 'team', tier });
new LlmServing(stack, 'Serving', { models, tiers: [tier], compute: GatewayCompute.lambda({ vpc }) });
app.synth();
