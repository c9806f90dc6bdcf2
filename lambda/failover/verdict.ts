import type { FailureKind, FallbackConfig } from '../../lib/private/serving-config.ts';
import type { BackendError } from '../backends/backend.ts';

/** OpenAI's code for a prompt that doesn't fit; backends' modules give it whatever their service says. */
export const CONTEXT_LENGTH_CODE = 'context_length_exceeded';

/**
 * What follows from a failure. The mechanism is `dispatch`; the choice stands here.
 *
 * - `next`: another backend may do better
 * - `longer`: one with a longer context may
 * - `return`: the client's fault, or nobody waits any more: no backend would change that
 */
export type Verdict = 'next' | 'longer' | 'return';

export function verdictOn(error: BackendError, policy: FallbackConfig): Verdict {
  if (error.kind === 'invalid-request') {
    if (error.code === CONTEXT_LENGTH_CODE) return 'longer';
    return error.elsewhere ? 'next' : 'return';
  }
  if (error.kind === 'aborted') return 'return';
  return policy.failOverOn.includes(error.kind) ? 'next' : 'return';
}

/** Whether the same backend may do better a moment later. */
export const isRetryable = (error: BackendError, policy: FallbackConfig): boolean =>
  policy.retryOn.includes(error.kind as FailureKind);

/** Says something about the backend, not about the request or its client. */
export const isBackendsFault = (error: BackendError): boolean =>
  error.kind !== 'invalid-request' && error.kind !== 'aborted' && error.kind !== 'low-quality';

/** A credential or a name of ours is wrong: no request will succeed until somebody mends it. */
export const isOperatorsFault = (error: BackendError): boolean => error.kind === 'auth' || error.kind === 'not-found';
