/** Two tiers of customers, several providers behind one name, and the handler on Lambda Managed Instances. */
import { App, CfnOutput, Duration, Stack } from 'aws-cdk-lib';
import { Alarm, ComparisonOperator } from 'aws-cdk-lib/aws-cloudwatch';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import {
  Backend,
  Consumer,
  GatewayCompute,
  LlmServing,
  Model,
  QuotaPeriod,
  ServingVpc,
  Tier,
  TokenPrice,
} from 'cdk-llm-serving';

const app = new App();
const stack = new Stack(app, 'Platform');

const smart = new Model(stack, 'Smart', {
  aliases: ['gpt-4o'],
  maxOutputTokens: 8192,
  backends: [
    Backend.bedrock('us.anthropic.claude-sonnet-4-5-20250929-v1:0', { promptCaching: true }),
    Backend.openAi('gpt-4.1', { apiKey: Secret.fromSecretNameV2(stack, 'OpenAiKey', 'llm/openai') }),
  ],
});
const fast = new Model(stack, 'Fast', {
  backends: [
    Backend.openAiCompatible('https://vllm.example.com/v1', {
      model: 'Qwen/Qwen3-8B',
      apiKey: Secret.fromSecretNameV2(stack, 'VllmKey', 'llm/vllm'),
      price: TokenPrice.perMillion({ inputUsd: 0.05, outputUsd: 0.1 }),
      firstTokenTimeout: Duration.seconds(10),
    }),
    Backend.bedrock('amazon.nova-lite-v1:0'),
  ],
});

const free = new Tier(stack, 'Free', {
  requestsPerSecond: 1,
  requestQuota: 500,
  quotaPeriod: QuotaPeriod.DAY,
  allowedModels: ['fast'],
  maxOutputTokens: 1024,
});
const pro = new Tier(stack, 'Pro', { requestsPerSecond: 50 });
new Consumer(stack, 'Playground', { tier: free });
new Consumer(stack, 'Acme', { tier: pro });

const serving = new LlmServing(stack, 'Serving', {
  models: [smart, fast],
  tiers: [free, pro],
  compute: GatewayCompute.managedInstances({ vpc: new ServingVpc(stack, 'Vpc', { natGateways: 1 }).vpc, maxVcpus: 64 }),
  corsOrigins: ['https://app.example.com'],
  features: ['search', 'summary'],
});

new Alarm(stack, 'SlowFirstToken', {
  alarmDescription: 'Half of the users wait more than 3 seconds for the first token',
  metric: smart.metricTimeToFirstToken(),
  threshold: 3000,
  evaluationPeriods: 3,
  comparisonOperator: ComparisonOperator.GREATER_THAN_THRESHOLD,
});
new CfnOutput(stack, 'BaseUrl', { value: serving.url });
