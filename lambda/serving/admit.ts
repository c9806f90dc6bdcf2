import type { TierConfig } from '../../lib/private/serving-config.ts';
import type { BackendConfig, ModelConfig, ServingConfig } from '../contract/config.ts';
import type { ChatCompletionRequest } from '../contract/openai.ts';
import { ApiError } from './errors.ts';
import { estimateInputTokens } from './estimate.ts';

/** A request that may run: its model, and what it may cost. */
export interface Admission {
  readonly model: ModelConfig;
  readonly request: ChatCompletionRequest;
}

/** @throws ApiError 404 for an unknown model, 403 for one that the tier doesn't include */
export function admit(request: ChatCompletionRequest, tier: TierConfig, config: ServingConfig): Admission {
  const model = findModel(request.model, tier, config);
  // A backend without a name of its own for the model knows the model's, not its aliases.
  return { model, request: model.name === request.model ? request : { ...request, model: model.name } };
}

export function findModel(name: string, tier: TierConfig, config: ServingConfig): ModelConfig {
  const model = config.modelByName.get(name);
  if (model === undefined) {
    throw new ApiError(404, `The model \`${shortened(name)}\` does not exist or you do not have access to it.`, {
      param: 'model',
      code: 'model_not_found',
    });
  }
  if (!isAllowed(model, tier)) {
    throw new ApiError(403, `The tier '${tier.name}' does not include the model \`${model.name}\`.`, {
      param: 'model',
      code: 'model_not_allowed',
    });
  }
  return model;
}

export const isAllowed = (model: ModelConfig, tier: TierConfig): boolean =>
  tier.allowedModels === undefined || tier.allowedModels.includes(model.name);

/**
 * The request as one backend gets it: both spellings of the token limit folded into `max_completion_tokens` (which wins
 * when they differ, being the newer), clamped to what the model, the tier and the backend allow.
 *
 * Without a limit of the client's own the allowed maximum is set, or nothing would hold the tier's. Engines refuse a
 * limit that doesn't fit into the context beside the prompt, though, and a client mustn't be refused for what it didn't
 * ask: where the context window is known, such a limit leaves room for a generous estimate of the prompt.
 */
export function clampOutput(admission: Admission, tier: TierConfig, backend: BackendConfig): ChatCompletionRequest {
  const { max_tokens: older, ...request } = admission.request;
  const asked = request.max_completion_tokens ?? older ?? undefined;
  // A tier's limit is what an answer may cost, all its choices together; the others say how long one can be.
  const tierMaximum = tier.maxOutputTokens && Math.max(1, Math.floor(tier.maxOutputTokens / (request.n ?? 1)));
  const maxima = [admission.model.maxOutputTokens, tierMaximum, backend.maxOutputTokens];
  const allowed = Math.min(...maxima.map((maximum) => maximum ?? Number.POSITIVE_INFINITY));
  let limit = Math.min(asked ?? Number.POSITIVE_INFINITY, allowed);
  if (limit === Number.POSITIVE_INFINITY) {
    const { max_completion_tokens: _, ...unlimited } = request;
    return unlimited;
  }
  if (asked === undefined && backend.contextWindow !== undefined) {
    limit = Math.min(limit, Math.max(1, backend.contextWindow - estimateInputTokens(request) * 2));
  }
  return { ...request, max_completion_tokens: limit };
}

const shortened = (name: string) => (name.length > 128 ? `${name.slice(0, 125)}...` : name);
