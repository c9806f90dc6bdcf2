import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { App, Duration, Stack } from 'aws-cdk-lib';
import { InstanceType, Vpc } from 'aws-cdk-lib/aws-ec2';
import { beforeAll, expect, test } from 'vitest';
import {
  Backend,
  Consumer,
  CostAlarms,
  FailoverAlarms,
  GatewayCompute,
  GpuCapacity,
  KillSwitch,
  LlmServing,
  Model,
  ModelFleet,
  ModelWeights,
  ServingEngine,
  Tier,
} from '../../lib';

/** Whoever makes alarms somewhere else makes them below as well, and adds the file here. */
const FILES_WITH_ALARMS = [
  'lib/cost/cost-alarms.ts',
  'lib/cost/kill-switch.ts',
  'lib/jobs/job-queue.ts',
  'lib/model/failover-alarms.ts',
  'lib/private/fleet/scaling-policies.ts',
];

/** What scales a fleet tells nobody, but is found in the console, red for hours: it has one runbook. */
const OF_SCALING = 'docs/operations.md#alarms-that-scale-a-fleet';

interface Alarm {
  readonly id: string;
  readonly description: string;
  readonly actions: string;
}

let alarms: readonly Alarm[];

beforeAll(() => {
  const app = new App();
  const stack = new Stack(app, 'Everything');
  const vpc = new Vpc(stack, 'Vpc');
  const fleet = new ModelFleet(stack, 'Fleet', {
    vpc,
    engine: ServingEngine.vllm({ contextLength: 16384 }),
    weights: ModelWeights.huggingFace('Qwen/Qwen3-8B'),
    capacity: GpuCapacity.ec2({ instanceTypes: [new InstanceType('g6.xlarge')] }),
    scaling: { minTasks: 0, maxTasks: 4, idleTimeout: Duration.minutes(15) },
  });
  const model = new Model(stack, 'Chat', { backends: [Backend.fleet(fleet)] });
  const tier = new Tier(stack, 'Team', { monthlyBudgetUsd: 100 });
  new Consumer(stack, 'Search', { tier });
  const { gateway } = new LlmServing(stack, 'Serving', {
    compute: GatewayCompute.lambda({ vpc }),
    models: [model],
    tiers: [tier],
    features: ['search'],
    jobs: {},
  });
  new FailoverAlarms(stack, 'Failover', { model });
  const killSwitch = new KillSwitch(stack, 'KillSwitch', { gateway, hourlyUsd: 100, dailyUsd: 500 });
  killSwitch.pauseConsumersAbove(tier, { hourlyUsd: 10 });
  new CostAlarms(stack, 'CostAlarms', {
    gateway,
    monthlyBudgetUsd: 1000,
    tierDailyUsd: { team: 10 },
    featureDailyUsd: { search: 10 },
  });
  const { template } = app.synth().getStackByName('Everything');
  alarms = Object.entries(template.Resources as Record<string, { Type: string; Properties: Record<string, unknown> }>)
    .filter(([, { Type }]) => Type === 'AWS::CloudWatch::Alarm')
    .map(([id, { Properties }]) => ({
      id,
      description: String(Properties.AlarmDescription),
      actions: JSON.stringify(Properties.AlarmActions ?? []),
    }));
}, 240_000);

test('every place in lib that makes alarms is looked at here', () => {
  const files = readdirSync('lib', { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts'))
    .filter((name) =>
      /new \w*Alarm\(|\.createAlarm\(|new CfnAlarm\(|\.scaleOnMetric\(/.test(readFileSync(join('lib', name), 'utf8')),
    );
  expect(files.map((name) => `lib/${name}`).sort()).toEqual(FILES_WITH_ALARMS);
});

test('every alarm names its runbook, and the runbook is there', () => {
  expect(alarms.length).toBeGreaterThan(20);
  const headings = new Map(['alarms', 'operations'].map((name) => [`docs/${name}.md`, anchorsOf(`docs/${name}.md`)]));
  const lost = alarms.filter(({ description, actions }) => {
    const runbook = actions.includes('Policy') ? OF_SCALING : /\nRunbook: \S+\/(docs\/\S+)$/.exec(description)?.[1];
    const [document = '', anchor = ''] = runbook?.split('#') ?? [];
    return headings.get(document)?.has(anchor) !== true;
  });
  expect(lost).toEqual([]);
});

/** As GitHub makes them. */
function anchorsOf(document: string): ReadonlySet<string> {
  const headings = readFileSync(document, 'utf8').matchAll(/^#{2,4} (.+)$/gm);
  return new Set(
    [...headings].map(([, text = '']) =>
      text
        .toLowerCase()
        .replace(/[^\w\s-]/g, '')
        .replaceAll(' ', '-'),
    ),
  );
}
