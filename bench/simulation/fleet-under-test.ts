import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App } from 'aws-cdk-lib';
import { type FleetScaling, LlmServingStack, ServingPreset } from '../../lib/index.js';
import { scalableTargetsOf } from '../../local/autoscaling/from-stack.ts';
import type { ScalableTargetDefinition } from '../../local/autoscaling/scalable-target.ts';
import { readAssembly } from '../../local/cloudformation/assembly.ts';
import { evaluateStacks } from '../../local/cloudformation/stack.ts';
import type { AgentDefinition } from '../../local/cloudwatch/agent.ts';
import { ecsOf } from '../../local/ecs/from-stack.ts';
import { BLOCK_TOKENS, type EngineSettings, parseCommandLine } from '../../local/engine/command-line.ts';
import { DEFAULT_PACE } from '../../local/engine/situation.ts';
import type { EngineLimits } from './engine.ts';

/** What the simulation takes from a template. */
export interface FleetUnderTest {
  readonly scaling: ScalableTargetDefinition;
  readonly agent: AgentDefinition;
  readonly engine: EngineLimits;
}

/** Synthesizes the preset `self-hosted` and reads its template as the local run does. */
export function synthesizeFleet(scaling: FleetScaling): FleetUnderTest {
  const outdir = mkdtempSync(join(tmpdir(), 'scaling-'));
  try {
    const app = new App({ outdir, context: { 'aws:cdk:enable-path-metadata': true } });
    new LlmServingStack(app, 'Llm', { preset: ServingPreset.SELF_HOSTED, fleet: { scaling } });
    const stacks = evaluateStacks(readAssembly(app.synth().directory).stacks);
    const [target] = stacks.flatMap(scalableTargetsOf);
    const [service] = stacks.flatMap((stack) => ecsOf(stack, () => undefined).services);
    const [agent] = service?.task.agents ?? [];
    if (target === undefined || service === undefined || agent === undefined) throw new Error('the stack has no fleet');
    return { scaling: target, agent, engine: limitsOf(parseCommandLine(service.task.engine.command)) };
  } finally {
    rmSync(outdir, { recursive: true, force: true });
  }
}

export function limitsOf(settings: EngineSettings): EngineLimits {
  return {
    pace: DEFAULT_PACE,
    maxNumSeqs: settings.maxNumSeqs,
    maxNumBatchedTokens: settings.maxNumBatchedTokens,
    maxInFlight: settings.maxQueuedRequests ?? Number.POSITIVE_INFINITY,
    kvTokens: settings.kvBlocks * BLOCK_TOKENS,
  };
}
