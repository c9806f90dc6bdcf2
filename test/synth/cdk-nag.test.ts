import { App, Stack, Validations } from 'aws-cdk-lib';
import { Vpc } from 'aws-cdk-lib/aws-ec2';
import { AwsSolutionsChecks } from 'cdk-nag';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { GatewayCompute, LlmServingStack, type LlmServingStackProps } from '../../lib';

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
      acknowledged.push(...rules.map(({ id }) => id));
      reasons.push(...rules.map(({ reason }) => reason));
    });
    const found = new Set(findings(props, prepare));
    expect(found.size).toBeGreaterThan(0);
    expect([...new Set(acknowledged)].filter((id) => !found.has(id))).toEqual([]);
    for (const reason of reasons) expect(reason.length).toBeGreaterThan(40);
  });
});
