import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Authorizers, type Invoke } from './authorizer.ts';
import { checkMapping, GatewayContext } from './context.ts';
import type { ApiKeyDefinition, MethodDefinition, RestApiDefinition } from './definition.ts';
import { GatewayError } from './gateway-error.ts';
import { GatewayResponses, type WholeResponse } from './gateway-responses.ts';
import { type Headers, proxyToLambda } from './lambda-integration.ts';
import { MockResponder } from './mock-integration.ts';
import { type Caller, proxyEvent } from './proxy-event.ts';
import { type GatewayRequest, gatewayRequest } from './request.ts';
import { readBody } from './request-body.ts';
import { RequestValidator } from './request-validator.ts';
import { integrationHeaders } from './response-headers.ts';
import { type Route, Router } from './router.ts';
import { StageThrottles } from './stage-throttles.ts';
import { UsagePlans } from './usage-plans.ts';

export interface RestApiOptions {
  readonly api: RestApiDefinition;
  readonly invoke: Invoke;
  /** A line in the stage's own format. */
  readonly accessLog?: (line: string) => void;
  /** The status of each answer, and how many milliseconds it took. */
  readonly answered?: (status: number, latencyMs: number) => void;
  /** Why API Gateway answered by itself, where the cause isn't the client. */
  readonly failure?: (requestId: string, error: Error) => void;
  /** Answers what isn't the API's, on the same port. @returns whether it did */
  readonly page?: (request: IncomingMessage, response: ServerResponse) => boolean;
}

/** Milliseconds that a client has to send its headers, and its whole request: slow ones don't hold connections. */
const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 60_000;
/**
 * API Gateway's quota of all headers together: https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
 */
const MAX_HEADER_BYTES = 10_240;

/** A REST API's stage on a port of this machine, at the root: no stage name stands before the path. */
export class RestApi {
  readonly #options: RestApiOptions;
  readonly #router: Router;
  readonly #authorizers: Authorizers;
  readonly #usage: UsagePlans;
  readonly #throttles: StageThrottles;
  readonly #validator: RequestValidator;
  readonly #responses: GatewayResponses;
  readonly #mocks = new Map<MethodDefinition, MockResponder>();
  readonly #server: Server;

