import { readdirSync } from 'node:fs';
import { App, Stack } from 'aws-cdk-lib';
import { Vpc } from 'aws-cdk-lib/aws-ec2';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  Backend,
  CachePolicy,
  CostAlarms,
  Embedding,
  GatewayCompute,
  KillSwitch,
  LlmServing,
  LlmServingStack,
  Model,
  NodeResponseCache,
  ResponseCache,
  ServingPreset,
} from '../../lib';
import { actionsOf, type GrantedFunction, grantedFunctions, type Statement } from './support/granted-actions.ts';
import { callableActions } from './support/handler-actions.ts';

/** Every feature that a role gets rights for. Whoever adds a feature with rights of its own adds it here. */
function everything(): App {
  const app = new App();
  const stack = new Stack(app, 'Everything');
  const vpc = new Vpc(stack, 'Vpc');
  const { gateway } = new LlmServing(stack, 'Serving', {
    compute: GatewayCompute.lambda({ vpc }),
    cache: new ResponseCache(stack, 'Cache', { vpc }),
    jobs: {},
    models: [
      new Model(stack, 'Chat', {
        backends: [
          Backend.openAi('gpt-4.1', { apiKey: Secret.fromSecretNameV2(stack, 'Key', 'llm/openai') }),
          Backend.bedrock('us.amazon.nova-lite-v1:0', { guardrail: { guardrailId: 'abc123', guardrailVersion: '1' } }),
        ],
      }),
    ],
  });
  const { topic } = new CostAlarms(stack, 'CostAlarms', { gateway, monthlyBudgetUsd: 1000 });
  new KillSwitch(stack, 'KillSwitch', { gateway, topic, hourlyUsd: 100 });
  return app;
}

/** A function that calls an embedding has the right to that, and to no more than asking it. */
function similarAnswers(): App {
  const app = new App();
  const stack = new Stack(app, 'Similar');
  const vpc = new Vpc(stack, 'Vpc');
  const embedding = Embedding.bedrock('amazon.titan-embed-text-v2:0', { pricePerMillionTokensUsd: 0.02 });
  new LlmServing(stack, 'Serving', {
    cache: new NodeResponseCache(stack, 'Cache', {
      vpc,
      policy: CachePolicy.standard({ semantic: { embedding, threshold: 0.9 } }),
    }),
    jobs: {},
    models: [new Model(stack, 'Chat', { backends: [Backend.staticReply('x')] })],
  });
  return app;
}

/** What a role may hold although no line of the handler's code calls it. */
const NOT_CALLED: Readonly<Record<string, string>> = {
  'secretsmanager:DescribeSecret': "the CDK's grantRead adds it: names and dates of a secret that may be read anyway",
  'bedrock:ApplyGuardrail': 'Bedrock asks for it when a conversation names a guardrail',
  'kms:Decrypt': 'SNS asks for it when a message is published to an encrypted topic',
  'kms:GenerateDataKey': 'SNS asks for it when a message is published to an encrypted topic',
  'elasticache:Connect': 'the handler signs its login to the cache by itself',
  'sqs:ReceiveMessage': 'Lambda polls the queue',
  'sqs:DeleteMessage': 'Lambda polls the queue',
  'sqs:GetQueueAttributes': 'Lambda polls the queue',
  'sqs:GetQueueUrl': 'Lambda polls the queue',
  'sqs:ChangeMessageVisibility': 'Lambda polls the queue',
  'logs:CreateLogStream': "Lambda writes the function's log",
  'logs:PutLogEvents': "Lambda writes the function's log",
  'xray:PutTraceSegments': 'Lambda sends its traces',
  'xray:PutTelemetryRecords': 'Lambda sends its traces',
  'ec2:CreateNetworkInterface': 'Lambda connects the function to its VPC',
  'ec2:DescribeNetworkInterfaces': 'Lambda connects the function to its VPC',
  'ec2:DescribeSubnets': 'Lambda connects the function to its VPC',
  'ec2:DeleteNetworkInterface': 'Lambda connects the function to its VPC',
  'ec2:AssignPrivateIpAddresses': 'Lambda connects the function to its VPC',
  'ec2:UnassignPrivateIpAddresses': 'Lambda connects the function to its VPC',
};

