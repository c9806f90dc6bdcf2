import { createHash } from 'node:crypto';
import type { Json } from './template.ts';

/** A resource as its type's rules see it. */
export interface ResourceView {
  readonly logicalId: string;
  readonly stackName: string;
  readonly region: string;
  readonly account: string;
  /** An evaluated property. */
  property(name: string): Json | undefined;
}

export interface ResourceType {
  /**
   * - `runs`: the local run does what the resource does
   * - `no-effect`: knowingly left out, nothing behaves differently
   * - `differs`: left out or simplified, and `note` says what that means
   */
  readonly standIn: 'runs' | 'no-effect' | 'differs';
  readonly note?: string;
  /** Of a `differs`: those of its kind that run all the same. */
  readonly runsIf?: (resource: ResourceView) => boolean;
  /** What `Ref` gives; the physical id when absent. */
  readonly ref?: (resource: ResourceView) => string;
  readonly attributes?: Readonly<Record<string, (resource: ResourceView) => string>>;
}

/** The same for a logical id in every run. The shape of API Gateway's ids: 10 lower-case alphanumeric characters. */
export function physicalId(resource: { readonly stackName: string; readonly logicalId: string }, length = 10): string {
  const digest = createHash('sha256').update(`${resource.stackName}/${resource.logicalId}`).digest();
  return [...digest.subarray(0, length)].map((byte) => 'abcdefghijklmnopqrstuvwxyz0123456789'[byte % 36]).join('');
}

function nameOf(property: string): (resource: ResourceView) => string {
  return (resource) => String(resource.property(property) ?? `${resource.stackName}-${resource.logicalId}`);
}

function arn(service: string, resource: ResourceView, rest: string): string {
  return `arn:aws:${service}:${resource.region}:${resource.account}:${rest}`;
}

const functionArn = (resource: ResourceView): string =>
  arn('lambda', resource, `function:${nameOf('FunctionName')(resource)}`);

/** `FunctionName` of a version or an alias is a function's name or its ARN. */
function qualifiedArn(resource: ResourceView, qualifier: string): string {
  const fn = String(resource.property('FunctionName'));
  return `${fn.startsWith('arn:') ? fn : arn('lambda', resource, `function:${fn}`)}:${qualifier}`;
}

const secretArn = (resource: ResourceView): string =>
  arn('secretsmanager', resource, `secret:${nameOf('Name')(resource)}-${physicalId(resource, 6)}`);

/** `app/<name>/<id>`, as load balancers have it; names are at most 32 characters. */
function loadBalancerName(resource: ResourceView): string {
  const name = String(resource.property('Name') ?? `${resource.stackName}-${resource.logicalId}`.slice(0, 32));
  return `app/${name}/${physicalId(resource, 16)}`;
}

function targetGroupName(resource: ResourceView): string {
  const name = String(resource.property('Name') ?? `${resource.stackName}-${resource.logicalId}`.slice(0, 32));
  return `targetgroup/${name}/${physicalId(resource, 16)}`;
}

const loadBalancerArn = (resource: ResourceView): string =>
  arn('elasticloadbalancing', resource, `loadbalancer/${loadBalancerName(resource)}`);

const targetGroupArn = (resource: ResourceView): string =>
  arn('elasticloadbalancing', resource, targetGroupName(resource));

const listenerArn = (resource: ResourceView): string =>
  `${String(resource.property('LoadBalancerArn')).replace(':loadbalancer/', ':listener/')}/${physicalId(resource, 16)}`;

/** Nothing resolves it: addresses in functions' variables are replaced by local ones. */
function dnsName(resource: ResourceView): string {
  const [, name = ''] = loadBalancerName(resource).split('/');
  const scheme = resource.property('Scheme') === 'internal' ? 'internal-' : '';
  return `${scheme}${name}-${physicalId(resource)}.${resource.region}.elb.amazonaws.com`.toLowerCase();
}

const clusterArn = (resource: ResourceView): string =>
  arn('ecs', resource, `cluster/${nameOf('ClusterName')(resource)}`);

