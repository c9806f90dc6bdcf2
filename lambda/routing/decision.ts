import type { RouteName } from '../../lib/private/serving-config.ts';
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
