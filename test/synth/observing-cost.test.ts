import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App } from 'aws-cdk-lib';
import { afterAll, expect, test, vi } from 'vitest';
import { DIMENSION_SETS } from '../../lambda/serving/metrics.ts';
import { LlmServingStack, type LlmServingStackProps, ServingPreset } from '../../lib';
import type { ServingConfig } from '../../lib/private/serving-config';

/** USD a month, us-east-1, without the free tier: https://aws.amazon.com/cloudwatch/pricing/, November 2026. */
const METRIC = 0.3;
const ALARM_METRIC = 0.1;
/** Of an anomaly band: the metric, and the two bounds. */
const BAND_METRICS = 3;
/** https://aws.amazon.com/kms/pricing/, November 2026. */
const KEY = 1;

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

interface Counted {
  readonly metrics: number;
  readonly alarms: number;
  readonly keys: number;
  readonly usd: number;
}

/** Never written without a ledger. */
const OF_LEDGER: ReadonlySet<string> = new Set(['LedgerErrors', 'BudgetThresholds']);

/** Never written without hard limits. */
const OF_KILL_SWITCH = 'ConsumersPaused';

/** Never written without a cache. */
const OF_CACHE: ReadonlySet<string> = new Set([
  'CacheHits',
  'CacheMisses',
  'CacheErrors',
  'SavedUsd',
  'SemanticHits',
  'SemanticErrors',
  'SemanticScore',
]);

interface Template {
  readonly Resources: Record<string, { readonly Type: string; readonly Properties: Record<string, unknown> }>;
}

/** From the template, the config that the handler gets, and the handler's own definition of metrics. */
function count(props: LlmServingStackProps): Counted {
  const outdir = mkdtempSync(join(tmpdir(), 'cost-'));
  folders.push(outdir);
  const app = new App({ outdir, analyticsReporting: false });
  new LlmServingStack(app, 'Llm', props);
  app.synth();
  const template: Template = JSON.parse(readFileSync(join(outdir, 'Llm.template.json'), 'utf8'));
  const configFolder = readdirSync(outdir).find((name) =>
    readdirIfFolder(join(outdir, name)).includes('serving-config.json'),
  );
  const config: ServingConfig = JSON.parse(
    readFileSync(join(outdir, configFolder ?? '', 'serving-config.json'), 'utf8'),
  );
  const resources = Object.values(template.Resources);
  const ofType = (type: string) => resources.filter(({ Type }) => Type === type);
  const meters = resources.filter(({ Properties }) => JSON.stringify(Properties ?? {}).includes('"LLM_METER"')).length;
  const fleets = config.models.flatMap(({ backends }) => backends).filter((backend) => 'fleet' in backend).length;
  const values: Record<string, number> = {
    model: config.models.length,
    // Requests that were refused have none, or one that isn't declared.
    tier: config.tiers.length + 1,
    feature: config.features.length + (config.features.length > 0 ? 2 : 1),
    fleet: fleets,
    'model,backend': config.models.reduce((sum, { backends }) => sum + backends.length, 0),
    '': 1,
  };
  const hasLedger = config.ledger !== undefined;
  const hasCache = config.cache !== undefined;
  const hasHardLimits = config.tiers.some(({ limits }) => limits?.hardLimits !== undefined);
  const isWritten = (name: string): boolean =>
    (hasLedger || !OF_LEDGER.has(name)) &&
    (hasCache || !OF_CACHE.has(name)) &&
    (hasHardLimits || name !== OF_KILL_SWITCH);
  const embedded = DIMENSION_SETS.reduce(
    (sum, { dimensions, metrics }) =>
      sum + metrics.filter(isWritten).length * (values[dimensions.join(',')] ?? Number.NaN),
    0,
  );
  const engine = selectorsOf(JSON.stringify(template));
  const metrics = embedded + meters * (2 + 4 * fleets) + engine;
  const alarms = ofType('AWS::CloudWatch::Alarm').reduce((sum, { Properties }) => sum + metricsOf(Properties), 0);
  const keys = ofType('AWS::KMS::Key').length;
  return { metrics, alarms, keys, usd: metrics * METRIC + alarms * ALARM_METRIC + keys * KEY };
}

/** An alarm is paid for each metric in it, metric math aside. */
function metricsOf({ Metrics }: Record<string, unknown>): number {
  if (!Array.isArray(Metrics)) return 1;
  const isBand = JSON.stringify(Metrics).includes('ANOMALY_DETECTION_BAND');
  return isBand ? BAND_METRICS : Metrics.filter((metric) => 'MetricStat' in metric).length;
}

function readdirIfFolder(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

/** What the agent beside the engine makes metrics of. */
function selectorsOf(template: string): number {
  const [, list = ''] = /metric_selectors(?:\\*"):\[(.*?)\]/.exec(template) ?? [];
  return list === '' ? 0 : list.split(',').length;
}

// The first synthesis of a process loads the CDK; a busy machine takes its time.
vi.setConfig({ testTimeout: 90_000 });

test.each<[name: string, props: LlmServingStackProps]>([
  ['managed', {}],
  ['managed with a budget', { monthlyBudgetUsd: 100 }],
  ['managed with a budget and a kill switch', { monthlyBudgetUsd: 100, killSwitchHourlyUsd: 50 }],
  [
    'managed with 3 tiers and 5 features',
    {
      tiers: ['free', 'pro', 'team'].map((tierName) => ({ tierName })),
      consumers: [],
      features: ['chat', 'search', 'mail', 'code', 'sum'],
      monthlyBudgetUsd: 100,
    },
  ],
  ['hybrid with a budget', { preset: ServingPreset.HYBRID, monthlyBudgetUsd: 100 }],
])('docs/cost.md says what it costs to watch the stack: %s', (name, props) => {
  const { metrics, alarms, keys, usd } = count(props);
  const rows = readFileSync('docs/cost.md', 'utf8')
    .split('\n')
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  expect(rows).toContainEqual([name, String(metrics), String(alarms), String(keys), `$${usd.toFixed(2)}`]);
});
