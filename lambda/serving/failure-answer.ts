import type { BackendError, BackendErrorKind } from '../backends/backend.ts';
import { ApiError } from './errors.ts';
import { redact } from './redact.ts';

/** The answer when every backend failed, the most telling reason first: what a client can act upon. */
const ANSWERS: ReadonlyArray<readonly [BackendErrorKind, status: number, message: string, code: string]> = [
  ['throttled', 429, 'The model is receiving too many requests at the moment; try again later.', 'backend_throttled'],
  ['overloaded', 503, 'The model is overloaded at the moment; try again later.', 'backend_overloaded'],
  ['timeout', 504, 'The model took too long to answer.', 'backend_timeout'],
];

/**
 * What a client is told. A backend's own words only for what the client did wrong: others may name keys, hosts and
 * accounts that are none of its business. Which backends failed, and the kinds of their failures, is no secret.
 */
export function toApiError(failures: readonly BackendError[]): ApiError {
  const last = failures.at(-1);
  if (last?.kind === 'invalid-request') {
    const status = last.status === 413 || last.status === 422 ? last.status : 400;
    const [param, code] = [last.param, last.code].map((name) => (name === null ? null : redact(name, MAX_NAME)));
    return new ApiError(status, redact(last.message, MAX_MESSAGE), {
      param: param ?? null,
      code: code ?? null,
      cause: last,
    });
  }
  const tried = failures.map((failure) => `${failure.backend}: ${failure.kind}`).join(', ');
  for (const [kind, status, message, code] of ANSWERS) {
    const telling = failures.filter((failure) => failure.kind === kind);
    if (telling.length === 0) continue;
    // Any of them may be the one that answers next time.
    const waits = telling.map((failure) => failure.retryAfterMs).filter((ms) => ms !== undefined);
    return new ApiError(status, `${message} (${tried})`, {
      code,
      cause: last,
      ...(waits.length > 0 ? { retryAfterMs: Math.min(...waits) } : {}),
    });
  }
  return new ApiError(502, `No backend of the model could answer. (${tried})`, { code: 'backend_error', cause: last });
}

/** Engines quote the client's request, which may be long. */
const MAX_MESSAGE = 2000;
const MAX_NAME = 200;
