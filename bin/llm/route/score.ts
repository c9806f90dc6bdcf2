import type { Registry } from '../../../lambda/backends/registry.ts';
import type { ServingConfig } from '../../../lambda/contract/config.ts';
import type { Candidate } from '../../../lambda/failover/candidate.ts';
import { routeByPolicy } from '../../../lambda/routing/by-policy.ts';
import type { RouteDecision } from '../../../lambda/routing/decision.ts';
import { admit } from '../../../lambda/serving/admit.ts';
import { costUsd } from '../../../lambda/serving/cost.ts';
import { estimatedUsage } from '../../../lambda/serving/estimate.ts';
import { route } from '../../../lambda/serving/route.ts';
import type { RecordedRequest } from './request-line.ts';

/** What the policy does with one request, and what that is worth. */
export interface Score {
  readonly model: string;
  /** Absent where the model has no policy. */
  readonly decision?: RouteDecision;
  /** The backend that it goes to first. */
  readonly backend: string;
  /** USD, had it gone to the model's backends in their order. */
  readonly withoutUsd: number;
  /** USD, when the backend that it goes to answers it. */
  readonly withUsd: number;
}

export interface ScoreOptions {
  readonly config: ServingConfig;
  readonly registry: Registry;
  /** Taken for an answer's length where neither the file nor the request's limit says less. */
  readonly outputTokens: number;
}

/**
 * Routes a recorded request by the modules that route it in production.
 *
 * @throws ApiError, as the API would answer it; Error for a tier that isn't there
 */
export async function score(
  recorded: RecordedRequest,
  { config, registry, outputTokens }: ScoreOptions,
): Promise<Score> {
  const { request, consumer, feature, priority } = recorded;
  const tier = config.tiers.find(({ name }) => recorded.tier === undefined || name === recorded.tier);
  if (tier === undefined) throw new Error(`there is no tier "${recorded.tier}"`);
  const { model } = admit(request, tier, config);
  const able = await route(model, request, registry);
  const facts = { consumer: consumer ?? '', tier: tier.name, feature, priority };
  const { candidates, decision } = await routeByPolicy(model, able, request, facts);
  const limit = request.max_completion_tokens ?? request.max_tokens ?? Number.POSITIVE_INFINITY;
  const estimated = estimatedUsage(request, recorded.completionTokens ?? Math.min(limit, outputTokens));
  const usage = { ...estimated, inputTokens: recorded.promptTokens ?? estimated.inputTokens };
  const costOf = (first: Candidate | undefined): number =>
    first === undefined ? 0 : costUsd(first.config.price, usage);
  return {
    model: model.name,
    ...(decision === undefined ? {} : { decision }),
    backend: candidates[0]?.config.id ?? '',
    withoutUsd: costOf(able[0]),
    withUsd: costOf(candidates[0]),
  };
}
