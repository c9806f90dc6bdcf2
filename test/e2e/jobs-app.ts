/** The stack of the jobs' tests: two consumers, a model that answers and one that does what it is told. */
import { App, Stack } from 'aws-cdk-lib';
import { Backend, Consumer, LlmServing, Model, Tier, TokenPrice } from '../../lib/index.js';

const price = TokenPrice.perMillion({ inputUsd: 1, outputUsd: 2 });
const app = new App();
const stack = new Stack(app, 'Jobs');
const models = [
  new Model(stack, 'Chat', { backends: [Backend.bedrock('amazon.nova-lite-v1:0')] }),
  new Model(stack, 'Faulty', {
    backends: [Backend.openAiCompatible(process.env.E2E_FAULTY_URL ?? '', { backendId: 'faulty', price })],
  }),
];
const standard = new Tier(stack, 'Standard', { requestsPerSecond: 1000, burst: 2000 });
const narrow = new Tier(stack, 'Narrow', { allowedModels: ['faulty'] });
new Consumer(stack, 'Alice', { tier: standard });
new Consumer(stack, 'Bob', { tier: standard });
new Consumer(stack, 'Carol', { tier: narrow });
new LlmServing(stack, 'Serving', { models, tiers: [standard, narrow], jobs: { maxConcurrentJobs: 20 } });
app.synth();
