import { Duration, Lazy, RemovalPolicy, Stack, Validations } from 'aws-cdk-lib';
import {
  type Alarm,
  ComparisonOperator,
  type IAlarmAction,
  type Metric,
  type MetricOptions,
  Stats,
  TreatMissingData,
} from 'aws-cdk-lib/aws-cloudwatch';
import type { Table } from 'aws-cdk-lib/aws-dynamodb';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { Code, type Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import { SqsEventSource } from 'aws-cdk-lib/aws-lambda-event-sources';
import type { Bucket, CfnBucket } from 'aws-cdk-lib/aws-s3';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import type { Queue } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import type { Gateway } from '../gateway/gateway';
import { handlerFolder } from '../private/handler-assets';
import { HandlerFunction } from '../private/handler-function';
import { defaultConcurrentJobs } from '../private/jobs/capacity';
import {
  JOBS_BUCKET_ENV,
  JOBS_QUEUE_URL_ENV,
  JOBS_RETENTION_ENV,
  JOBS_TABLE_ENV,
  NOTICES_DEAD_LETTER_URL_ENV,
  NOTICES_QUEUE_URL_ENV,
  WEBHOOK_SECRET_ARN_ENV,
} from '../private/jobs/environment';
import { JOB_ROUTES } from '../private/jobs/routes';
import { createBucket, createQueues, createTable } from '../private/jobs/stores';
import { incidentDescription } from '../private/runbook';
import { ServingCode } from '../private/serving-code';
import { CONSUMERS_ENV } from '../private/serving-config';
import { type METRICS_OF_JOBS, servingSum } from '../private/serving-metrics';
import { requireDuration, requireInteger, requireKnown } from '../private/validation';

/** What DynamoDB, S3, SQS and Secrets Manager need of whoever uses them under a customer's key. */
const KEY_ACTIONS = [
  'kms:Decrypt',
  'kms:DescribeKey',
  'kms:Encrypt',
  'kms:GenerateDataKey',
  'kms:GenerateDataKeyWithoutPlaintext',
  'kms:ReEncryptFrom',
  'kms:ReEncryptTo',
];

/** Options of a queue of jobs. */
export interface JobQueueOptions {
  /**
   * How long a job's result can be fetched after its end: between an hour and a year, in whole seconds.
   *
   * @default Duration.days(7)
   */
  readonly resultRetention?: Duration;

  /**
   * How many jobs run at once, about: at least 2. More would only take room from live requests.
   *
   * @default - 16 for each task that the largest fleet may have, where a fleet is a model's first backend; else 50
   */
  readonly maxConcurrentJobs?: number;

  /**
   * How many jobs one worker takes at a time, between 1 and 10. They share its process and are waited for together: more
   * is cheaper, less frees a worker sooner.
   *
   * @default 5
   */
  readonly jobsPerWorker?: number;

  /**
   * Memory of a worker, in MiB, between 256 and 10240.
   *
   * @default 1024
   */
  readonly workerMemoryMiB?: number;

  /**
   * What becomes of the table and the bucket when the stack is removed.
   *
   * @default RemovalPolicy.RETAIN
   */
  readonly removalPolicy?: RemovalPolicy;

  /**
   * Encrypts the table, the bucket, the queues and the secret.
   *
   * @default - the services' own keys
   */
  readonly encryptionKey?: IKey;

  /**
   * What is done in alarm, such as an `SnsAction`.
   *
   * @default - nothing: the alarms are only to be seen
   */
  readonly alarmActions?: IAlarmAction[];

  /**
   * A job that could run and has waited for so long is one too many: at least a minute.
   *
   * @default Duration.minutes(30)
   */
  readonly oldestJobAlarm?: Duration;

  /**
   * So many jobs that could run and wait are too many; at least 1.
   *
   * @default 10000
   */
  readonly depthAlarm?: number;
}

/** Properties of a queue of jobs. */
export interface JobQueueProps extends JobQueueOptions {
  /** Whose consumers may submit jobs, and whose models run them. */
  readonly gateway: Gateway;
}

const WORKER_TIMEOUT = Duration.minutes(15);
const DELIVERER_TIMEOUT = Duration.seconds(30);

/** Lambda's least for an event source. */
const MIN_WORKERS = 2;

/** After so many failures of ours (the table can't be reached) a message is put aside. Failures of a job count elsewhere. */
const MAX_RECEIVES = 20;

/**
 * Requests that are answered later: `POST /v1/jobs` gives an id at once; a worker takes the same path as a live request;
 * the result is polled, or delivered to a webhook. A job survives workers, deployments and outages of models, and is
 * done once.
 *
 * Idle it costs a secret and the alarms, some $0.80 a month.
 */
export class JobQueue extends Construct {
  /** Jobs that wait to be run. */
  public readonly queue: Queue;

  /** Messages that no worker could handle. */
  public readonly deadLetterQueue: Queue;

  /** Notifications that wait to be delivered. */
  public readonly noticeQueue: Queue;

  /** Notifications that couldn't be delivered. */
  public readonly noticeDeadLetterQueue: Queue;

  /** The jobs. */
  public readonly table: Table;

  /** Requests and results that are too long for the table. */
  public readonly bucket: Bucket;

  /** What the consumers' secrets are derived from. */
  public readonly webhookSecret: Secret;

  /** The function behind `/v1/jobs`. */
  public readonly apiHandler: LambdaFunction;

  /** The function that runs jobs. */
  public readonly worker: LambdaFunction;

  /** The function that delivers notifications. */
  public readonly deliverer: LambdaFunction;

  /** A job that could run has waited for long. */
  public readonly oldestJobAlarm: Alarm;

  /** Many jobs wait. */
  public readonly depthAlarm: Alarm;

  /** A message could not be handled. */
  public readonly deadLettersAlarm: Alarm;

  /** A notification could not be delivered. */
  public readonly deliveryFailuresAlarm: Alarm;

  /** @internal */
  public readonly _environment: Record<string, string>;

  private readonly metricsNamespace: string;

  constructor(scope: Construct, id: string, props: JobQueueProps) {
    super(scope, id);
    const retention = props.resultRetention ?? Duration.days(7);
    requireDuration('resultRetention', retention, Duration.hours(1), Duration.days(365));
    const perWorker = props.jobsPerWorker ?? 5;
    for (const prop of ['jobsPerWorker', 'maxConcurrentJobs'] as const) requireKnown(prop, props[prop]);
    requireInteger('jobsPerWorker', perWorker, 1, 10);
    requireInteger('maxConcurrentJobs', props.maxConcurrentJobs, MIN_WORKERS);
    requireInteger('workerMemoryMiB', props.workerMemoryMiB, 256, 10240);
    requireInteger('depthAlarm', props.depthAlarm, 1);
    const oldest = props.oldestJobAlarm ?? Duration.minutes(30);
    requireDuration('oldestJobAlarm', oldest, Duration.minutes(1), Duration.days(14));
    this.metricsNamespace = props.gateway.metricsNamespace;
    const { encryptionKey } = props;
    const removalPolicy = props.removalPolicy ?? RemovalPolicy.RETAIN;

    this.table = createTable(this, removalPolicy, encryptionKey);
    this.bucket = createBucket(this, retention, removalPolicy, encryptionKey);
    // Lambda refuses an event source whose messages come again while a function may still run.
    const jobs = createQueues(this, 'Jobs', {
      visibilityTimeout: WORKER_TIMEOUT,
      maxReceiveCount: MAX_RECEIVES,
      encryptionKey,
    });
    const notices = createQueues(this, 'Notices', {
      visibilityTimeout: Duration.seconds(6 * DELIVERER_TIMEOUT.toSeconds()),
      maxReceiveCount: MAX_RECEIVES,
      encryptionKey,
    });
    this.queue = jobs.queue;
    this.deadLetterQueue = jobs.deadLetters;
    this.noticeQueue = notices.queue;
    this.noticeDeadLetterQueue = notices.deadLetters;
    this.webhookSecret = createSecret(this, encryptionKey);

    const environment = {
      [JOBS_TABLE_ENV]: this.table.tableName,
      [JOBS_BUCKET_ENV]: this.bucket.bucketName,
      [JOBS_QUEUE_URL_ENV]: this.queue.queueUrl,
      [NOTICES_QUEUE_URL_ENV]: this.noticeQueue.queueUrl,
      [JOBS_RETENTION_ENV]: String(retention.toSeconds()),
    };
    this._environment = environment;
    this.apiHandler = this.createApi(props, environment);
    this.worker = this.createWorker(props, environment);
    this.deliverer = this.createDeliverer(props, environment);
    const workers = (): number => {
      const atOnce = props.maxConcurrentJobs ?? defaultConcurrentJobs(props.gateway._models());
      return Math.min(1000, Math.max(MIN_WORKERS, Math.ceil(atOnce / perWorker)));
    };
    this.worker.addEventSource(
      new SqsEventSource(this.queue, {
        batchSize: perWorker,
        // A fleet may be added until synthesis.
        maxConcurrency: Lazy.number({ produce: workers }),
        reportBatchItemFailures: true,
      }),
    );
    this.deliverer.addEventSource(
      new SqsEventSource(this.noticeQueue, { batchSize: 10, maxConcurrency: 10, reportBatchItemFailures: true }),
    );

    const alarm = (name: string, metric: Metric, threshold: number, alarmDescription: string): Alarm => {
      const made = metric.createAlarm(this, name, {
        alarmDescription,
        threshold,
        evaluationPeriods: 1,
        comparisonOperator: ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
        treatMissingData: TreatMissingData.NOT_BREACHING,
      });
      made.addAlarmAction(...(props.alarmActions ?? []));
      return made;
    };
    this.oldestJobAlarm = alarm(
      'OldestJobAlarm',
      this.metricOldestJobAge(),
      oldest.toSeconds(),
      incidentDescription(
        'jobs-wait',
        'A job that could run has waited for long: workers or models are too few, or broken.',
      ),
    );
    this.depthAlarm = alarm(
      'DepthAlarm',
      this.metricDepth(),
      props.depthAlarm ?? 10_000,
      incidentDescription('jobs-wait', 'Many jobs wait to be run.'),
    );
    this.deadLettersAlarm = alarm(
      'DeadLettersAlarm',
      this.metricDeadLetters(),
      1,
      incidentDescription(
        'dead-letters',
        'No worker could handle a message: see the log of the worker, then run `llm-serving jobs redrive`.',
      ),
    );
    this.deliveryFailuresAlarm = alarm(
      'DeliveryFailuresAlarm',
      this.metricUndeliveredNotices(),
      1,
      incidentDescription(
        'notifications-not-delivered',
        'A notification could not be delivered: its job has the reason, `llm-serving jobs redrive` sends it again.',
      ),
    );
  }

  /** Jobs that could run and wait; their greatest number within 5 minutes unless told otherwise. */
  public metricDepth(options?: MetricOptions): Metric {
    return this.queue.metricApproximateNumberOfMessagesVisible({ statistic: Stats.MAXIMUM, ...options });
  }

  /**
   * Seconds that the oldest job has waited which could run; the maximum within 5 minutes unless told otherwise. A job that
   * waits for a limit or a back-off begins anew each time.
   */
  public metricOldestJobAge(options?: MetricOptions): Metric {
    return this.queue.metricApproximateAgeOfOldestMessage({ statistic: Stats.MAXIMUM, ...options });
  }

  /** Notifications that couldn't be delivered; their greatest number within 5 minutes unless told otherwise. */
  public metricUndeliveredNotices(options?: MetricOptions): Metric {
    return this.noticeDeadLetterQueue.metricApproximateNumberOfMessagesVisible({
      statistic: Stats.MAXIMUM,
      ...options,
    });
  }

  /** Messages that no worker could handle; their greatest number within 5 minutes unless told otherwise. */
  public metricDeadLetters(options?: MetricOptions): Metric {
    return this.deadLetterQueue.metricApproximateNumberOfMessagesVisible({ statistic: Stats.MAXIMUM, ...options });
  }

  /** Jobs and lines of batches that ended with an answer; their sum over 5 minutes unless told otherwise. */
  public metricSucceeded(options?: MetricOptions): Metric {
    return this.metricOfEnds('JobsSucceeded', options);
  }

  /** Jobs and lines of batches that ended with an error; their sum over 5 minutes unless told otherwise. */
  public metricFailed(options?: MetricOptions): Metric {
    return this.metricOfEnds('JobsFailed', options);
  }

  /** Jobs and lines of batches that were cancelled; their sum over 5 minutes unless told otherwise. */
  public metricCancelled(options?: MetricOptions): Metric {
    return this.metricOfEnds('JobsCancelled', options);
  }

  /** Jobs and lines of batches whose time ran out; their sum over 5 minutes unless told otherwise. */
  public metricExpired(options?: MetricOptions): Metric {
    return this.metricOfEnds('JobsExpired', options);
  }

  private metricOfEnds(name: (typeof METRICS_OF_JOBS)[number], options?: MetricOptions): Metric {
    return servingSum(this.metricsNamespace, name, {}, options);
  }

  /** @internal */
  public get _alarms(): Alarm[] {
    return [this.oldestJobAlarm, this.depthAlarm, this.deadLettersAlarm, this.deliveryFailuresAlarm];
  }

  private createApi(props: JobQueueProps, environment: Record<string, string>): LambdaFunction {
    const extension = props.gateway._extension();
    const fn = new HandlerFunction(this, 'Api', {
      description: 'Takes jobs, and tells what became of them',
      // It calls no backend and answers nothing by itself: it needs to know neither of them nor of the cache.
      code: new ServingCode(handlerFolder('jobs'), () => {
        const { cache: _, ...config } = extension.config();
        return { ...config, models: config.models.map((model) => ({ ...model, backends: [] })) };
      }),
      memorySize: 512,
      // Of the longest answer, a file: 200 MB at Lambda's 2 MB a second.
      timeout: Duration.minutes(3),
      ...extension.functionProps,
    }).function;
    addEnvironment(fn, { ...environment, [CONSUMERS_ENV]: extension.consumers });
    fn.addEnvironment(WEBHOOK_SECRET_ARN_ENV, this.webhookSecret.secretArn);
    this.grantStores(fn, props);
    grantSend(fn, this.queue, this.noticeQueue);
    this.webhookSecret.grantRead(fn);
    extension.bindLedger(fn);
    extension.addRoutes(fn, JOB_ROUTES);
    return fn;
  }

  private createWorker(props: JobQueueProps, environment: Record<string, string>): LambdaFunction {
    const extension = props.gateway._extension();
    const fn = new HandlerFunction(this, 'Worker', {
      description: 'Runs jobs',
      code: new ServingCode(handlerFolder('worker'), () => extension.config()),
      memorySize: props.workerMemoryMiB ?? 1024,
      timeout: WORKER_TIMEOUT,
      ...extension.functionProps,
      ...extension.network,
    }).function;
    addEnvironment(fn, environment);
    extension.bindLedger(fn);
    const connections = extension.network.vpc && fn.connections;
    extension.bindCache(fn, connections);
    extension.addCaller({ fn, ...(connections && { connections }) });
    this.grantStores(fn, props);
    grantSend(fn, this.queue, this.noticeQueue);
    return fn;
  }

  /** In no VPC, whatever the others are in: what it is sent to can't be anybody's inside. */
  private createDeliverer(props: JobQueueProps, environment: Record<string, string>): LambdaFunction {
    const fn = new HandlerFunction(this, 'Deliverer', {
      description: "Delivers notifications of jobs' ends",
      code: Code.fromAsset(handlerFolder('webhook')),
      memorySize: 512,
      timeout: DELIVERER_TIMEOUT,
      ...props.gateway._extension().functionProps,
    }).function;
    addEnvironment(fn, environment);
    fn.addEnvironment(WEBHOOK_SECRET_ARN_ENV, this.webhookSecret.secretArn);
    fn.addEnvironment(NOTICES_DEAD_LETTER_URL_ENV, this.noticeDeadLetterQueue.queueUrl);
    this.grantStores(fn, props);
    grantSend(fn, this.noticeQueue, this.noticeDeadLetterQueue);
    this.webhookSecret.grantRead(fn);
    return fn;
  }

  /** Items and objects, and no more: none of the functions deletes or scans. */
  private grantStores(fn: LambdaFunction, props: JobQueueProps): void {
    const { tableArn } = this.table;
    fn.addToRolePolicy(
      new PolicyStatement({
        actions: [
          'dynamodb:GetItem',
          'dynamodb:BatchGetItem',
          'dynamodb:PutItem',
          'dynamodb:UpdateItem',
          'dynamodb:Query',
        ],
        resources: [tableArn, `${tableArn}/index/list`],
      }),
    );
    fn.addToRolePolicy(
      new PolicyStatement({ actions: ['s3:GetObject', 's3:PutObject'], resources: [this.bucket.arnForObjects('*')] }),
    );
    props.encryptionKey?.grant(fn, ...KEY_ACTIONS);
    const { role } = fn;
    if (role === undefined) return;
    Validations.of(role).acknowledge({
      id: `AwsSolutions-IAM5[Resource::<${Stack.of(this).getLogicalId(this.bucket.node.defaultChild as CfnBucket)}.Arn>/*]`,
      reason: "The objects of the queue's own bucket, whose names are those of jobs.",
    });
  }
}

function addEnvironment(fn: LambdaFunction, environment: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(environment)) fn.addEnvironment(name, value);
}

/** Not by `grantSendMessages`, which lets them look at the queues as well. */
function grantSend(fn: LambdaFunction, ...queues: readonly Queue[]): void {
  const resources = queues.map(({ queueArn }) => queueArn);
  fn.addToRolePolicy(new PolicyStatement({ actions: ['sqs:SendMessage'], resources }));
}

function createSecret(scope: Construct, encryptionKey: IKey | undefined): Secret {
  const secret = new Secret(scope, 'WebhookSecret', {
    description: "What the consumers' webhook secrets are derived from",
    generateSecretString: { passwordLength: 64, excludePunctuation: true },
    encryptionKey,
  });
  Validations.of(secret).acknowledge({
    id: 'AwsSolutions-SMG4',
    reason:
      "Consumers rotate their own secrets, which are derived from it; a new one here would break all receivers' at once.",
  });
  return secret;
}
