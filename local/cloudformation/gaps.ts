import { RESOURCE_TYPES } from './resource-types.ts';
import type { Stack } from './stack.ts';

export interface Gap {
  /** `AWS::SQS::Queue`, or `AWS::ApiGateway::RestApi Policy` for a part of one. */
  readonly what: string;
  readonly count: number;
  readonly meaning: string;
}

const TABLE_PROPERTIES = {
  StreamSpecification: 'it has no stream',
  TimeToLiveSpecification: 'what has expired is not deleted',
};

/** Properties of resources that run here, which change nothing here. */
const PROPERTIES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'AWS::ApiGateway::RestApi': {
    Policy: 'the resource policy is not evaluated',
    MinimumCompressionSize: 'answers are not compressed',
    DisableExecuteApiEndpoint: 'the API answers on 127.0.0.1 nevertheless',
  },
  'AWS::ApiGateway::Stage': {
    CacheClusterEnabled: 'answers are not cached',
    CanarySetting: 'all requests go to the deployment itself',
    ClientCertificateId: 'no client certificate is sent',
    TracingEnabled: 'no traces are recorded',
  },
  'AWS::DynamoDB::GlobalTable': TABLE_PROPERTIES,
  'AWS::DynamoDB::Table': TABLE_PROPERTIES,
  'AWS::ElastiCache::ReplicationGroup': {
    CacheNodeType: 'nothing is evicted: it holds what the machine does',
    KmsKeyId: 'nothing is encrypted',
    MultiAZEnabled: 'there is one server, and none stands by',
    SecurityGroupIds: 'whoever reaches 127.0.0.1 reaches it',
  },
  'AWS::ElastiCache::ServerlessCache': {
    CacheUsageLimits: 'nothing is evicted: it holds what the machine does',
    KmsKeyId: 'nothing is encrypted',
    SecurityGroupIds: 'whoever reaches 127.0.0.1 reaches it',
  },
  'AWS::ElasticLoadBalancingV2::LoadBalancer': {
    SecurityGroups: 'whoever reaches 127.0.0.1 reaches it',
  },
  'AWS::ElasticLoadBalancingV2::Listener': {
    Certificates: 'there is no TLS: it speaks HTTP',
  },
  'AWS::Lambda::Alias': {
    ProvisionedConcurrencyConfig: 'no process is kept warm',
    RoutingConfig: 'all requests go to the same code',
  },
  'AWS::Lambda::Function': {
    Architectures: "the code runs on this machine's architecture",
    DeadLetterConfig: 'nothing is sent to the dead-letter queue',
    FunctionScalingConfig: 'processes are added on demand only',
    FileSystemConfigs: 'no file system is mounted',
    TracingConfig: 'no traces are recorded',
    VpcConfig: "the code runs in this machine's network",
  },
  'AWS::Lambda::EventSourceMapping': {
    FilterCriteria: 'all messages go to the function',
    MaximumBatchingWindowInSeconds: 'messages are not collected for a while',
  },
  'AWS::S3::Bucket': {
    LifecycleConfiguration: 'objects are not deleted, and gone when the run ends',
    NotificationConfiguration: 'nobody is told of new objects',
    VersioningConfiguration: 'only the last version is kept',
  },
  'AWS::SQS::Queue': {
    KmsMasterKeyId: 'messages are not encrypted',
  },
  'AWS::SecretsManager::Secret': {
    KmsKeyId: 'values are not encrypted',
  },
};

/** A network's many parts are listed as one. */
function unknownType(type: string): [what: string, meaning: string] {
  if (type.startsWith('AWS::EC2::')) return ['AWS::EC2', "no network is made: the functions run in this machine's"];
  return [type, 'nothing stands in for it: it is as if it were not there'];
}

/** What the assembly has and the local run doesn't do. */
export function gapsOf(stacks: readonly Stack[]): Gap[] {
  const gaps = new Map<string, { count: number; meaning: string }>();
  const add = (what: string, meaning: string): void => {
    gaps.set(what, { meaning, count: (gaps.get(what)?.count ?? 0) + 1 });
  };
  for (const resource of stacks.flatMap((stack) => stack.resources)) {
    const rules = RESOURCE_TYPES[resource.type];
    if (rules === undefined) add(...unknownType(resource.type));
    const runs = rules?.runsIf?.(resource) === true;
    if (rules?.standIn === 'differs' && !runs) add(resource.type, rules.note ?? 'it is simplified');
    for (const [property, meaning] of Object.entries(PROPERTIES[resource.type] ?? {})) {
      if (resource.sets(property)) add(`${resource.type} ${property}`, meaning);
    }
  }
  return [...gaps].sort(([a], [b]) => a.localeCompare(b)).map(([what, gap]) => ({ what, ...gap }));
}
