/** An error as vLLM answers it: `{"error":{"message","type","param","code"}}`, the code being the status. */
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

  get body(): object {
    return { error: { message: this.message, type: this.type, param: this.param, code: this.status } };
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
