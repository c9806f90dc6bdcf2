/** The stack of the kill switch's tests: a dear model, a tier that an alarm watches, and one with hard limits. */
import { App, Stack } from 'aws-cdk-lib';
import { Backend, Consumer, CostAlarms, KillSwitch, LlmServing, Model, Tier, TokenPrice } from '../../lib/index.js';

const upstream = process.env.E2E_UPSTREAM_URL ?? '';
const stack = new Stack(new App(), 'KillSwitchTest');
const price = TokenPrice.perMillion({ inputUsd: 1000, outputUsd: 2000 });
const chat = new Model(stack, 'Chat', {
  backends: [Backend.openAiCompatible(upstream, { backendId: 'upstream', price })],
});
const free = new Model(stack, 'Free', { backends: [Backend.staticReply('This one costs nothing.')] });
const fast = { requestsPerSecond: 10_000, maxOutputTokens: 40 };
const standard = new Tier(stack, 'Standard', fast);
const bounded = new Tier(stack, 'Bounded', fast);
new Consumer(stack, 'Alice', { tier: standard });
new Consumer(stack, 'Bob', { tier: bounded });

const { gateway } = new LlmServing(stack, 'Serving', {
  ...{ models: [chat, free], tiers: [standard, bounded], requestsPerSecond: 10_000 },
  jobs: { maxConcurrentJobs: 5 },
});
const costAlarms = new CostAlarms(stack, 'CostAlarms', { gateway, tierDailyUsd: { standard: 2 } });
const killSwitch = new KillSwitch(stack, 'KillSwitch', { gateway, topic: costAlarms.topic });
killSwitch.pauseModelOn(costAlarms.tierSpend('standard'), chat, { reason: 'the standard tier has had enough' });
killSwitch.pauseConsumersAbove(bounded, { hourlyUsd: 0.5 });
(stack.node.root as App).synth();
