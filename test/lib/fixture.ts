import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { App, Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { Backend, Consumer, Gateway, type GatewayProps, Model, Tier } from '../../lib';
import type { ServingConfig } from '../../lib/private/serving-config';

export function newStack(): Stack {
  return new Stack(new App({ analyticsReporting: false }), 'Test');
}

/** A model with one static reply: all that a gateway needs. */
export function anyModel(stack: Stack, modelName = 'chat'): Model {
  return new Model(stack, `Model-${modelName}`, { modelName, backends: [Backend.staticReply('sorry')] });
}

export function anyTier(stack: Stack, tierName = 'standard'): Tier {
  return new Tier(stack, `Tier-${tierName}`, { tierName });
}

export interface Synthesized {
  readonly stack: Stack;
  readonly gateway: Gateway;
  readonly template: Template;
  /** What the handler will read. */
  readonly config: ServingConfig;
  /** The handler's environment, unresolved intrinsics and all. */
  readonly environment: Record<string, unknown>;
}

/** A gateway with a model, a tier and a consumer, unless told otherwise. */
export function synthesize(props: GatewayProps = {}, prepare?: (stack: Stack) => GatewayProps): Synthesized {
  const stack = newStack();
  const more = prepare?.(stack) ?? {};
  const tiers = props.tiers ?? more.tiers ?? [anyTier(stack)];
  const [tier] = tiers;
  if (tier !== undefined && tier.consumers.length === 0)
    new Consumer(stack, 'Consumer', { consumerName: 'alice', tier });
  const gateway = new Gateway(stack, 'Gateway', { models: [anyModel(stack)], ...props, ...more, tiers });
  return { stack, gateway, ...read(stack, gateway) };
}

export function read(stack: Stack, gateway: Gateway): Pick<Synthesized, 'template' | 'config' | 'environment'> {
  const template = Template.fromStack(stack);
  const fn = template.findResources('AWS::Lambda::Function')[logicalId(stack, gateway)];
  return {
    template,
    config: JSON.parse(
      readFileSync(
        join(assemblyOf(stack), `asset.${fn?.Properties.Code.S3Key.replace('.zip', '')}`, 'serving-config.json'),
        'utf8',
      ),
    ),
    environment: fn?.Properties.Environment.Variables,
  };
}

export function logicalId(stack: Stack, gateway: Gateway): string {
  const resource = gateway.handler.node.defaultChild;
  return stack.resolve((resource as unknown as { logicalId: string }).logicalId);
}

export function assemblyOf(stack: Stack): string {
  const app = stack.node.root;
  if (!App.isApp(app)) throw new Error('not in an app');
  return app.outdir;
}

/** The statements of every policy in the template that allow one of the actions with this prefix. */
export function statements(template: Template, prefix: string): Array<Record<string, unknown>> {
  return Object.values(template.findResources('AWS::IAM::Policy'))
    .flatMap((policy) => policy.Properties.PolicyDocument.Statement as Array<Record<string, unknown>>)
    .filter((statement) => [statement.Action].flat().some((action) => String(action).startsWith(prefix)));
}
