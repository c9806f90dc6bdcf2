/** The stack of the test of answers that take longer than a function may run. */
import { App, Stack } from 'aws-cdk-lib';
import { Backend, Consumer, LlmServing, Model, Tier, TokenPrice } from '../../lib/index.js';

const stack = new Stack(new App(), 'Long');
const price = TokenPrice.perMillion({ inputUsd: 1, outputUsd: 2 });
const slow = Backend.openAiCompatible(process.env.E2E_SLOW_URL ?? '', { backendId: 'slow', price });
const tier = new Tier(stack, 'Standard', { requestsPerSecond: 1000, burst: 2000 });
new Consumer(stack, 'Team', { consumerName: 'team', tier });
new LlmServing(stack, 'Serving', { models: [new Model(stack, 'Chat', { backends: [slow] })], tiers: [tier], jobs: {} });
(stack.node.root as App).synth();
