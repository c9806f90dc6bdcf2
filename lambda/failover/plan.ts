import type { ChatCompletionRequest } from '../contract/openai.ts';
import { estimateInputTokens } from '../serving/estimate.ts';
import { type Candidate, isStandIn } from './candidate.ts';
import type { Health } from './health.ts';

/** Which backends a request goes to, and in which order. */
export interface Plan {
  readonly order: readonly Candidate[];
  /** Asked when all of the others have failed, retries included. */
  readonly lastResort: readonly Candidate[];
  /** Passed over because their breaker is open, or they said that they are full. */
  readonly skipped: readonly Candidate[];
}

/**
 * The candidates in their order, without those whose context is too short and without those that are known to be down.
 * What is known may be wrong by now, so that no request ends for it: are all of them down, the one whose last failure
 * is longest ago is asked nonetheless, and where no fixed reply stands in, the others after it.
 */
export function planOf(candidates: readonly Candidate[], request: ChatCompletionRequest, health: Health): Plan {
  const fit = fitting(candidates, request);
  const lastModel = fit.findLastIndex(({ config }) => !isStandIn(config));
  const order: Candidate[] = [];
  const skipped: Candidate[] = [];
  for (const candidate of fit.slice(0, lastModel + 1)) {
    if (isStandIn(candidate.config) || health.admits(candidate.config.id)) order.push(candidate);
    else skipped.push(candidate);
  }
  const standIns = fit.slice(lastModel + 1);
  if (skipped.length === 0) return { order, lastResort: standIns, skipped };
  const failedLongAgo = skipped.toSorted(
    (a, b) => health.lastFailureAt(a.config.id) - health.lastFailureAt(b.config.id),
  );
  if (order.length === 0) order.push(...failedLongAgo.splice(0, 1));
  const lastResort = standIns.length > 0 ? standIns : failedLongAgo;
  return { order, lastResort, skipped: skipped.filter((candidate) => !order.includes(candidate)) };
}

/** The estimate takes four characters for a token; long words and white space have more. */
const SURELY = 0.75;

/**
 * Without those whose declared context window is surely too short for the prompt. The longest one stays: an estimate
 * refuses nobody.
 */
export function fitting(candidates: readonly Candidate[], request: ChatCompletionRequest): readonly Candidate[] {
  if (candidates.every(({ config }) => config.contextWindow === undefined)) return candidates;
  const tokens = estimateInputTokens(request) * SURELY;
  const fits = ({ config }: Candidate): boolean => (config.contextWindow ?? Number.POSITIVE_INFINITY) > tokens;
  const longest = Math.max(...candidates.map(({ config }) => config.contextWindow ?? 0));
  const models = candidates.filter(({ config }) => !isStandIn(config));
  return models.some(fits)
    ? candidates.filter(fits)
    : candidates.filter(({ config }) => (config.contextWindow ?? longest) >= longest);
}

/** Those of the candidates that may take a prompt which was too long for `failed`. */
export function longerThan(
  failed: Candidate,
  candidates: readonly Candidate[],
  request: ChatCompletionRequest,
): readonly Candidate[] {
  const window = failed.config.contextWindow ?? estimateInputTokens(request);
  return candidates.filter(({ config }) => !isStandIn(config) && (config.contextWindow ?? 0) > window);
}
