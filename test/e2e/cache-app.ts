/** A stack with a cache: a model for each scope, one that forgets soon, one that is never answered from it. */
import { App, Duration, Stack } from 'aws-cdk-lib';
import { SubnetType, Vpc } from 'aws-cdk-lib/aws-ec2';
import {
  Backend,
  CachePolicy,
  CacheScope,
  Consumer,
  LlmServing,
  Model,
  ResponseCache,
  Tier,
  TokenPrice,
} from '../../lib/index.js';

const url = process.env.E2E_UPSTREAM_URL ?? '';
const app = new App();
const stack = new Stack(app, 'E2eCache', { env: { region: 'us-east-1', account: '111122223333' } });
const vpc = new Vpc(stack, 'Vpc', {
  natGateways: 0,
  availabilityZones: ['us-east-1a', 'us-east-1b'],
  subnetConfiguration: [{ name: 'Isolated', subnetType: SubnetType.PRIVATE_ISOLATED }],
});
const cache = new ResponseCache(stack, 'Cache', {
  vpc,
  timeout: Duration.seconds(5),
  connectTimeout: Duration.seconds(5),
});
const backend = Backend.openAiCompatible(url, {
  backendId: 'upstream',
  price: TokenPrice.perMillion({ inputUsd: 1, outputUsd: 2 }),
});
const policies = {
  consumer: undefined,
  tier: CachePolicy.standard({ scope: CacheScope.TIER }),
  global: CachePolicy.standard({ scope: CacheScope.GLOBAL }),
  brief: CachePolicy.standard({ ttl: Duration.seconds(1) }),
  off: CachePolicy.off(),
};
const models = Object.entries(policies).map(
  ([modelName, policy]) => new Model(stack, `Model-${modelName}`, { modelName, backends: [backend], cache: policy }),
);
const tiers = ['gold', 'free'].map((name) => new Tier(stack, name, { requestsPerSecond: 2000 }));
new Consumer(stack, 'alice', { tier: tiers[0] as Tier });
new Consumer(stack, 'bob', { tier: tiers[0] as Tier });
new Consumer(stack, 'carol', { tier: tiers[1] as Tier });
new LlmServing(stack, 'Serving', { models, tiers, cache });
app.synth();
