interface ErrorType {
  readonly status: number;
  /** Value of the `x-amzn-ErrorType` header. */
  readonly header: string;
  readonly message: string | null;
}

/**
 * API Gateway's own refusals and failures, with their status:
 * https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
 */
const ERROR_TYPES = {
  ACCESS_DENIED: {
    status: 403,
    header: 'AccessDeniedException',
    message: 'User is not authorized to access this resource',
  },
  API_CONFIGURATION_ERROR: { status: 500, header: 'InternalServerErrorException', message: 'Internal server error' },
  AUTHORIZER_CONFIGURATION_ERROR: { status: 500, header: 'AuthorizerConfigurationException', message: null },
  AUTHORIZER_FAILURE: { status: 500, header: 'AuthorizerFailureException', message: null },
  BAD_REQUEST_BODY: { status: 400, header: 'BadRequestException', message: 'Invalid request body' },
  BAD_REQUEST_PARAMETERS: { status: 400, header: 'BadRequestException', message: 'Invalid request parameters' },
  INTEGRATION_FAILURE: { status: 504, header: 'InternalServerErrorException', message: 'Internal server error' },
  INTEGRATION_TIMEOUT: { status: 504, header: 'GatewayTimeoutException', message: 'Endpoint request timed out' },
  INVALID_API_KEY: { status: 403, header: 'ForbiddenException', message: 'Forbidden' },
  MISSING_AUTHENTICATION_TOKEN: {
    status: 403,
    header: 'MissingAuthenticationTokenException',
    message: 'Missing Authentication Token',
  },
  QUOTA_EXCEEDED: { status: 429, header: 'LimitExceededException', message: 'Limit Exceeded' },
  REQUEST_TOO_LARGE: { status: 413, header: 'RequestTooLargeException', message: 'Request Too Long' },
  THROTTLED: { status: 429, header: 'TooManyRequestsException', message: 'Too Many Requests' },
  UNAUTHORIZED: { status: 401, header: 'UnauthorizedException', message: 'Unauthorized' },
} as const satisfies Record<string, ErrorType>;

export type GatewayErrorType = keyof typeof ERROR_TYPES;

export interface GatewayErrorOptions {
  readonly cause?: unknown;
  readonly message?: string;
  /** In place of the type's own. */
  readonly status?: number;
  /** `$context.error.validationErrorString` */
  readonly validationError?: string;
}

/** API Gateway answers by itself: with the gateway response of this type. */
export class GatewayError extends Error {
  override readonly name = 'GatewayError';
  readonly type: GatewayErrorType;
  readonly status: number;
  readonly errorType: string;
  /** What clients get; some of API Gateway's errors have none. */
  readonly clientMessage: string | null;
  readonly validationError: string | undefined;

  constructor(type: GatewayErrorType, options: GatewayErrorOptions = {}) {
    const defaults: ErrorType = ERROR_TYPES[type];
    const clientMessage = options.message ?? defaults.message;
    super(clientMessage ?? type, { cause: options.cause });
    this.type = type;
    this.status = options.status ?? defaults.status;
    this.errorType = defaults.header;
    this.clientMessage = clientMessage;
    this.validationError = options.validationError;
  }
}
