import { type App, Duration } from 'aws-cdk-lib';
import { RetentionDays } from 'aws-cdk-lib/aws-logs';
import { GatewayCompute, LlmServingStack, ServingPreset } from '../lib/index.js';
import { accountBudget, billAnomalies, costAlarms } from './alarms.ts';
import { backend } from './backends.ts';
import { cache, cachePolicy } from './cache.ts';
import { at, boolean, ContextError, fields, json, jsonOrFlag, list, number, oneOf, required, text } from './decode.ts';
import { fleet } from './fleet.ts';
import { jobs } from './jobs.ts';
import { team, teamOf, teamsByName, tier } from './limits.ts';
import { fallback, routing } from './policies.ts';

const model = fields({
  name: text,
  aliases: list(text),
  ownedBy: text,
  maxOutputTokens: number,
  backends: list(backend),
  fallback,
  routing,
  cache: cachePolicy,
});

const consumer = fields({ name: text, tier: text, apiKeyId: text, team: text, monthlyBudgetUsd: number });

/** Every context key of the stack. */
const settings = {
  preset: oneOf(Object.values(ServingPreset)),
  stackName: text,
  fleet: json(fleet),
  natGateways: number,
  models: json(list(model)),
  tiers: json(list(tier)),
  teams: json(list(team)),
  consumers: json(list(consumer)),
  features: json(list(text)),
  cache: jsonOrFlag(cache),
  jobs: jsonOrFlag(jobs),
  stageName: text,
  requestsPerSecond: number,
  burst: number,
  authorizerCacheSeconds: number,
  corsOrigins: json(list(text)),
  webAclArn: text,
  logContent: boolean,
  logRetentionDays: number,
  tracing: boolean,
  dashboard: boolean,
  monthlyBudgetUsd: number,
  killSwitchHourlyUsd: number,
  alarmEmail: text,
  costAlarms: json(costAlarms),
  failoverAlarms: boolean,
  accountBudget: json(accountBudget),
  billAnomalies: json(billAnomalies),
  topConsumers: boolean,
  cloudWatchRole: boolean,
  memorySizeMiB: number,
  provisionedConcurrency: number,
  reservedConcurrency: number,
};

/** Makes the stack that the app's context describes. */
export function stackFromContext(app: App): LlmServingStack {
  const context = fields(settings)(ownContext(app), '');
  const { models, tiers, consumers } = context;
  const teams = teamsByName(context.teams ?? []);
  const stack = new LlmServingStack(app, context.stackName ?? 'LlmServing', {
    preset: context.preset,
    fleet: context.fleet,
    natGateways: context.natGateways,
    ...(models && { models: [] }),
    tiers,
    consumers: consumers?.map(({ name, tier: tierName, team: teamName, ...rest }, index) => ({
      ...rest,
      consumerName: required(name, `consumers[${index}].name`),
      tierName,
      team: teamOf(teamName, teams, `consumers[${index}].team`),
    })),
    features: context.features,
    responseCache: context.cache,
    jobs: context.jobs,
    stageName: context.stageName,
    requestsPerSecond: context.requestsPerSecond,
    burst: context.burst,
    authorizerCacheTtl:
      context.authorizerCacheSeconds === undefined ? undefined : Duration.seconds(context.authorizerCacheSeconds),
    corsOrigins: context.corsOrigins,
    webAclArn: context.webAclArn,
    logContent: context.logContent,
    logRetention: retention(context.logRetentionDays),
    tracing: context.tracing,
    dashboard: context.dashboard,
    monthlyBudgetUsd: context.monthlyBudgetUsd,
    killSwitchHourlyUsd: context.killSwitchHourlyUsd,
    alarmEmails: context.alarmEmail?.split(',').map((email) => email.trim()),
    costAlarms: context.costAlarms,
    failoverAlarms: context.failoverAlarms,
    accountBudget: context.accountBudget,
    billAnomalies: context.billAnomalies,
    topConsumers: context.topConsumers,
    cloudWatchRole: context.cloudWatchRole,
    compute: GatewayCompute.lambda({
      memorySizeMiB: context.memorySizeMiB,
      provisionedConcurrency: context.provisionedConcurrency,
      reservedConcurrency: context.reservedConcurrency,
    }),
  });
  for (const [index, { name, backends: factories, routing: makeRouting, ...rest }] of (models ?? []).entries()) {
    const path = `models[${index}]`;
    const backends = required(factories, `${path}.backends`).map((make) => make(stack));
    const routing = makeRouting?.(backends);
    const modelName = required(name, `${path}.name`);
    at(path, () => stack.addModel({ ...rest, modelName, backends, routing }));
  }
  return stack;
}

/** The context without what the CDK and its CLI keep there: feature flags, lookups, settings of the CLI. */
function ownContext(app: App): Record<string, unknown> {
  const all: Record<string, unknown> = app.node.getAllContext();
  return Object.fromEntries(
    Object.entries(all).filter(([key]) => !/[:@]/.test(key) && key !== 'acknowledged-issue-numbers' && key !== 'tree'),
  );
}

/** CloudWatch Logs keeps logs for certain numbers of days only. */
function retention(days: number | undefined): RetentionDays | undefined {
  if (days === undefined) return undefined;
  if (RetentionDays[days] === undefined) {
    const allowed = Object.values(RetentionDays).filter((value) => typeof value === 'number' && value <= 3653);
    throw new ContextError(`logRetentionDays must be one of ${allowed.join(', ')}, got ${days}`);
  }
  return days;
}
