import type { RestApiDefinition } from './definition.ts';
import { type GatewayRequest, logTime, queryParameters } from './request.ts';
import type { Route } from './router.ts';

export interface Caller {
  readonly apiKey?: { readonly id: string; readonly value: string } | undefined;
  /** The authorizer's context, with `principalId`. */
  readonly authorizer?: Readonly<Record<string, unknown>> | undefined;
}

/** The event that a proxy integration (format 1.0) or a REQUEST authorizer gets, without a body. */
export function requestEvent(
  api: RestApiDefinition,
  request: GatewayRequest,
  route: Route,
  caller: Caller,
): Record<string, unknown> {
  const query = queryParameters(request.query);
  const { pathParameters } = route;
  const domain = request.headers.get('host') ?? '';
  return {
    resource: route.resource.path,
    path: request.path,
    httpMethod: request.httpMethod,
    headers: request.headers.single(),
    multiValueHeaders: request.headers.multi(),
    queryStringParameters: query.single,
    multiValueQueryStringParameters: query.multi,
    pathParameters: Object.keys(pathParameters).length === 0 ? null : pathParameters,
    stageVariables: Object.keys(api.stage.variables).length === 0 ? null : api.stage.variables,
    requestContext: {
      accountId: api.account,
      apiId: api.id,
      ...(caller.authorizer === undefined ? {} : { authorizer: caller.authorizer }),
      domainName: domain,
      domainPrefix: domain.split('.')[0],
      extendedRequestId: request.extendedRequestId,
      httpMethod: request.httpMethod,
      identity: {
        accessKey: null,
        accountId: null,
        ...(caller.apiKey === undefined ? {} : { apiKey: caller.apiKey.value, apiKeyId: caller.apiKey.id }),
        caller: null,
        cognitoAuthenticationProvider: null,
        cognitoAuthenticationType: null,
        cognitoIdentityId: null,
        cognitoIdentityPoolId: null,
        principalOrgId: null,
        sourceIp: request.sourceIp,
        user: null,
        userAgent: request.headers.get('user-agent') ?? null,
        userArn: null,
      },
      path: `/${api.stage.name}${request.path}`,
      protocol: request.protocol,
      requestId: request.requestId,
      requestTime: logTime(request.receivedAt),
      requestTimeEpoch: request.receivedAt,
      resourceId: route.resource.path,
      resourcePath: route.resource.path,
      stage: api.stage.name,
    },
  };
}

/** A body is text unless its content type is one of the API's binary media types. */
export function proxyEvent(
  api: RestApiDefinition,
  request: GatewayRequest,
  route: Route,
  caller: Caller,
): Record<string, unknown> {
  const contentType = request.headers.get('content-type')?.split(';')[0]?.trim() ?? 'application/json';
  const binary = api.binaryMediaTypes.some((type) => type === '*/*' || type === contentType);
  return {
    ...requestEvent(api, request, route, caller),
    body: request.body.length === 0 ? null : request.body.toString(binary ? 'base64' : 'utf8'),
    isBase64Encoded: binary && request.body.length > 0,
  };
}

/** `arn:aws:execute-api:<region>:<account>:<api>/<stage>/<method>/<path>` */
export function methodArn(api: RestApiDefinition, request: GatewayRequest): string {
  const path = request.path.replace(/^\//, '');
  return `arn:aws:execute-api:${api.region}:${api.account}:${api.id}/${api.stage.name}/${request.httpMethod}/${path}`;
}
