import type { RouteName } from '../../lib/private/serving-config.ts';
import type { ModelConfig } from '../contract/config.ts';
import type { ChatCompletionRequest } from '../contract/openai.ts';
import type { Candidate } from '../serving/route.ts';
import type { RequestFacts } from './rules.ts';
import type { Complexity } from './simplicity.ts';

/** What a client says of a request with `x-llm-priority`: how much its answer's quality is worth to it. */
export const PRIORITIES = ['low', 'normal', 'high'] as const;
export type Priority = (typeof PRIORITIES)[number];

export interface RoutingFacts extends RequestFacts {
  readonly priority?: Priority | undefined;
}

/** Where a request went, and why. */
export interface RouteDecision {
  /** `cheap`: to the policy's cheap backend first; `standard`: to the model's backends in their order. */
  readonly route: RouteName;
  readonly reason: 'rule' | 'priority' | 'simple' | Complexity | 'unsupported' | 'context-window';
  /** The name of the rule that decided. */
  readonly rule?: string;
  /** As estimated. */
  readonly promptTokens: number;
}

export interface Routed {
  /** In the order in which they are to be asked. */
  readonly candidates: readonly Candidate[];
  /** Absent where the model has no policy. */
  readonly decision?: RouteDecision;
}

/** Puts the cheap backend first for requests that it is good enough for. Who else is asked, and when, isn't changed. */
export async function routeByPolicy(
  { routing }: ModelConfig,
  candidates: readonly Candidate[],
  request: ChatCompletionRequest,
  facts: RoutingFacts,
): Promise<Routed> {
  if (routing === undefined) return { candidates };
  const { decide, reordered } = await import('./decide.ts');
  const decision = decide(routing, candidates, request, facts);
  return { candidates: reordered(candidates, decision.route, routing.cheap), decision };
}

/** The header `x-llm-route`. Only words of ours and names of rules, which synthesis has checked. */
export const routeHeader = ({ route, reason, rule }: RouteDecision): string =>
  `${route};reason=${reason}${rule === undefined ? '' : `;rule=${rule}`}`;
