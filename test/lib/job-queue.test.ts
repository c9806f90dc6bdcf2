import { Duration, RemovalPolicy } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { InstanceType } from 'aws-cdk-lib/aws-ec2';
import { describe, expect, test } from 'vitest';
import {
  Backend,
  Gateway,
  GatewayCompute,
  GpuCapacity,
  JobQueue,
  type JobQueueOptions,
  LlmServing,
  Model,
  ModelFleet,
  ModelWeights,
  ServingEngine,
  ServingVpc,
} from '../../lib';
import { anyModel, anyTier, newStack, statements } from './fixture.ts';

function synthesize(options: JobQueueOptions = {}): Template {
  const stack = newStack();
  const gateway = new Gateway(stack, 'Gateway', { models: [anyModel(stack)], tiers: [anyTier(stack)] });
  new JobQueue(stack, 'Jobs', { gateway, ...options });
  return Template.fromStack(stack);
}

const worker = (template: Template) =>
  Object.values(template.findResources('AWS::Lambda::EventSourceMapping', { Properties: { BatchSize: 5 } }))[0]
    ?.Properties;

describe('a queue of jobs', () => {
  test('keeps what it is given: encrypted, over TLS only, and after the stack is gone', () => {
    const template = synthesize();
    template.resourceCountIs('AWS::SQS::Queue', 4);
    template.allResourcesProperties('AWS::SQS::Queue', { SqsManagedSseEnabled: true, MessageRetentionPeriod: 1209600 });
    template.hasResource('AWS::DynamoDB::Table', {
      DeletionPolicy: 'Retain',
      Properties: { BillingMode: 'PAY_PER_REQUEST' },
    });
    template.hasResource('AWS::S3::Bucket', {
      DeletionPolicy: 'Retain',
      Properties: { PublicAccessBlockConfiguration: { BlockPublicAcls: true, RestrictPublicBuckets: true } },
    });
  });

  test('takes messages that no function can handle out of the way', () => {
    const queues = Object.values(synthesize().findResources('AWS::SQS::Queue'));
    expect(queues.filter(({ Properties }) => Properties.RedrivePolicy?.maxReceiveCount === 20)).toHaveLength(2);
  });

  test('gives a message back no sooner than its worker may run', () => {
    const template = synthesize();
    template.hasResourceProperties('AWS::Lambda::Function', { Description: 'Runs jobs', Timeout: 900 });
    template.hasResourceProperties('AWS::SQS::Queue', { VisibilityTimeout: 900 });
  });

  test('says of each message whether it was handled', () => {
    const template = synthesize();
    template.resourceCountIs('AWS::Lambda::EventSourceMapping', 2);
    template.allResourcesProperties('AWS::Lambda::EventSourceMapping', {
      FunctionResponseTypes: ['ReportBatchItemFailures'],
    });
    expect(worker(template)?.ScalingConfig).toEqual({ MaximumConcurrency: 10 });
  });

  test('runs as many jobs at once as the tasks of a fleet take', () => {
    const stack = newStack();
    const { vpc } = new ServingVpc(stack, 'Vpc');
    const fleet = new ModelFleet(stack, 'Fleet', {
      engine: ServingEngine.vllm({ contextLength: 16_384 }),
      weights: ModelWeights.huggingFace('Qwen/Qwen3-8B'),
      capacity: GpuCapacity.ec2({ instanceTypes: [new InstanceType('g6e.xlarge')] }),
      vpc,
      scaling: { minTasks: 0, maxTasks: 3 },
    });
    const serving = new LlmServing(stack, 'Serving', {
      compute: GatewayCompute.lambda({ vpc }),
      tiers: [anyTier(stack)],
      jobs: {},
    });
    // Known after the queue was made.
    serving.addModel(new Model(stack, 'Own', { backends: [Backend.fleet(fleet)] }));
    const template = Template.fromStack(stack);
    // 3 tasks of 16, by five to a worker.
    expect(worker(template)?.ScalingConfig).toEqual({ MaximumConcurrency: 10 });
    template.hasResourceProperties('AWS::Lambda::Function', {
      Description: 'Runs jobs',
      VpcConfig: Match.anyValue(),
      Environment: { Variables: Match.objectLike({ LLM_FLEET_FLEET_URL: Match.anyValue() }) },
    });
    // What others choose the address of is called from outside of it.
    template.hasResourceProperties('AWS::Lambda::Function', {
      Description: "Delivers notifications of jobs' ends",
      VpcConfig: Match.absent(),
    });
  });

  test('lets no function delete or scan, and only two read the secret', () => {
    const template = synthesize();
    const actions = statements(template, 'dynamodb:').flatMap(({ Action }) => Action);
    expect(new Set(actions)).toEqual(
      new Set([
        'dynamodb:BatchGetItem',
        'dynamodb:GetItem',
        'dynamodb:PutItem',
        'dynamodb:Query',
        'dynamodb:UpdateItem',
      ]),
    );
    expect(statements(template, 'secretsmanager:')).toHaveLength(2);
  });

  test('watches age, depth, dead letters and deliveries', () => {
    const template = synthesize({ oldestJobAlarm: Duration.minutes(5), depthAlarm: 7 });
    template.resourceCountIs('AWS::CloudWatch::Alarm', 4);
    template.hasResourceProperties('AWS::CloudWatch::Alarm', {
      MetricName: 'ApproximateAgeOfOldestMessage',
      Threshold: 300,
    });
    template.hasResourceProperties('AWS::CloudWatch::Alarm', {
      MetricName: 'ApproximateNumberOfMessagesVisible',
      Threshold: 7,
    });
  });

  test('has its routes behind the same keys', () => {
    const template = synthesize();
    const keyed = template.findResources('AWS::ApiGateway::Method', { Properties: { ApiKeyRequired: true } });
    const methods = template.findResources('AWS::ApiGateway::Method');
    expect(Object.keys(methods).length - Object.keys(keyed).length, 'GET /health alone has no key').toBe(1);
  });

  test('deletes with the stack when told to, and objects after their results', () => {
    const template = synthesize({ removalPolicy: RemovalPolicy.DESTROY, resultRetention: Duration.days(2) });
    template.hasResource('AWS::DynamoDB::Table', { DeletionPolicy: 'Delete' });
    template.hasResourceProperties('AWS::S3::Bucket', {
      LifecycleConfiguration: { Rules: [Match.objectLike({ ExpirationInDays: 10 })] },
    });
  });

  test.each<[string, JobQueueOptions, string]>([
    ['resultRetention', { resultRetention: Duration.minutes(1) }, 'resultRetention must be between'],
    ['jobsPerWorker', { jobsPerWorker: 11 }, 'jobsPerWorker must be a whole number between 1 and 10, got 11'],
    ['maxConcurrentJobs', { maxConcurrentJobs: 1 }, 'maxConcurrentJobs must be a whole number of at least 2, got 1'],
    ['workerMemoryMiB', { workerMemoryMiB: 128 }, 'workerMemoryMiB must be a whole number between 256 and 10240'],
    ['depthAlarm', { depthAlarm: 0 }, 'depthAlarm must be a whole number of at least 1'],
    ['oldestJobAlarm', { oldestJobAlarm: Duration.seconds(1) }, 'oldestJobAlarm must be between'],
  ])('refuses a bad %s', (_, options, message) => {
    expect(() => synthesize(options)).toThrow(message);
  });
});

test('a serving without jobs has none of it', () => {
  const stack = newStack();
  new LlmServing(stack, 'Serving', { models: [anyModel(stack)] });
  const template = Template.fromStack(stack);
  for (const type of ['AWS::SQS::Queue', 'AWS::Lambda::EventSourceMapping']) template.resourceCountIs(type, 0);
});
