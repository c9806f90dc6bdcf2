import { type Backend, BackendError } from '../backends/backend.ts';
import type { Registry } from '../backends/registry.ts';
import type { ModelConfig } from '../contract/config.ts';
import type { ChatCompletionRequest } from '../contract/openai.ts';
import { type Candidate, isStandIn } from '../failover/candidate.ts';
import { ApiError, invalidRequest } from './errors.ts';

/**
 * The model's backends in their order, without those that can't honour a parameter of the request. A static reply stands
 * in for models that fail, not for what they can't do: it takes every request, and would turn a mistake into silence.
 *
 * @throws ApiError 400 naming the parameter, when no other is left
 */
export async function route(
  model: ModelConfig,
  request: ChatCompletionRequest,
  registry: Registry,
): Promise<readonly Candidate[]> {
  const all = await Promise.all(
    model.backends.map(async (config) => ({
      config,
      backend: await registry.get(config).catch((cause) => brokenBackend(config.id, cause)),
    })),
  );
  const candidates: Candidate[] = [];
  const refusals: Array<{ backend: string; param: string }> = [];
  for (const candidate of all) {
    if (candidate.backend.declines?.(request)) continue;
    const param = candidate.backend.unsupportedParameter(request);
    if (param === undefined) candidates.push(candidate);
    else refusals.push({ backend: candidate.config.id, param });
  }
  const [first] = refusals;
  if (first !== undefined && candidates.every(({ config }) => isStandIn(config))) {
    const considered = refusals.map(({ backend, param }) => `${backend} ('${param}')`).join(', ');
    throw invalidRequest(
      `Unsupported parameter: '${first.param}' is not supported with the model \`${model.name}\`. Backends considered: ${considered}.`,
      first.param,
      'unsupported_parameter',
    );
  }
  if (candidates.length === 0) {
    throw new ApiError(502, `No backend of the model \`${model.name}\` has an answer to this.`, {
      code: 'backend_error',
    });
  }
  return candidates;
}

/** One that could not even be set up (an address that is none) fails like one that doesn't answer: others may. */
function brokenBackend(id: string, cause: unknown): Backend {
  const fail = () => Promise.reject(new BackendError(id, 'server', 'the backend could not be set up', { cause }));
  return { id, unsupportedParameter: () => undefined, stream: fail, complete: fail };
}
