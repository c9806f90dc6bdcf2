/** An error in vLLM's words; each engine has a shape of its own for it. */
export class EngineError extends Error {
  override readonly name = 'EngineError';
  readonly status: number;
  readonly type: string;
  readonly param: string | null;

  constructor(status: number, type: string, message: string, param: string | null = null) {
    super(message);
    this.status = status;
    this.type = type;
    this.param = param;
  }
}

export interface RenderedError {
  readonly status: number;
  readonly body: object;
}

/** vLLM's: `{"error":{"message","type","param","code"}}`, the code being the status. */
export function openAiError({ status, message, type, param }: EngineError): RenderedError {
  return { status, body: { error: { message, type, param, code: status } } };
}

/** SGLang's and TensorRT-LLM's: the same without the envelope. */
export function flatError({ status, message, type, param }: EngineError): RenderedError {
  return { status, body: { object: 'error', message, type, param, code: status } };
}

/** TGI's: two strings, and statuses of its own. */
export function tgiError({ status, message }: EngineError): RenderedError {
  switch (status) {
    case 503:
      return { status: 429, body: { error: 'Model is overloaded', error_type: 'overloaded' } };
    case 400:
      return { status: 422, body: { error: `Input validation error: ${message}`, error_type: 'validation' } };
    default:
      return { status, body: { error: message, error_type: 'generation' } };
  }
}

export const badRequest = (message: string, param: string | null = null): EngineError =>
  new EngineError(400, 'BadRequestError', message, param);

export const overloaded = (): EngineError =>
  new EngineError(
    503,
    'Service Unavailable',
    'The engine is currently busy and cannot accept new requests. Please try again later.',
  );

/** The engine's core has died: what runs fails, and so does `/health`. */
export const engineDead = (): EngineError =>
  new EngineError(
    500,
    'InternalServerError',
    'EngineCore encountered an issue. See stack trace (above) for the root cause.',
  );
