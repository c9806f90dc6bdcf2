/** The stack of the tests of answers that take longer than a function may run, and of workers that die. */
import { App, Stack } from 'aws-cdk-lib';
import { Backend, Consumer, LlmServing, Model, Tier, TokenPrice } from '../../lib/index.js';

const stack = new Stack(new App(), 'Long');
const price = TokenPrice.perMillion({ inputUsd: 1, outputUsd: 2 });
const slow = Backend.openAiCompatible(process.env.E2E_SLOW_URL ?? '', { backendId: 'slow', price });
const tier = new Tier(stack, 'Standard', { requestsPerSecond: 1000, burst: 2000 });
new Consumer(stack, 'Team', { consumerName: 'team', tier });
const maxConcurrentJobs = Number(process.env.E2E_JOBS_AT_ONCE ?? 50);
new LlmServing(stack, 'Serving', {
  models: [new Model(stack, 'Chat', { backends: [slow] })],
  tiers: [tier],
  jobs: { maxConcurrentJobs },
});
(stack.node.root as App).synth();
