import { Annotations } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import type { IBackend } from '../model/backend';
import type { RoutingPolicyOptions, RoutingRule } from '../model/routing-policy';
import { RulesBackend } from './backends/rules';
import { StaticReplyBackend } from './backends/static-reply';
import { requirePattern } from './patterns';
import type { ModelConfig, RoutingConfig, RoutingRuleConfig } from './serving-config';
import { requireInteger, requireKnown, requireUnique } from './validation';

/** Each is looked at for each request. */
const MAX_RULES = 20;
const RULE_NAME = /^[a-z0-9][a-z0-9-]{0,39}$/;

export function renderRouting({ cheap, simple = {}, rules = [], clientPriority }: RoutingPolicyOptions): RoutingConfig {
  requireKnown('maxPromptTokens', simple.maxPromptTokens);
  requireKnown('maxTurns', simple.maxTurns);
  requireInteger('maxPromptTokens', simple.maxPromptTokens, 0);
  requireInteger('maxTurns', simple.maxTurns, 1);
  if (rules.length > MAX_RULES) throw new Error(`rules must be at most ${MAX_RULES}, got ${rules.length}`);
  requireUnique(
    'the names of the routing rules',
    rules.map(({ name }) => name),
  );
  return {
    cheap: cheap.backendId,
    clientPriority: clientPriority ?? true,
    simple: {
      maxPromptTokens: simple.maxPromptTokens ?? 1000,
      maxTurns: simple.maxTurns ?? 4,
      tools: simple.tools ?? false,
      jsonSchema: simple.jsonSchema ?? false,
      images: simple.images ?? false,
      reasoning: simple.reasoning ?? false,
    },
    rules: rules.map(renderRule),
  };
}

function renderRule({ name, route, patterns, features, tiers, consumers, metadata }: RoutingRule): RoutingRuleConfig {
  if (!RULE_NAME.test(name)) {
    throw new Error(
      `a routing rule's name must be 1–40 lower-case letters, digits or "-" and begin with a letter or digit, got "${name}"`,
    );
  }
  const conditions = [
    ...Object.entries({ patterns, features, tiers, consumers }),
    ...Object.entries(metadata ?? {}).map(([key, values]) => [`metadata.${key}`, values] as const),
  ];
  for (const [condition, values] of conditions) {
    if (values?.length === 0)
      throw new Error(`routing rule "${name}": ${condition} is empty: no request would meet it`);
  }
  if (conditions.every(([, values]) => values === undefined)) {
    throw new Error(
      `routing rule "${name}" has no condition and would apply to every request: give it patterns, features, tiers, consumers or metadata`,
    );
  }
  for (const pattern of patterns ?? []) requirePattern(`routing rule "${name}": patterns`, pattern);
  return {
    name,
    route,
    ...(patterns && { patterns: [...patterns] }),
    ...(features && { features: [...features] }),
    ...(tiers && { tiers: [...tiers] }),
    ...(consumers && { consumers: [...consumers] }),
    ...(metadata && {
      metadata: Object.entries(metadata).map(([key, values]) => ({ key, values: [...values] })),
    }),
  };
}

/** A model's policy must be about its own backends, and change something. */
export function checkCheapBackend(
  scope: Construct,
  modelName: string,
  cheap: IBackend,
  backends: readonly IBackend[],
): void {
  const own = backends.map(({ backendId }) => backendId).join(', ');
  if (!backends.includes(cheap)) {
    throw new Error(
      `the routing policy of model "${modelName}" sends requests to "${cheap.backendId}", which is none of its backends (${own}): put the same object into both`,
    );
  }
  const models = backends.filter((backend) => !isStandIn(backend));
  if (isStandIn(cheap)) {
    throw new Error(
      `the routing policy of model "${modelName}" sends requests to "${cheap.backendId}", a fixed reply: name a backend with a model`,
    );
  }
  const [first] = models;
  if (first === undefined || first === cheap) {
    throw new Error(
      `the routing policy of model "${modelName}" changes nothing: "${cheap.backendId}" is the first backend anyway; put the better one before it`,
    );
  }
  if (cheap.price.inputUsd >= first.price.inputUsd && cheap.price.outputUsd >= first.price.outputUsd) {
    Annotations.of(scope).addWarningV2(
      'cdk-llm-serving:routing-not-cheaper',
      `the routing policy of model "${modelName}" saves nothing: "${cheap.backendId}" costs no less than "${first.backendId}"`,
    );
  }
}

/** A rule for a tier that isn't there would never apply. Consumers may be keys that only the console knows. */
export function routingProblems(models: readonly ModelConfig[], tiers: readonly string[]): string[] {
  return models.flatMap(({ name, routing }) =>
    (routing?.rules ?? []).flatMap((rule) =>
      (rule.tiers ?? [])
        .filter((tier) => !tiers.includes(tier))
        .map(
          (tier) =>
            `routing rule "${rule.name}" of model "${name}" is about tier "${tier}", which this gateway doesn't have`,
        ),
    ),
  );
}

const isStandIn = (backend: IBackend): boolean =>
  backend instanceof StaticReplyBackend || backend instanceof RulesBackend;
