/** Limits in tokens and dollars, counted in a ledger that another stack holds, and answers from a cache that is there. */
import { App, Stack } from 'aws-cdk-lib';
import { Vpc } from 'aws-cdk-lib/aws-ec2';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { Backend, Consumer, Gateway, GatewayCompute, Model, ResponseCache, Tier, UsageLedger } from 'cdk-llm-serving';

const app = new App();
const stack = new Stack(app, 'Limits', { env: { account: '111122223333', region: 'us-east-1' } });

const vpc = Vpc.fromVpcAttributes(stack, 'Vpc', {
  vpcId: 'vpc-0123456789abcdef0',
  availabilityZones: ['us-east-1a', 'us-east-1b'],
  privateSubnetIds: ['subnet-0123456789abcdef0', 'subnet-0123456789abcdef1'],
});

const team = new Tier(stack, 'Team', { tokensPerMinute: 100_000, monthlyBudgetUsd: 500 });
new Consumer(stack, 'Search', { tier: team });

new Gateway(stack, 'Gateway', {
  compute: GatewayCompute.lambda({ vpc }),
  models: [new Model(stack, 'Chat', { backends: [Backend.bedrock('amazon.nova-lite-v1:0')] })],
  tiers: [team],
  usageLedger: UsageLedger.fromUsageLedgerAttributes(stack, 'Ledger', {
    tableArn: 'arn:aws:dynamodb:us-east-1:111122223333:table/llm-usage',
  }),
  cache: ResponseCache.fromEndpoint({
    host: 'valkey.internal.example.com',
    password: Secret.fromSecretNameV2(stack, 'CachePassword', 'llm/valkey'),
    vpc,
  }),
});