  /** @throws Error when a model, template or expression of the API is beyond what is known */
  constructor(options: RestApiOptions) {
    const { api } = options;
    this.#options = options;
    this.#router = new Router(api.resources);
    this.#authorizers = new Authorizers(api, options.invoke);
    this.#usage = new UsagePlans(api);
    this.#throttles = new StageThrottles(api.stage.methodThrottles);
    this.#validator = new RequestValidator(api.models, api.id);
    this.#responses = new GatewayResponses(api.gatewayResponses);
    for (const method of api.resources.flatMap((resource) => [...resource.methods.values()])) {
      for (const source of method.authorizer?.identitySources ?? []) checkMapping(source, 'authorizer');
      if (method.integration.type === 'MOCK') this.#mocks.set(method, new MockResponder(method.integration));
    }
    this.#server = createServer({ maxHeaderSize: MAX_HEADER_BYTES }, (request, response) => {
      if (options.page?.(request, response)) return;
      this.#handle(request, response).catch((error: unknown) => {
        options.failure?.('-', error instanceof Error ? error : new Error(String(error)));
        response.destroy();
      });
    });
    this.#server.headersTimeout = HEADERS_TIMEOUT_MS;
    this.#server.requestTimeout = REQUEST_TIMEOUT_MS;
  }

  /** @param port 0 for any free one. @returns the port */
  async listen(port: number): Promise<number> {
    this.#server.listen(port, '127.0.0.1');
    await once(this.#server, 'listening');
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  async #handle(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const receivedAt = Date.now();
    response.on('error', () => {});
    let body: Buffer = Buffer.alloc(0);
    let refusal: GatewayError | undefined;
    try {
      body = await readBody(message);
    } catch (error) {
      if (!(error instanceof GatewayError)) return;
      refusal = error;
    }
    const request = gatewayRequest(message, body, receivedAt);
    const context = new GatewayContext(this.#options.api, request);
    response.once('close', () => {
      this.#options.answered?.(response.statusCode, Date.now() - receivedAt);
      this.#log(context, response, receivedAt);
    });
    try {
      if (refusal !== undefined) throw refusal;
      await this.#answer(request, context, response);
    } catch (error) {
      try {
        this.#fail(error, request, context, response);
      } catch (failure) {
        this.#giveUp(failure, request, response);
      }
    }
  }

  async #answer(request: GatewayRequest, context: GatewayContext, response: ServerResponse): Promise<void> {
    const { api, invoke } = this.#options;
    const route = this.#router.find(request.httpMethod, request.path);
    if (route === undefined) throw new GatewayError('MISSING_AUTHENTICATION_TOKEN');
    context.routed(route);
    const caller = await this.#admit(request, route, context);
    this.#validator.validate(route.method, request, route.pathParameters);
    const { integration } = route.method;
    const sendHead = (status: number, headers: Headers, length?: number): void =>
      this.#head(response, request, status, integrationHeaders(headers), length);
    if (integration.type === 'AWS_PROXY') {
      const event = proxyEvent(api, request, route, caller);
      const { idleTimeoutMs } = api;
      await proxyToLambda({ integration, event, invoke, context, response, sendHead, idleTimeoutMs });
      return;
    }
    const mock = this.#mocks.get(route.method);
    if (mock === undefined) throw new GatewayError('API_CONFIGURATION_ERROR');
    this.#send(mock.respond(request, context), request, context, response);
  }

  /** Authorizer, then API key, then the limits of the plan and of the stage. */
  async #admit(request: GatewayRequest, route: Route, context: GatewayContext): Promise<Caller> {
    const { method, resource } = route;
    const authorization =
      method.authorizer === undefined
        ? undefined
        : await this.#authorizers.authorize(method.authorizer, request, route, context);
    let apiKey: ApiKeyDefinition | undefined;
    if (method.apiKeyRequired) {
      const fromHeader = this.#options.api.apiKeySource === 'HEADER';
      const value = fromHeader ? request.headers.get('x-api-key') : authorization?.usageIdentifierKey;
      apiKey = this.#usage.keyOf(value);
      if (apiKey === undefined) throw new GatewayError('INVALID_API_KEY');
      context.set('identity.apiKeyId', apiKey.id);
      const refusal = this.#usage.use(apiKey, resource.path, method.httpMethod);
      if (refusal !== undefined) throw new GatewayError(refusal);
    }
    if (!this.#throttles.take(resource.path, method.httpMethod)) throw new GatewayError('THROTTLED');
    return { apiKey, authorizer: authorization?.context };
  }

  #fail(error: unknown, request: GatewayRequest, context: GatewayContext, response: ServerResponse): void {
    const failure = error instanceof Error ? error : new Error(String(error));
    const cause = failure.cause instanceof Error ? failure.cause : failure;
    if (!(failure instanceof GatewayError) || failure.cause !== undefined) {
      this.#options.failure?.(request.requestId, cause);
    }
    if (response.headersSent) {
      // The body can't be ended well: a client must see that it is truncated.
      response.destroy();
      return;
    }
    const refused =
      failure instanceof GatewayError ? failure : new GatewayError('API_CONFIGURATION_ERROR', { cause: failure });
    context.failed(refused);
    if (refused.type === 'REQUEST_TOO_LARGE') response.setHeader('connection', 'close');
    this.#send(this.#responses.render(refused, context), request, context, response);
  }

  /** Not even the failure could be told as the API has it: a client still gets an answer. */
  #giveUp(error: unknown, request: GatewayRequest, response: ServerResponse): void {
    this.#options.failure?.(request.requestId, error instanceof Error ? error : new Error(String(error)));
    if (response.headersSent) {
      response.destroy();
      return;
    }
    for (const name of response.getHeaderNames()) response.removeHeader(name);
    response.writeHead(500, { 'content-type': 'application/json', 'x-amzn-RequestId': request.requestId });
    response.end('{"message":"Internal server error"}');
  }

  #send(whole: WholeResponse, request: GatewayRequest, context: GatewayContext, response: ServerResponse): void {
    context.set('responseLength', whole.body.length);
    this.#head(response, request, whole.status, whole.headers.flat(), whole.body.length);
    response.end(whole.body);
  }

  #head(
    response: ServerResponse,
    request: GatewayRequest,
    status: number,
    headers: readonly string[],
    length: number | undefined,
  ): void {
    for (let index = 0; index + 1 < headers.length; index += 2) {
      try {
        response.appendHeader(headers[index] ?? '', headers[index + 1] ?? '');
      } catch (cause) {
        for (const name of response.getHeaderNames()) response.removeHeader(name);
        throw new GatewayError('INTEGRATION_FAILURE', { cause, status: 502 });
      }
    }
    if (!response.hasHeader('content-type')) response.setHeader('content-type', 'application/json');
    // No content, no type and no length (RFC 9110).
    if (status === 204 || status === 304) response.removeHeader('content-type');
    else if (length !== undefined) response.setHeader('content-length', length);
    response.setHeader('x-amzn-RequestId', request.requestId);
    response.setHeader('x-amz-apigw-id', request.extendedRequestId);
    response.setHeader('x-amzn-Trace-Id', request.traceId);
    response.writeHead(status);
  }

  #log(context: GatewayContext, response: ServerResponse, receivedAt: number): void {
    const { accessLogFormat } = this.#options.api.stage;
    if (accessLogFormat === undefined || this.#options.accessLog === undefined) return;
    context.set('status', response.statusCode);
    context.set('responseLatency', Date.now() - receivedAt);
    this.#options.accessLog(context.substitute(accessLogFormat, '-'));
  }
}
