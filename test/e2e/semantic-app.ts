/** A stack whose cache gives answers to similar requests: by an embedding on Bedrock, and by one on the upstream. */
import { App, Duration, Stack } from 'aws-cdk-lib';
import { SubnetType, Vpc } from 'aws-cdk-lib/aws-ec2';
import {
  Backend,
  CachePolicy,
  CacheScope,
  Consumer,
  Embedding,
  LlmServing,
  Model,
  NodeResponseCache,
  Tier,
  TokenPrice,
} from '../../lib/index.js';

const url = process.env.E2E_UPSTREAM_URL ?? '';
const stack = new Stack(new App(), 'E2eSemantic', { env: { region: 'us-east-1', account: '111122223333' } });
const vpc = new Vpc(stack, 'Vpc', {
  natGateways: 0,
  availabilityZones: ['us-east-1a', 'us-east-1b'],
  subnetConfiguration: [{ name: 'Isolated', subnetType: SubnetType.PRIVATE_ISOLATED }],
});
const embedding = Embedding.bedrock('amazon.titan-embed-text-v2:0', { pricePerMillionTokensUsd: 1, dimensions: 256 });
const semantic = { embedding, threshold: 0.8, timeout: Duration.seconds(5) };
const backend = Backend.openAiCompatible(url, {
  backendId: 'upstream',
  price: TokenPrice.perMillion({ inputUsd: 1, outputUsd: 2 }),
});
const policies = {
  own: CachePolicy.standard({ semantic }),
  shared: CachePolicy.standard({ scope: CacheScope.GLOBAL, semantic }),
  exact: CachePolicy.standard(),
};
const models = Object.entries(policies).map(
  ([modelName, cache]) => new Model(stack, `Model-${modelName}`, { modelName, backends: [backend], cache }),
);
const tier = new Tier(stack, 'gold', { requestsPerSecond: 2000 });
new Consumer(stack, 'alice', { tier });
new Consumer(stack, 'bob', { tier });
new LlmServing(stack, 'Serving', {
  ...{ models, tiers: [tier] },
  cache: new NodeResponseCache(stack, 'Cache', {
    vpc,
    timeout: Duration.seconds(5),
    connectTimeout: Duration.seconds(5),
  }),
});
(stack.node.root as App).synth();