/** Actions that may stand on all resources, and why. */
const ON_ALL_RESOURCES: Readonly<Record<string, string>> = {
  'cloudwatch:GetMetricData': 'CloudWatch has no resources for metrics',
  'cloudwatch:PutMetricData': 'CloudWatch has no resources for metrics; a condition names the namespace',
  'xray:PutTraceSegments': 'X-Ray has no resources for it',
  'xray:PutTelemetryRecords': 'X-Ray has no resources for it',
  'ec2:CreateNetworkInterface': 'interfaces have no names before they exist',
  'ec2:DescribeNetworkInterfaces': 'EC2 describes all or none',
  'ec2:DescribeSubnets': 'EC2 describes all or none',
  'ec2:DeleteNetworkInterface': 'interfaces have no names before they exist',
  'ec2:AssignPrivateIpAddresses': 'interfaces have no names before they exist',
  'ec2:UnassignPrivateIpAddresses': 'interfaces have no names before they exist',
};

const ENTRIES = readdirSync('assets/handlers').filter((name) => !name.includes('.'));

const STACKS: readonly (readonly [what: string, make: () => App])[] = [
  ['everything', everything],
  ['similar answers', similarAnswers],
  ...Object.values(ServingPreset).map((preset): [string, () => App] => [
    `the ${preset} preset`,
    () => {
      const app = new App();
      new LlmServingStack(app, 'Llm', { preset });
      return app;
    },
  ]),
];

describe('what a handler calls and what its role grants', () => {
  const callable = new Map<string, ReadonlySet<string>>();
  const functions = new Map<string, readonly GrantedFunction[]>();

  beforeAll(async () => {
    for (const entry of ENTRIES) callable.set(entry, await callableActions(entry));
    for (const [what, make] of STACKS) functions.set(what, grantedFunctions(make()));
  }, 240_000);

  const ownFunctions = (what: string) => (functions.get(what) ?? []).filter(({ entry }) => entry !== undefined);
  const granted = (fn: GrantedFunction) => new Set(fn.statements.flatMap(actionsOf));

  test('the reader sees commands that the bundle holds', () => {
    expect(callable.get('api')).toContain('bedrock:InvokeModelWithResponseStream');
    expect(callable.get('api')).toContain('secretsmanager:GetSecretValue');
    expect(callable.get('authorizer')).toEqual(new Set());
  });

  test.each(ENTRIES)('%s: every action that the code can call is granted where every feature is on', (entry) => {
    const fns = ownFunctions('everything').filter((fn) => fn.entry === entry);
    expect(
      fns.length,
      `the stack "everything" has no function of lambda/${entry}: turn the feature on`,
    ).toBeGreaterThan(0);
    for (const fn of fns) {
      expect([...(callable.get(entry) ?? [])].filter((action) => !granted(fn).has(action))).toEqual([]);
    }
  });

  test.each(STACKS)('%s: no role grants an action that its code cannot call', (what) => {
    for (const fn of ownFunctions(what)) {
      const superfluous = [...granted(fn)].filter(
        (action) => !callable.get(fn.entry ?? '')?.has(action) && NOT_CALLED[action] === undefined,
      );
      expect(superfluous, `${fn.logicalId} of lambda/${fn.entry}`).toEqual([]);
    }
  });

  test.each(STACKS)('%s: no action has a wildcard, and "*" is a resource only where AWS has nothing finer', (what) => {
    const all = functions.get(what) ?? [];
    expect(all.length).toBeGreaterThan(0);
    for (const { logicalId, statements } of all) {
      const actions = statements.filter(isAllow).flatMap(actionsOf);
      expect(
        actions.filter((action) => action.includes('*')),
        logicalId,
      ).toEqual([]);
      const everywhere = statements.filter((s) => isAllow(s) && [s.Resource].flat().includes('*')).flatMap(actionsOf);
      expect(
        everywhere.filter((action) => ON_ALL_RESOURCES[action] === undefined),
        logicalId,
      ).toEqual([]);
    }
  });

  test.each(STACKS)('%s: no function has a policy that AWS keeps, whose content may grow', (what) => {
    for (const { logicalId, managedPolicies, entry } of functions.get(what) ?? []) {
      if (entry !== undefined) expect(managedPolicies, logicalId).toEqual([]);
    }
  });
});

const isAllow = ({ Effect }: Statement): boolean => Effect === 'Allow';
