import { ResponseType, type RestApi } from 'aws-cdk-lib/aws-apigateway';

interface Answer {
  readonly status: number;
  readonly message: string;
  readonly type: string;
  readonly code: string | null;
  readonly headers?: Readonly<Record<string, string>>;
}

const INVALID_KEY: Answer = {
  status: 401,
  message: 'Incorrect API key provided, or it has no access to this API. Send it as "Authorization: Bearer YOUR_KEY".',
  type: 'invalid_request_error',
  code: 'invalid_api_key',
};
const SERVER_ERROR: Answer = {
  status: 500,
  message: 'The server had an error while processing your request. Retry it; name the request id if it persists.',
  type: 'server_error',
  code: 'internal_error',
};
const NOT_FOUND: Answer = {
  status: 404,
  message: 'Unknown request URL. Check the method and the path: POST /v1/chat/completions, GET /v1/models.',
  type: 'invalid_request_error',
  code: 'unknown_url',
};

/**
 * What API Gateway answers by itself, in OpenAI's error shape and with the status that the OpenAI SDKs expect.
 *
 * Templates only replace variables, and what API Gateway puts in for a validator's complaint isn't escaped for JSON:
 * bodies are constant, the complaint goes into a header.
 * https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
 */
const ANSWERS: ReadonlyArray<readonly [type: ResponseType, answer: Answer]> = [
  // 403 at API Gateway. A key that no usage plan of this stage has is answered the same way.
  [ResponseType.INVALID_API_KEY, INVALID_KEY],
  [ResponseType.UNAUTHORIZED, INVALID_KEY],
  // The authorizer found nothing that could be a key.
  [ResponseType.ACCESS_DENIED, INVALID_KEY],
  [
    ResponseType.WAF_FILTERED,
    {
      status: 403,
      message: 'The request was blocked by a firewall rule.',
      type: 'invalid_request_error',
      code: 'blocked',
    },
  ],
  // Signature Version 4 isn't used here: whoever signs sends no key.
  [ResponseType.INVALID_SIGNATURE, INVALID_KEY],
  [ResponseType.EXPIRED_TOKEN, INVALID_KEY],
  // API Gateway's name for "no such route".
  [ResponseType.MISSING_AUTHENTICATION_TOKEN, NOT_FOUND],
  [ResponseType.RESOURCE_NOT_FOUND, NOT_FOUND],
  [
    ResponseType.THROTTLED,
    {
      status: 429,
      message: 'Rate limit reached: too many requests a second. Retry after a moment.',
      type: 'requests',
      code: 'rate_limit_exceeded',
      headers: { 'retry-after': "'1'" },
    },
  ],
  [
    ResponseType.QUOTA_EXCEEDED,
    {
      status: 429,
      message: 'You exceeded your current quota of requests. It is renewed with the next period of your plan.',
      type: 'insufficient_quota',
      code: 'insufficient_quota',
      // The SDKs retry a 429 by themselves; here that is in vain.
      headers: { 'x-should-retry': "'false'" },
    },
  ],
  [
    ResponseType.BAD_REQUEST_BODY,
    {
      status: 400,
      message:
        'The request body is not a valid chat completion request. The header x-llm-validation-error says what is wrong.',
      type: 'invalid_request_error',
      code: 'invalid_request',
      headers: { 'x-llm-validation-error': 'context.error.validationErrorString' },
    },
  ],
  [
    ResponseType.BAD_REQUEST_PARAMETERS,
    {
      status: 400,
      message: 'A required request parameter is missing or invalid.',
      type: 'invalid_request_error',
      code: 'invalid_request',
    },
  ],
  [
    ResponseType.REQUEST_TOO_LARGE,
    {
      status: 413,
      message: 'The request body is too large. Shorten the messages, or pass images by URL.',
      type: 'invalid_request_error',
      code: 'request_too_large',
    },
  ],
  [
    ResponseType.UNSUPPORTED_MEDIA_TYPE,
    {
      status: 415,
      message: 'The request body must be JSON: send "Content-Type: application/json".',
      type: 'invalid_request_error',
      code: 'unsupported_media_type',
    },
  ],
  [ResponseType.API_CONFIGURATION_ERROR, SERVER_ERROR],
  [ResponseType.AUTHORIZER_CONFIGURATION_ERROR, SERVER_ERROR],
  [ResponseType.AUTHORIZER_FAILURE, SERVER_ERROR],
  // The function failed or could not start: throttled by Lambda, out of memory. Another attempt may succeed.
  [
    ResponseType.INTEGRATION_FAILURE,
    {
      status: 503,
      message: 'The server is overloaded or failed to answer. Retry your request after a brief wait.',
      type: 'server_error',
      code: 'service_unavailable',
      headers: { 'retry-after': "'2'" },
    },
  ],
  [
    ResponseType.INTEGRATION_TIMEOUT,
    { status: 504, message: 'The answer took too long.', type: 'server_error', code: 'timeout' },
  ],
];

/** For the types that aren't listed; the status stays API Gateway's own. */
const DEFAULTS: ReadonlyArray<readonly [type: ResponseType, answer: Omit<Answer, 'status'>]> = [
  [
    ResponseType.DEFAULT_4XX,
    { message: 'The request was refused.', type: 'invalid_request_error', code: 'invalid_request' },
  ],
  [ResponseType.DEFAULT_5XX, SERVER_ERROR],
];

export interface GatewayResponsesProps {
  /** The `Access-Control-Allow-Origin` of error responses; none without CORS. */
  readonly allowOrigin?: string;
  readonly exposeHeaders: readonly string[];
}

export function addGatewayResponses(api: RestApi, props: GatewayResponsesProps): void {
  const common = {
    'x-request-id': 'context.requestId',
    ...(props.allowOrigin !== undefined && {
      'access-control-allow-origin': `'${props.allowOrigin}'`,
      'access-control-expose-headers': `'${props.exposeHeaders.join(',')}'`,
    }),
  };
  const add = (type: ResponseType, answer: Omit<Answer, 'status'>, statusCode?: string) =>
    api.addGatewayResponse(type.responseType, {
      type,
      statusCode,
      responseHeaders: { ...common, ...answer.headers },
      templates: {
        'application/json': JSON.stringify({
          error: { message: answer.message, type: answer.type, param: null, code: answer.code },
        }),
      },
    });
  for (const [type, answer] of ANSWERS) add(type, answer, String(answer.status));
  for (const [type, answer] of DEFAULTS) add(type, answer);
}
