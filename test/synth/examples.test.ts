import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const FOLDER = 'examples/typescript';

interface Resource {
  readonly Type: string;
  readonly Properties?: { readonly Tags?: unknown; readonly PermissionsBoundary?: string };
  readonly Metadata?: Readonly<Record<string, unknown>>;
}

/** Of every kind that holds data, runs code or costs money, among those that CloudFormation can tag. */
const TAGGED = new Set([
  'AWS::ApiGateway::RestApi',
  'AWS::ApiGateway::UsagePlan',
  'AWS::CloudWatch::Alarm',
  'AWS::DynamoDB::Table',
  'AWS::ECS::Cluster',
  'AWS::ECS::Service',
  'AWS::ElasticLoadBalancingV2::LoadBalancer',
  'AWS::IAM::Role',
  'AWS::KMS::Key',
  'AWS::Lambda::Function',
  'AWS::Logs::LogGroup',
  'AWS::S3::Bucket',
  'AWS::SNS::Topic',
  'AWS::SQS::Queue',
  'AWS::SecretsManager::Secret',
]);

describe.each(readdirSync(FOLDER).filter((name) => name.endsWith('.mts')))('%s', (name) => {
  let outdir = '';
  let resources: readonly (readonly [string, Resource])[] = [];

  /** As its users run it, but with what a platform team adds from outside. */
  beforeAll(async () => {
    outdir = mkdtempSync(join(tmpdir(), 'llm-example-'));
    const team = resolve('test/synth/support/platform-team.ts');
    await promisify(execFile)(process.execPath, ['--import', team, resolve(FOLDER, name)], {
      env: {
        PATH: process.env.PATH,
        CDK_OUTDIR: outdir,
        // With ARNs that say `aws`: in cdk-nag's rule ids the partition would else be CloudFormation's.
        CDK_CONTEXT_JSON: JSON.stringify({ '@aws-cdk/core:enablePartitionLiterals': true }),
        NAG_REPORT: join(outdir, 'nag.json'),
      },
    });
    const [template] = readdirSync(outdir).filter((file) => file.endsWith('.template.json'));
    resources = Object.entries(JSON.parse(readFileSync(join(outdir, template ?? ''), 'utf8')).Resources);
  }, 120_000);
  afterAll(() => rmSync(outdir, { recursive: true }));

  test('synthesizes one stack with the built package', () => {
    expect(readdirSync(outdir).filter((file) => file.endsWith('.template.json'))).toHaveLength(1);
    expect(resources.length).toBeGreaterThan(10);
  });

  test('takes the tags that are put on the app', () => {
    const untagged = resources.filter(
      ([, { Type, Properties }]) => TAGGED.has(Type) && !JSON.stringify(Properties?.Tags ?? '').includes('cost-center'),
    );
    expect(untagged.map(([id]) => id)).toEqual([]);
  });

  test('puts the permissions boundary of the app on every role', () => {
    const roles = resources.filter(([, { Type }]) => Type === 'AWS::IAM::Role');
    expect(roles.length).toBeGreaterThan(0);
    for (const [id, { Properties }] of roles) expect(Properties?.PermissionsBoundary, id).toMatch(/policy\/boundary$/);
  });

  test('lets aspects see every resource', () => {
    const unseen = resources.filter(
      ([, { Type, Metadata }]) => Type !== 'AWS::CDK::Metadata' && Metadata === undefined,
    );
    expect(unseen.map(([id]) => id)).toEqual([]);
  });

  test("is clean for cdk-nag's AwsSolutions", () => {
    expect(JSON.parse(readFileSync(join(outdir, 'nag.json'), 'utf8'))).toEqual([]);
  });
});
