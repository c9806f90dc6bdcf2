/** The stack that the e2e tests run: a model for each kind of backend, a tier for each kind of refusal. */
import { App, Stack } from 'aws-cdk-lib';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { Backend, Consumer, LlmServing, Model, QuotaPeriod, Tier, TokenPrice } from '../../lib/index.js';

const upstreamUrl = required('E2E_UPSTREAM_URL');
const faultyUrl = required('E2E_FAULTY_URL');
const price = TokenPrice.perMillion({ inputUsd: 1, outputUsd: 2 });

const app = new App();
const stack = new Stack(app, 'E2e');

const upstreamKey = Secret.fromSecretNameV2(stack, 'UpstreamKey', 'e2e/upstream-key');
const backends = {
  bedrock: Backend.bedrock('anthropic.claude-haiku-4-5-20251001-v1:0'),
  compatible: Backend.openAiCompatible(upstreamUrl, { model: 'upstream-model', apiKey: upstreamKey, price }),
  faulty: Backend.openAiCompatible(faultyUrl, { backendId: 'faulty', price }),
  // Nothing listens on the discard port.
  dead: Backend.openAiCompatible('http://127.0.0.1:9/v1', { backendId: 'dead', price }),
  static: Backend.staticReply('We will be back in a moment.'),
};
const models = [
  new Model(stack, 'Bedrock', { backends: [backends.bedrock] }),
  new Model(stack, 'Compatible', { backends: [backends.compatible] }),
  new Model(stack, 'Static', { backends: [backends.static] }),
  new Model(stack, 'Slashed', { modelName: 'acme/slashed', backends: [backends.static] }),
  new Model(stack, 'Faulty', { backends: [backends.faulty] }),
  new Model(stack, 'Resilient', { backends: [backends.dead, backends.static] }),
];

const tiers = {
  standard: new Tier(stack, 'Standard', { requestsPerSecond: 500 }),
  narrow: new Tier(stack, 'Narrow', { allowedModels: ['static'] }),
  frugal: new Tier(stack, 'Frugal', { requestQuota: 2, quotaPeriod: QuotaPeriod.DAY }),
  slow: new Tier(stack, 'Slow', { requestsPerSecond: 1, burst: 2 }),
};
for (const [name, tier] of Object.entries(tiers)) new Consumer(stack, `Team${name}`, { consumerName: name, tier });

new LlmServing(stack, 'Serving', { models, tiers: Object.values(tiers), features: ['search'] });
app.synth();

function required(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`environment variable ${name} is missing`);
  return value;
}
