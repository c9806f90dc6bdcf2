/** The stack of the ledger's e2e tests: consumers with little money. */
import { App, Stack } from 'aws-cdk-lib';
import { Backend, Consumer, CostAlarms, LlmServing, Model, Team, Tier, TokenPrice } from '../../lib/index.js';

const upstream = process.env.E2E_UPSTREAM_URL ?? '';
const price = TokenPrice.perMillion({ inputUsd: 1, outputUsd: 2 });
const stack = new Stack(new App({ context: { 'aws:cdk:enable-path-metadata': true } }), 'Ledger');
const backend = Backend.openAiCompatible(upstream, { backendId: 'upstream', price });
const free = Backend.staticReply('There is no money left.');

const fast = { requestsPerSecond: 10_000 };
const penny = new Tier(stack, 'Penny', { ...fast, monthlyBudgetUsd: 0.01, maxOutputTokens: 40 });
const mortal = new Tier(stack, 'Mortal', { ...fast, monthlyBudgetUsd: 1, maxOutputTokens: 40 });
const minute = new Tier(stack, 'Minute', { ...fast, tokensPerMinute: 1000, maxOutputTokens: 40 });
new Consumer(stack, 'Flood', { tier: penny });
new Consumer(stack, 'Killed', { tier: mortal, team: new Team({ teamName: 'all', monthlyBudgetUsd: 2 }) });
new Consumer(stack, 'Hasty', { tier: minute });

const { gateway } = new LlmServing(stack, 'Serving', {
  models: [new Model(stack, 'Chat', { backends: [backend] }), new Model(stack, 'Free', { backends: [free] })],
  tiers: [penny, mortal, minute],
  requestsPerSecond: 10_000,
  features: ['search'],
});
new CostAlarms(stack, 'Alarms', { gateway, emails: ['ops@example.com'], tierDailyUsd: { penny: 0.005 } });
(stack.node.root as App).synth();
