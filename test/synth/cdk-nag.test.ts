import { App, Stack, Validations } from 'aws-cdk-lib';
import { InstanceType, Vpc } from 'aws-cdk-lib/aws-ec2';
import { Repository } from 'aws-cdk-lib/aws-ecr';
import { ContainerImage } from 'aws-cdk-lib/aws-ecs';
import { Key } from 'aws-cdk-lib/aws-kms';
import { Bucket } from 'aws-cdk-lib/aws-s3';
import { AwsSolutionsChecks } from 'cdk-nag';
import { afterEach, describe, expect, test, vi } from 'vitest';
import {
  GatewayCompute,
  GpuCapacity,
  LlmServingStack,
  type LlmServingStackProps,
  ModelWeights,
  NodeResponseCache,
  ResponseCache,
  ServingEngine,
  ServingPreset,
} from '../../lib';

/** What cdk-nag finds, by rule and resource. */
function findings(props: LlmServingStackProps, prepare?: (stack: Stack) => LlmServingStackProps): string[] {
  const app = new App({ context: { '@aws-cdk/core:enablePartitionLiterals': true } });
  const scope = new Stack(app, 'Scope');
  const stack = new LlmServingStack(app, 'Llm', { ...props, ...prepare?.(scope) });
  const report = new AwsSolutionsChecks(app).validateScope(stack);
  return report.violations.map(({ ruleName }) => ruleName).sort();
}

/** The VPC is the user's own. */
function vpcOf(stack: Stack): Vpc {
  return Vpc.fromVpcAttributes(stack, 'Vpc', {
    vpcId: 'vpc-1',
    availabilityZones: ['a', 'b'],
    privateSubnetIds: ['subnet-1', 'subnet-2'],
  }) as Vpc;
}

function image(stack: Stack): ContainerImage {
  return ContainerImage.fromEcrRepository(Repository.fromRepositoryName(stack, 'Engine', 'engine'), '1');
}

interface Variant {
  readonly what: string;
  readonly props?: LlmServingStackProps;
  readonly prepare?: (stack: Stack) => LlmServingStackProps;
}

const VARIANTS: readonly Variant[] = [
  { what: 'the managed preset' },
  { what: 'the managed preset in a region that is known', props: { env: { region: 'eu-west-1' } } },
  { what: 'one without tracing, with CORS', props: { tracing: false, corsOrigins: ['https://app.example.com'] } },
  { what: 'one with a web ACL', props: { webAclArn: 'arn:aws:wafv2:us-east-1:111122223333:regional/webacl/a/b' } },
  {
    what: 'warm functions in a VPC',
    prepare: (s) => ({ compute: GatewayCompute.lambda({ vpc: vpcOf(s), provisionedConcurrency: 1 }) }),
  },
  { what: 'managed instances', prepare: (s) => ({ compute: GatewayCompute.managedInstances({ vpc: vpcOf(s) }) }) },
  {
    what: 'one with cost alarms',
    props: { monthlyBudgetUsd: 100, alarmEmails: ['ops@example.com'], env: { region: 'eu-west-1' } },
  },
  {
    what: 'one with a kill switch on a topic of its own',
    props: { killSwitchHourlyUsd: 50, env: { region: 'eu-west-1' } },
  },
  { what: 'the hybrid preset with a budget', props: { preset: ServingPreset.HYBRID, monthlyBudgetUsd: 100 } },
  {
    what: 'one with a response cache',
    prepare: (s) => ({ cache: new ResponseCache(s, 'Cache', { vpc: vpcOf(s) }) }),
  },
  { what: 'the hybrid preset', props: { preset: ServingPreset.HYBRID } },
  { what: 'the managed preset with jobs', props: { jobs: {} } },
  { what: 'the hybrid preset with jobs', props: { preset: ServingPreset.HYBRID, jobs: {} } },
  {
    what: "jobs under a key of one's own",
    prepare: (s) => ({ jobs: { encryptionKey: new Key(s, 'Key', { enableKeyRotation: true }) } }),
  },
  { what: 'the self-hosted preset', props: { preset: ServingPreset.SELF_HOSTED, env: { region: 'eu-west-1' } } },
  {
    what: 'a fleet without internet',
    prepare: (s) => ({
      preset: ServingPreset.SELF_HOSTED,
      fleet: {
        engine: ServingEngine.tensorRtLlm({ image: image(s), contextLength: 8192 }),
        weights: ModelWeights.s3(Bucket.fromBucketName(s, 'Weights', 'weights'), 'models/mine'),
      },
    }),
  },
  {
    what: 'a Spot fleet of SGLang',
    props: {
      preset: ServingPreset.HYBRID,
      fleet: {
        engine: ServingEngine.sglang(),
        weights: ModelWeights.huggingFace('Qwen/Qwen3-8B'),
        capacity: GpuCapacity.ec2({ instanceTypes: [new InstanceType('g6e.xlarge')], spot: true }),
      },
    },
  },
  {
    what: 'a fleet on Managed Instances',
    props: {
      preset: ServingPreset.HYBRID,
      fleet: { capacity: GpuCapacity.managedInstances({ instanceTypes: [new InstanceType('g6e.xlarge')] }) },
    },
  },
];

afterEach(() => vi.restoreAllMocks());

describe.each(VARIANTS)('$what', ({ props = {}, prepare }) => {
  test("is clean for cdk-nag's AwsSolutions", () => {
    expect(findings(props, prepare)).toEqual([]);
  });

  test('acknowledges nothing that cdk-nag would not find, each with its reason', () => {
    const acknowledged: string[] = [];
    const reasons: string[] = [];
    vi.spyOn(Validations.prototype, 'acknowledge').mockImplementation((...rules) => {
      // The CDK acknowledges findings of its own checks by the same way.
      acknowledged.push(...rules.map(({ id }) => id).filter((id) => id.startsWith('AwsSolutions-')));
      reasons.push(...rules.map(({ reason }) => reason));
    });
    const found = new Set(findings(props, prepare));
    expect(found.size).toBeGreaterThan(0);
    expect([...new Set(acknowledged)].filter((id) => !found.has(id))).toEqual([]);
    for (const reason of reasons) expect(reason.length).toBeGreaterThan(40);
  });
});

describe.each([
  [1, ['AwsSolutions-AEC6']],
  [0, ['AwsSolutions-AEC4', 'AwsSolutions-AEC6']],
])('a cache on nodes of its own, with %i standing by', (replicas, acknowledged) => {
  function found(): string[] {
    const app = new App({ context: { '@aws-cdk/core:enablePartitionLiterals': true } });
    const stack = new Stack(app, 'Own');
    new NodeResponseCache(stack, 'Cache', { vpc: vpcOf(stack), replicas });
    return new AwsSolutionsChecks(app)
      .validateScope(stack)
      .violations.map(({ ruleName }) => ruleName)
      .sort();
  }

  test("is clean for cdk-nag's AwsSolutions, with what it acknowledges", () => {
    expect(found()).toEqual([]);
    vi.spyOn(Validations.prototype, 'acknowledge').mockImplementation(() => {});
    expect(found()).toEqual(acknowledged);
  });
});
