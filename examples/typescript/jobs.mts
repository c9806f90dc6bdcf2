/**
 * A job queue before a fleet that sleeps: documents are handed in during the day, the fleet wakes for them, works them
 * off and sleeps again. The gateway is what knows whose a job is and which model runs it; idle it costs nothing.
 */
import { App, CfnOutput, Stack } from 'aws-cdk-lib';
import { InstanceType } from 'aws-cdk-lib/aws-ec2';
import {
  Backend,
  Consumer,
  Gateway,
  GatewayCompute,
  GpuCapacity,
  JobQueue,
  Model,
  ModelFleet,
  ModelWeights,
  ServingEngine,
  ServingVpc,
  Tier,
} from 'cdk-llm-serving';

const app = new App();
const stack = new Stack(app, 'Jobs');

const { vpc } = new ServingVpc(stack, 'Vpc');
const fleet = new ModelFleet(stack, 'Qwen', {
  vpc,
  engine: ServingEngine.vllm({ contextLength: 16384 }),
  weights: ModelWeights.huggingFace('Qwen/Qwen3-8B'),
  capacity: GpuCapacity.ec2({ instanceTypes: [new InstanceType('g6.xlarge')] }),
  scaling: { minTasks: 0, maxTasks: 2 },
});

const archive = new Tier(stack, 'Archive', { requestsPerSecond: 50 });
new Consumer(stack, 'Documents', { tier: archive });

const gateway = new Gateway(stack, 'Gateway', {
  compute: GatewayCompute.lambda({ vpc }),
  tiers: [archive],
  models: [new Model(stack, 'Summaries', { backends: [Backend.fleet(fleet)] })],
});
const jobs = new JobQueue(stack, 'Queue', { gateway });

new CfnOutput(stack, 'BaseUrl', { value: gateway.url });
new CfnOutput(stack, 'JobsQueueUrl', { value: jobs.queue.queueUrl });
