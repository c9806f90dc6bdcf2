import type { RouteName, RoutingConfig } from '../../lib/private/serving-config.ts';
import type { ChatCompletionRequest } from '../contract/openai.ts';
import { type Candidate, isStandIn } from '../failover/candidate.ts';
import { fitting } from '../failover/plan.ts';
import { estimateInputTokens } from '../serving/estimate.ts';
import type { RouteDecision, RoutingFacts } from './decision.ts';
import { ruleFor } from './rules.ts';
import { complexityOf } from './simplicity.ts';

/**
 * Whether a request goes to the cheap backend first. The operator's rules come before the client's word, and that
 * before what the request looks like; what the backend can't do comes before all of them.
 */
export function decide(
  policy: RoutingConfig,
  candidates: readonly Candidate[],
  request: ChatCompletionRequest,
  facts: RoutingFacts,
): RouteDecision {
  const promptTokens = estimateInputTokens(request);
  const wished = wish(policy, request, facts, promptTokens);
  if (wished.route === 'standard') return wished;
  const isCheap = ({ config }: Candidate): boolean => config.id === policy.cheap;
  if (!candidates.some(isCheap)) return { route: 'standard', reason: 'unsupported', promptTokens };
  if (!fitting(candidates, request).some(isCheap)) return { route: 'standard', reason: 'context-window', promptTokens };
  return wished;
}

function wish(
  policy: RoutingConfig,
  request: ChatCompletionRequest,
  facts: RoutingFacts,
  promptTokens: number,
): RouteDecision {
  const rule = ruleFor(policy.rules, request, facts);
  if (rule !== undefined) return { route: rule.route, reason: 'rule', rule: rule.name, promptTokens };
  if (policy.clientPriority && facts.priority !== undefined && facts.priority !== 'normal') {
    return { route: facts.priority === 'low' ? 'cheap' : 'standard', reason: 'priority', promptTokens };
  }
  const complexity = complexityOf(request, promptTokens, policy.simple);
  return complexity === undefined
    ? { route: 'cheap', reason: 'simple', promptTokens }
    : { route: 'standard', reason: complexity, promptTokens };
}

/**
 * The same candidates, the cheap one before the other models: what is behind it stays its fallback, in its order. Fixed
 * replies that stand before the models answer what needs none of them.
 */
export function reordered(candidates: readonly Candidate[], route: RouteName, cheap: string): readonly Candidate[] {
  const from = candidates.findIndex(({ config }) => config.id === cheap);
  const to = candidates.findIndex(({ config }) => !isStandIn(config));
  const chosen = candidates[from];
  if (route === 'standard' || chosen === undefined || from <= to) return candidates;
  return [...candidates.slice(0, to), chosen, ...candidates.slice(to).filter((candidate) => candidate !== chosen)];
}
