import { TextModelError } from '../model/text-model.ts';

/** An error as Bedrock Runtime gives it: a status, a name in `x-amzn-errortype`, and `{"message": …}`. */
export class ServiceError extends Error {
  override readonly name: string;
  readonly status: number;
  readonly retryAfterSeconds: number | undefined;

  constructor(name: ServiceErrorName, message: string, retryAfterSeconds?: number) {
    super(message);
    this.name = name;
    this.status = STATUS[name];
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** From the service's API reference, Converse: Errors. */
const STATUS = {
  AccessDeniedException: 403,
  InternalServerException: 500,
  MissingAuthenticationTokenException: 403,
  ModelErrorException: 424,
  ModelNotReadyException: 429,
  ModelTimeoutException: 408,
  ResourceNotFoundException: 404,
  ServiceUnavailableException: 503,
  ThrottlingException: 429,
  UnknownOperationException: 404,
  ValidationException: 400,
} as const;

export type ServiceErrorName = keyof typeof STATUS;

export const invalid = (message: string): ServiceError => new ServiceError('ValidationException', message);

export function toServiceError(error: unknown): ServiceError {
  if (error instanceof ServiceError) return error;
  const message = error instanceof Error ? error.message : String(error);
  if (!(error instanceof TextModelError)) return new ServiceError('InternalServerException', message);
  if (error.status === 429) return new ServiceError('ThrottlingException', message);
  if (error.status === 503) return new ServiceError('ServiceUnavailableException', message);
  return error.status < 500 ? invalid(message) : new ServiceError('ModelErrorException', message);
}
