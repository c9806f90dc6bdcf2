import type { BackendError } from '../backends/backend.ts';
import { ApiError } from './errors.ts';

/**
 * What a client is told when an answer of which it has the beginning broke off. Nothing that it did wrong, whatever the
 * backend said, for the request had been accepted. The status never goes out, but counts.
 */
export function brokenOff(answer: ApiError): ApiError {
  const failure = answer.cause as BackendError | undefined;
  // Otherwise the path itself ended it, and its words say so: the time is up, or nobody reads any more.
  if (failure === undefined) return answer;
  return new ApiError(
    answer.status >= 500 ? answer.status : 502,
    `The answer broke off. (${failure.backend}: ${failure.kind})`,
    { code: failure.kind === 'invalid-request' ? 'backend_error' : answer.code, cause: failure },
  );
}
