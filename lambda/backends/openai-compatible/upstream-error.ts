import { BackendError, type BackendErrorKind } from '../backend.ts';
import { retryAfter } from '../retry-after.ts';

/** What a status says about whose fault it is and whether another backend should be asked. */
export function kindOfStatus(status: number): BackendErrorKind {
  switch (status) {
    case 400:
    case 413:
    case 422:
      return 'invalid-request';
    case 401:
    case 402: // No balance left: DeepSeek, OpenRouter.
    case 403:
      return 'auth';
    case 404:
    case 405:
    case 410:
      return 'not-found';
    case 408:
    case 504:
      return 'timeout';
    case 429:
      return 'throttled';
    case 503:
    case 529: // Anthropic: overloaded.
      return 'overloaded';
    default:
      return status >= 300 && status < 400 ? 'protocol' : 'server';
  }
}

interface ErrorFields {
  readonly message: string;
  readonly param: string | null;
  readonly code: string | null;
  /** vLLM's `code` is the HTTP status. */
  readonly status: number | undefined;
}

/**
 * The error in a body or an event, in the shapes that servers use: OpenAI's and vLLM's `{error: {…}}`, a bare string
 * (vLLM's 401, TGI with `error_type`), vLLM's former `{object: "error"}`, FastAPI's `{detail}`. `undefined` when the
 * value is no error.
 */
export function errorFields(value: unknown): ErrorFields | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const body = value as Record<string, unknown>;
  const nested = body.error ?? (body.object === 'error' ? body : undefined) ?? (body.choices ? undefined : body.detail);
  if (nested === undefined || nested === null) return undefined;
  if (typeof nested !== 'object') return { message: String(nested), param: null, code: null, status: undefined };
  const fields = nested as Record<string, unknown>;
  const status = [fields.code, fields.status].map(Number).find((number) => number >= 400 && number < 600);
  return {
    message: typeof fields.message === 'string' ? fields.message : JSON.stringify(nested),
    param: typeof fields.param === 'string' ? fields.param : null,
    code: typeof fields.code === 'string' ? fields.code : null,
    status,
  };
}

/** How OpenAI, vLLM, SGLang, TGI, llama.cpp and Anthropic say that a prompt doesn't fit: only OpenAI has a code for it. */
const TOO_LONG =
  /maximum (context|model) length|longer than the model's context|context (length|size|window)|prompt is too long|inputs? (tokens \+|is too long|length)/i;

/** A response that isn't 2xx. The body may be anything: HTML of a proxy, nothing at all. */
export function errorFromResponse(
  backend: string,
  status: number,
  body: string,
  headers: Readonly<Record<string, string | string[] | undefined>>,
): BackendError {
  const fields = errorFields(tryParse(body));
  const retryAfterMs = retryAfter(headers);
  // OpenAI says 429 as well when the account's credit is used up: no waiting helps, and no client is at fault.
  const kind = fields?.code === 'insufficient_quota' ? 'auth' : kindOfStatus(status);
  return new BackendError(backend, kind, fields?.message ?? `HTTP ${status}`, {
    status,
    param: fields?.param ?? null,
    code: codeOf(kind, fields),
    isQuoted: fields !== undefined,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

const codeOf = (kind: BackendErrorKind, fields: ErrorFields | undefined): string | null =>
  kind === 'invalid-request' && TOO_LONG.test(fields?.message ?? '')
    ? 'context_length_exceeded'
    : (fields?.code ?? null);

/** An error object that came under status 200. */
export function errorFromPayload(backend: string, fields: ErrorFields): BackendError {
  const kind = fields.status === undefined ? 'server' : kindOfStatus(fields.status);
  return new BackendError(backend, kind, fields.message, {
    param: fields.param,
    code: codeOf(kind, fields),
    isQuoted: true,
    ...(fields.status === undefined ? {} : { status: fields.status }),
  });
}

export function tryParse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
