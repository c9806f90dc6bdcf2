import type { ModelConfig } from '../contract/config.ts';
import type { ChatCompletionRequest } from '../contract/openai.ts';
import type { Candidate } from '../failover/candidate.ts';
import type { RouteDecision, RoutingFacts } from './decision.ts';

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
