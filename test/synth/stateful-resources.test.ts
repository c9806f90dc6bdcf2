import { App, Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { Vpc } from 'aws-cdk-lib/aws-ec2';
import { describe, expect, test } from 'vitest';
import { LlmServingStack, type LlmServingStackProps, NodeResponseCache, ServingPreset } from '../../lib';

/** What a deployment can't make again when it is replaced: data, keys that clients hold, addresses that they call. */
const STATEFUL = new Set([
  'AWS::ApiGateway::ApiKey',
  'AWS::ApiGateway::RestApi',
  'AWS::ApiGateway::Stage',
  'AWS::ApiGateway::UsagePlan',
  'AWS::DynamoDB::GlobalTable',
  'AWS::DynamoDB::Table',
  'AWS::EC2::VPC',
  'AWS::ECS::Cluster',
  'AWS::ElastiCache::ReplicationGroup',
  'AWS::ElastiCache::ServerlessCache',
  'AWS::ElasticLoadBalancingV2::LoadBalancer',
  'AWS::KMS::Key',
  'AWS::Logs::LogGroup',
  'AWS::S3::Bucket',
  'AWS::SNS::Topic',
  'AWS::SQS::Queue',
  'AWS::SecretsManager::Secret',
]);

/** Logical id → type, and what becomes of it when the stack is deleted where that isn't deletion. */
function stateful(props: LlmServingStackProps): Record<string, string> {
  const stack = new LlmServingStack(new App(), 'LlmServing', props);
  const { Resources } = Template.fromStack(stack).toJSON() as {
    Resources: Record<string, { Type: string; DeletionPolicy?: string }>;
  };
  return Object.fromEntries(
    Object.entries(Resources)
      .filter(([, { Type }]) => STATEFUL.has(Type))
      .map(([id, { Type, DeletionPolicy = 'Delete' }]) => [
        id,
        DeletionPolicy === 'Delete' ? Type : `${Type}, ${DeletionPolicy}`,
      ]),
  );
}

const MANAGED = {
  ConsumersdefaultADDF1220: 'AWS::ApiGateway::ApiKey',
  ServingGatewayAccessLogs652114B0: 'AWS::Logs::LogGroup',
  ServingGatewayApiB26AD74F: 'AWS::ApiGateway::RestApi',
  ServingGatewayApiDeploymentStagelive90C8CB1D: 'AWS::ApiGateway::Stage',
  ServingGatewayAuthorizerLogsFACD92EE: 'AWS::Logs::LogGroup',
  ServingGatewayExecutionLogsB9F224F2: 'AWS::Logs::LogGroup',
  ServingGatewayHandlerLogs072E59F7: 'AWS::Logs::LogGroup',
  ServingLedgerTableDEEF17B9: 'AWS::DynamoDB::Table, Retain',
  TiersstandardCC978D9A: 'AWS::ApiGateway::UsagePlan',
};

const FLEET = {
  FleetApiKeyD012991F: 'AWS::SecretsManager::Secret',
  FleetClusterE89F8D7D: 'AWS::ECS::Cluster',
  FleetLoadBalancerFB7B619B: 'AWS::ElasticLoadBalancingV2::LoadBalancer',
  FleetLogs3FD61FFB: 'AWS::Logs::LogGroup',
  FleetMetricsLogsD2E2E52F: 'AWS::Logs::LogGroup',
  Vpc49347EA9: 'AWS::EC2::VPC',
  VpcRejectedLogGroup1BF55A26: 'AWS::Logs::LogGroup, Retain',
};

const OPTED_IN = {
  Cache18F6EE16: 'AWS::ElastiCache::ServerlessCache',
  CostAlarmsMeterHandlerLogsF64DD7EE: 'AWS::Logs::LogGroup',
  CostAlarmsTopicB23BD1B1: 'AWS::SNS::Topic',
  CostAlarmsTopicKey40F075D3: 'AWS::KMS::Key',
  ServingJobsApiLogs7C0D7851: 'AWS::Logs::LogGroup',
  ServingJobsBucketA83C6CC4: 'AWS::S3::Bucket, Retain',
  ServingJobsDelivererLogs7EBAF807: 'AWS::Logs::LogGroup',
  ServingJobsF1279D9B: 'AWS::SQS::Queue',
  ServingJobsJobsDeadLetters98A8AA4D: 'AWS::SQS::Queue',
  ServingJobsNotices2595FCD6: 'AWS::SQS::Queue',
  ServingJobsNoticesDeadLettersF2871BA3: 'AWS::SQS::Queue',
  ServingJobsTableDBC1464A: 'AWS::DynamoDB::Table, Retain',
  ServingJobsWebhookSecret546E48A4: 'AWS::SecretsManager::Secret',
  ServingJobsWorkerLogs4733F481: 'AWS::Logs::LogGroup',
};

/**
 * A changed id is a replaced resource in the accounts of those who upgrade: a new address, new keys, lost data. So an id
 * here never changes; new resources are added.
 */
describe('the logical ids of stateful resources', () => {
  test.each([
    [ServingPreset.MANAGED, MANAGED],
    [ServingPreset.HYBRID, { ...MANAGED, ...FLEET }],
    [ServingPreset.SELF_HOSTED, { ...MANAGED, ...FLEET }],
  ])(
    '%s',
    (preset, expected) => {
      expect(stateful({ preset })).toEqual(expected);
    },
    120_000,
  );

  test('with what can be opted into', () => {
    const props = { preset: ServingPreset.HYBRID, responseCache: {}, jobs: {}, monthlyBudgetUsd: 5 };
    expect(stateful(props)).toEqual({ ...MANAGED, ...FLEET, ...OPTED_IN });
  }, 120_000);

  test('a cache on nodes of its own', () => {
    const stack = new Stack(new App(), 'Own');
    new NodeResponseCache(stack, 'Cache', { vpc: new Vpc(stack, 'Vpc') });
    const ids = Object.keys(Template.fromStack(stack).findResources('AWS::ElastiCache::ReplicationGroup'));
    expect(ids).toEqual(['Cache18F6EE16']);
  });
});
