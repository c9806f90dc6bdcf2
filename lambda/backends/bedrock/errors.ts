import { BackendError, type BackendErrorKind, type BackendErrorOptions } from '../backend.ts';
import { retryAfter } from '../retry-after.ts';
import { RequestProblem } from './request-problem.ts';

/** By the exception's name in lower case: in mid-stream its initial is a small letter. */
const KINDS: Readonly<Record<string, BackendErrorKind>> = {
  accessdeniedexception: 'auth',
  credentialsprovidererror: 'auth',
  expiredtoken: 'auth',
  expiredtokenexception: 'auth',
  incompletesignatureexception: 'auth',
  internalserverexception: 'server',
  invalidsignatureexception: 'auth',
  missingauthenticationtokenexception: 'auth',
  modelerrorexception: 'server',
  modelnotreadyexception: 'overloaded',
  modelstreamerrorexception: 'server',
  modeltimeoutexception: 'timeout',
  resourcenotfoundexception: 'not-found',
  servicequotaexceededexception: 'throttled',
  serviceunavailableexception: 'overloaded',
  throttlingexception: 'throttled',
  timeouterror: 'timeout',
  unrecognizedclientexception: 'auth',
  validationexception: 'invalid-request',
};

/** Node's codes of a connection that never was or broke. */
const CONNECTION_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EPIPE',
  'ERR_STREAM_PREMATURE_CLOSE',
  'ETIMEDOUT',
]);

/** Validation errors that the client can do nothing about: the deployment names something that isn't there. */
const OPERATORS_FAULT =
  /model identifier is invalid|on-demand throughput isn.t supported|guardrail identifier or version|model version is (legacy|end of life)/i;
const TOO_LONG = /input is too long|prompt is too long|exceeds? (the )?(maximum )?(context|number of (input )?tokens)/i;

/** Converse's names in its messages, and what clients call these. The first that matches. */
const PARAMS: readonly (readonly [RegExp, string])[] = [
  [/toolChoice|tool_choice/, 'tool_choice'],
  [/toolConfig|tool_config|toolSpec/, 'tools'],
  [/outputConfig|output_config/, 'response_format'],
  [/stopSequences|stop_sequences/, 'stop'],
  [/maxTokens|max_tokens/, 'max_completion_tokens'],
  [/temperature/, 'temperature'],
  [/topP|top_p/, 'top_p'],
  [/thinking|budget_tokens|reasoning/, 'reasoning_effort'],
  [/messages|conversation|ContentBlock|toolResult|toolUse|image/, 'messages'],
];

/** What an SDK's error has besides being one. */
interface ErrorFields {
  readonly name?: string;
  readonly message?: string;
  readonly code?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
  readonly $response?: { readonly headers?: Readonly<Record<string, string>> };
}

export function toBackendError(backend: string, error: unknown): BackendError {
  if (error instanceof BackendError) return error;
  if (error instanceof RequestProblem) {
    const { message, param, elsewhere } = error;
    return new BackendError(backend, 'invalid-request', message, { cause: error, param, elsewhere });
  }
  const fields = (error ?? {}) as ErrorFields;
  const message = fields.message ?? String(error);
  const status = fields.$metadata?.httpStatusCode;
  const retryAfterMs = retryAfter(fields.$response?.headers ?? {});
  const options: BackendErrorOptions = {
    cause: error,
    // Also of what the SDK could not read: a parser's complaint quotes it.
    isQuoted: true,
    // A mid-stream error comes with the stream's 200, which isn't its own.
    ...(status !== undefined && status >= 400 && { status }),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  };
  const kind = kindOf(fields, status);
  if (kind === 'invalid-request' && OPERATORS_FAULT.test(message)) {
    return new BackendError(backend, 'not-found', message, options);
  }
  if (kind === 'invalid-request' && TOO_LONG.test(message)) {
    return new BackendError(backend, kind, message, { ...options, param: 'messages', code: 'context_length_exceeded' });
  }
  const param = kind === 'invalid-request' ? PARAMS.find(([pattern]) => pattern.test(message))?.[1] : undefined;
  return new BackendError(backend, kind, message, { ...options, ...(param !== undefined && { param }) });
}

export const isConnectionError = (error: unknown): boolean =>
  CONNECTION_CODES.has((error as ErrorFields | undefined)?.code ?? '');

function kindOf(error: ErrorFields, status: number | undefined): BackendErrorKind {
  // First, since the SDK gives a reset connection the name `TimeoutError`.
  if (isConnectionError(error)) return 'connection';
  const known = KINDS[(error.name ?? '').toLowerCase()];
  if (known) return known;
  if (status === undefined || status < 400) return 'protocol';
  if (status === 401 || status === 403) return 'auth';
  if (status === 404) return 'not-found';
  if (status === 408 || status === 504) return 'timeout';
  if (status === 429) return 'throttled';
  if (status === 503 || status === 529) return 'overloaded';
  return status < 500 ? 'invalid-request' : 'server';
}
