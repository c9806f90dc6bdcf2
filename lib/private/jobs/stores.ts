import { Duration, type RemovalPolicy, Validations } from 'aws-cdk-lib';
import { AttributeType, BillingMode, ProjectionType, Table, TableEncryption } from 'aws-cdk-lib/aws-dynamodb';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { BlockPublicAccess, Bucket, BucketEncryption } from 'aws-cdk-lib/aws-s3';
import { Queue, QueueEncryption } from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';

/** What a list shows of a job; its request and result stay where they are. */
const LISTED = [
  'id',
  'kind',
  'status',
  'model',
  'priority',
  'createdAt',
  'notBefore',
  'expiresAt',
  'startedAt',
  'endedAt',
  'ttl',
  'attempts',
  'outputTokens',
  'inputTokens',
  'costUsd',
  'backend',
  'error',
  'metadata',
  'generation',
  'notice',
];

/** SQS's longest. */
const MESSAGE_RETENTION = Duration.days(14);

export function createTable(scope: Construct, removalPolicy: RemovalPolicy, encryptionKey: IKey | undefined): Table {
  const table = new Table(scope, 'Table', {
    partitionKey: { name: 'pk', type: AttributeType.STRING },
    sortKey: { name: 'sk', type: AttributeType.STRING },
    billingMode: BillingMode.PAY_PER_REQUEST,
    timeToLiveAttribute: 'ttl',
    pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
    encryption: encryptionKey === undefined ? TableEncryption.DEFAULT : TableEncryption.CUSTOMER_MANAGED,
    encryptionKey,
    removalPolicy,
  });
  table.addGlobalSecondaryIndex({
    indexName: 'list',
    partitionKey: { name: 'list', type: AttributeType.STRING },
    sortKey: { name: 'listKey', type: AttributeType.STRING },
    projectionType: ProjectionType.INCLUDE,
    nonKeyAttributes: LISTED,
  });
  return table;
}

export function createBucket(
  scope: Construct,
  retention: Duration,
  removalPolicy: RemovalPolicy,
  encryptionKey: IKey | undefined,
): Bucket {
  const bucket = new Bucket(scope, 'Bucket', {
    blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
    enforceSSL: true,
    encryption: encryptionKey === undefined ? BucketEncryption.S3_MANAGED : BucketEncryption.KMS,
    encryptionKey,
    bucketKeyEnabled: encryptionKey !== undefined,
    removalPolicy,
    lifecycleRules: [
      {
        // A job may be open for a week before its result's time begins; lifecycles count in days.
        expiration: Duration.days(Math.ceil(retention.toDays({ integral: false })) + 8),
        abortIncompleteMultipartUploadAfter: Duration.days(1),
      },
    ],
  });
  Validations.of(bucket).acknowledge({
    id: 'AwsSolutions-S1',
    reason: "Only the queue's own functions read and write it; each job has a record of its own in the table.",
  });
  return bucket;
}

export interface QueuePair {
  readonly queue: Queue;
  readonly deadLetters: Queue;
}

/** A standard queue and the one that takes what can't be handled. */
export function createQueues(
  scope: Construct,
  id: string,
  options: { readonly visibilityTimeout: Duration; readonly maxReceiveCount: number; readonly encryptionKey?: IKey },
): QueuePair {
  const common = {
    enforceSSL: true,
    retentionPeriod: MESSAGE_RETENTION,
    encryption: options.encryptionKey === undefined ? QueueEncryption.SQS_MANAGED : QueueEncryption.KMS,
    encryptionMasterKey: options.encryptionKey,
  };
  const deadLetters = new Queue(scope, `${id}DeadLetters`, common);
  const queue = new Queue(scope, id, {
    ...common,
    visibilityTimeout: options.visibilityTimeout,
    deadLetterQueue: { queue: deadLetters, maxReceiveCount: options.maxReceiveCount },
  });
  return { queue, deadLetters };
}