function serviceArn(resource: ResourceView): string {
  const cluster = String(resource.property('Cluster') ?? 'default').replace(/^.*:cluster\//, '');
  return arn('ecs', resource, `service/${cluster}/${nameOf('ServiceName')(resource)}`);
}

/** A queue's name has at most 80 characters. */
const queueName = (resource: ResourceView): string =>
  String(resource.property('QueueName') ?? `${resource.stackName}-${resource.logicalId}`.slice(0, 80));
const topicArn = (resource: ResourceView): string => arn('sns', resource, nameOf('TopicName')(resource));

const iam: ResourceType = { standIn: 'differs', note: 'permissions are not checked: what IAM would deny works here' };
const runs: ResourceType = { standIn: 'runs' };
const table: ResourceType = {
  standIn: 'runs',
  ref: nameOf('TableName'),
  attributes: { Arn: (resource) => arn('dynamodb', resource, `table/${nameOf('TableName')(resource)}`) },
};
const cacheUser: ResourceType = { standIn: 'differs', note: 'the cache lets in who reaches it' };

/** The resource types whose references and effects are known. Of the others nothing is known, and that is said. */
export const RESOURCE_TYPES: Readonly<Record<string, ResourceType>> = {
  'AWS::Lambda::Function': {
    standIn: 'runs',
    ref: nameOf('FunctionName'),
    attributes: { Arn: functionArn },
  },
  'AWS::Lambda::Version': {
    standIn: 'runs',
    ref: (resource) => qualifiedArn(resource, '1'),
    attributes: { Version: () => '1', FunctionArn: (resource) => qualifiedArn(resource, '1') },
  },
  'AWS::Lambda::Alias': {
    standIn: 'runs',
    ref: (resource) => qualifiedArn(resource, String(resource.property('Name'))),
    attributes: { AliasArn: (resource) => qualifiedArn(resource, String(resource.property('Name'))) },
  },
  'AWS::Lambda::Permission': iam,
  'AWS::Lambda::CapacityProvider': {
    standIn: 'differs',
    note: 'no instances: the functions run many requests at once in one process, on this machine',
    ref: nameOf('CapacityProviderName'),
    attributes: {
      Arn: (resource) => arn('lambda', resource, `capacity-provider:${nameOf('CapacityProviderName')(resource)}`),
    },
  },
  'AWS::IAM::Role': {
    ...iam,
    ref: nameOf('RoleName'),
    attributes: {
      Arn: (resource) => `arn:aws:iam::${resource.account}:role/${nameOf('RoleName')(resource)}`,
      RoleId: (resource) => `AROA${physicalId(resource, 17).toUpperCase()}`,
    },
  },
  'AWS::IAM::Policy': iam,
  'AWS::IAM::ManagedPolicy': {
    ...iam,
    ref: (resource) => `arn:aws:iam::${resource.account}:policy/${nameOf('ManagedPolicyName')(resource)}`,
  },
  'AWS::Logs::LogGroup': {
    standIn: 'runs',
    ref: nameOf('LogGroupName'),
    attributes: { Arn: (resource) => arn('logs', resource, `log-group:${nameOf('LogGroupName')(resource)}:*`) },
  },
  'AWS::SecretsManager::Secret': { standIn: 'runs', ref: secretArn, attributes: { Id: secretArn } },
  'AWS::ApiGateway::RestApi': {
    standIn: 'runs',
    attributes: {
      RestApiId: physicalId,
      RootResourceId: (resource) => `r${physicalId(resource, 9)}`,
    },
  },
  'AWS::ApiGateway::Resource': { standIn: 'runs', attributes: { ResourceId: physicalId } },
  'AWS::ApiGateway::Method': runs,
  'AWS::ApiGateway::Authorizer': { standIn: 'runs', attributes: { AuthorizerId: physicalId } },
  'AWS::ApiGateway::Model': {
    standIn: 'runs',
    ref: (resource) => String(resource.property('Name') ?? physicalId(resource)),
  },
  'AWS::ApiGateway::RequestValidator': { standIn: 'runs', attributes: { RequestValidatorId: physicalId } },
  'AWS::ApiGateway::GatewayResponse': runs,
  'AWS::ApiGateway::Deployment': { standIn: 'runs', attributes: { DeploymentId: physicalId } },
  'AWS::ApiGateway::Stage': { standIn: 'runs', ref: nameOf('StageName') },
  'AWS::ApiGateway::UsagePlan': { standIn: 'runs', attributes: { Id: physicalId } },
  'AWS::ApiGateway::UsagePlanKey': runs,
  'AWS::ApiGateway::ApiKey': { standIn: 'runs', attributes: { APIKeyId: physicalId } },
  'AWS::ApiGateway::Account': { standIn: 'no-effect' },
  'AWS::CDK::Metadata': { standIn: 'no-effect' },
  'AWS::ApiGateway::DomainName': { standIn: 'differs', note: 'the API answers on 127.0.0.1 only' },
  'AWS::ApiGateway::BasePathMapping': { standIn: 'differs', note: 'the API answers on 127.0.0.1, without a base path' },
  'AWS::WAFv2::WebACLAssociation': { standIn: 'differs', note: 'no web ACL filters requests' },
  'AWS::CloudWatch::Alarm': {
    standIn: 'runs',
    ref: nameOf('AlarmName'),
    attributes: { Arn: (resource) => arn('cloudwatch', resource, `alarm:${nameOf('AlarmName')(resource)}`) },
  },
  'AWS::CloudWatch::Dashboard': { standIn: 'runs', ref: nameOf('DashboardName') },
  'AWS::SNS::Topic': {
    standIn: 'runs',
    ref: topicArn,
    attributes: { TopicArn: topicArn, TopicName: nameOf('TopicName') },
  },
  'AWS::SNS::Subscription': {
    standIn: 'differs',
    note: 'messages are shown on the console and on /dashboard, and go to functions; nothing is sent',
    runsIf: (resource) => resource.property('Protocol') === 'lambda',
  },
  'AWS::SNS::TopicPolicy': iam,
  'AWS::KMS::Key': {
    standIn: 'differs',
    note: 'nothing is encrypted',
    attributes: {
      Arn: (resource) => arn('kms', resource, `key/${physicalId(resource)}`),
      KeyId: (resource) => physicalId(resource),
    },
  },
  'AWS::Events::Rule': {
    standIn: 'differs',
    note: 'only schedules run, by the clock of this run',
    runsIf: (resource) => resource.property('ScheduleExpression') !== undefined,
    ref: nameOf('Name'),
    attributes: { Arn: (resource) => arn('events', resource, `rule/${nameOf('Name')(resource)}`) },
  },
  'AWS::Logs::QueryDefinition': { standIn: 'no-effect' },
  'AWS::CloudWatch::InsightRule': { standIn: 'differs', note: 'nobody counts the top contributors' },
  'AWS::ApplicationAutoScaling::ScalableTarget': {
    standIn: 'differs',
    note: 'processes are added on demand only',
    runsIf: (resource) => resource.property('ServiceNamespace') === 'ecs',
    ref: (resource) =>
      ['ResourceId', 'ScalableDimension', 'ServiceNamespace'].map((name) => resource.property(name)).join('|'),
  },
  'AWS::ApplicationAutoScaling::ScalingPolicy': {
    standIn: 'differs',
    note: 'processes are added on demand only',
    runsIf: (resource) =>
      resource.property('ServiceNamespace') === 'ecs' || String(resource.property('ScalingTargetId')).endsWith('|ecs'),
    ref: (resource) =>
      arn('autoscaling', resource, `scalingPolicy:${physicalId(resource)}:policyName/${resource.logicalId}`),
    attributes: {
      Arn: (resource) =>
        arn('autoscaling', resource, `scalingPolicy:${physicalId(resource)}:policyName/${resource.logicalId}`),
    },
  },
  'AWS::ElasticLoadBalancingV2::LoadBalancer': {
    standIn: 'runs',
    ref: loadBalancerArn,
    attributes: {
      LoadBalancerArn: loadBalancerArn,
      LoadBalancerName: (resource) => loadBalancerName(resource).split('/')[1] ?? '',
      LoadBalancerFullName: loadBalancerName,
      DNSName: dnsName,
      CanonicalHostedZoneID: () => 'Z35SXDOTRQ7X7K',
    },
  },
  'AWS::ElasticLoadBalancingV2::Listener': {
    standIn: 'runs',
    ref: listenerArn,
    attributes: { ListenerArn: listenerArn },
  },
  'AWS::ElasticLoadBalancingV2::ListenerRule': runs,
  'AWS::ElasticLoadBalancingV2::TargetGroup': {
    standIn: 'runs',
    ref: targetGroupArn,
    attributes: {
      TargetGroupArn: targetGroupArn,
      TargetGroupFullName: targetGroupName,
      TargetGroupName: (resource) => targetGroupName(resource).split('/')[1] ?? '',
    },
  },
  'AWS::ECS::Cluster': { standIn: 'runs', ref: nameOf('ClusterName'), attributes: { Arn: clusterArn } },
  'AWS::ECS::Service': {
    standIn: 'runs',
    ref: serviceArn,
    attributes: { ServiceArn: serviceArn, Name: nameOf('ServiceName') },
  },
  'AWS::ECS::TaskDefinition': {
    standIn: 'runs',
    ref: (resource) => arn('ecs', resource, `task-definition/${nameOf('Family')(resource)}:1`),
    attributes: {
      TaskDefinitionArn: (resource) => arn('ecs', resource, `task-definition/${nameOf('Family')(resource)}:1`),
    },
  },
  'AWS::ECS::CapacityProvider': { standIn: 'differs', note: 'no instances: tasks are processes of this machine' },
  'AWS::ECS::ClusterCapacityProviderAssociations': { standIn: 'no-effect' },
  'AWS::AutoScaling::AutoScalingGroup': {
    standIn: 'differs',
    note: 'no instances: tasks are processes of this machine',
  },
  'AWS::DynamoDB::Table': table,
  'AWS::DynamoDB::GlobalTable': table,
  'AWS::ElastiCache::ServerlessCache': {
    standIn: 'runs',
    ref: nameOf('ServerlessCacheName'),
    attributes: {
      ARN: (resource) => arn('elasticache', resource, `serverlesscache:${nameOf('ServerlessCacheName')(resource)}`),
      'Endpoint.Address': (resource) =>
        `${nameOf('ServerlessCacheName')(resource)}-${physicalId(resource, 6)}.serverless.${resource.region}.cache.amazonaws.com`,
      'Endpoint.Port': () => '6379',
    },
  },
  'AWS::ElastiCache::ReplicationGroup': {
    standIn: 'runs',
    ref: nameOf('ReplicationGroupId'),
    attributes: {
      'PrimaryEndPoint.Address': (resource) =>
        `master.${nameOf('ReplicationGroupId')(resource)}.${physicalId(resource, 6)}.${resource.region}.cache.amazonaws.com`,
      'PrimaryEndPoint.Port': (resource) => String(resource.property('Port') ?? 6379),
    },
  },
  'AWS::ElastiCache::SubnetGroup': { ...cacheUser, note: "the cache is in this machine's network" },
  'AWS::ElastiCache::ParameterGroup': { ...cacheUser, note: 'the cache takes the memory that it needs' },
  'AWS::ElastiCache::User': { ...cacheUser, ref: nameOf('UserId') },
  'AWS::ElastiCache::UserGroup': { ...cacheUser, ref: nameOf('UserGroupId') },
  'AWS::S3::BucketPolicy': iam,
  'AWS::SQS::Queue': {
    standIn: 'runs',
    ref: (resource) => `https://sqs.${resource.region}.amazonaws.com/${resource.account}/${queueName(resource)}`,
    attributes: { Arn: (resource) => arn('sqs', resource, queueName(resource)), QueueName: queueName },
  },
  'AWS::SQS::QueuePolicy': iam,
  'AWS::Lambda::EventSourceMapping': {
    standIn: 'differs',
    note: 'nothing polls the source: only queues are',
    runsIf: (resource) => String(resource.property('EventSourceArn')).includes(':sqs:'),
    attributes: { Id: physicalId },
  },
  'AWS::S3::Bucket': {
    standIn: 'runs',
    ref: (resource) => nameOf('BucketName')(resource).toLowerCase(),
    attributes: {
      Arn: (resource) => `arn:aws:s3:::${nameOf('BucketName')(resource).toLowerCase()}`,
      DomainName: (resource) => `${nameOf('BucketName')(resource).toLowerCase()}.s3.amazonaws.com`,
      RegionalDomainName: (resource) =>
        `${nameOf('BucketName')(resource).toLowerCase()}.s3.${resource.region}.amazonaws.com`,
    },
  },
};
