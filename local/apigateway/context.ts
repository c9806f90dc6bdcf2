import type { RestApiDefinition } from './definition.ts';
import type { GatewayError } from './gateway-error.ts';
import { type GatewayRequest, logTime } from './request.ts';
import type { Route } from './router.ts';

const STATIC = /^'.*'$/s;
const MAPPED =
  /^(method\.request\.(?:multivalue)?(?:header|querystring)|method\.request\.path|context|stageVariables)\.(.+)$/;

/** @throws Error when `mapped` wouldn't know the expression: better at start than at the first request */
export function checkMapping(expression: string, owner: string): void {
  if (STATIC.test(expression) || MAPPED.test(expression)) return;
  throw new Error(`${owner}: the local run doesn't know the mapping expression ${expression}`);
}

/** The `$context` variables of one request, by their name after `$context.`. */
export class GatewayContext {
  readonly #values = new Map<string, string>();
  readonly #stageVariables: Readonly<Record<string, string>>;
  readonly #request: GatewayRequest;
  #pathParameters: Readonly<Record<string, string>> = {};

  constructor(api: RestApiDefinition, request: GatewayRequest) {
    this.#request = request;
    this.#stageVariables = api.stage.variables;
    this.set('accountId', api.account);
    this.set('apiId', api.id);
    this.set('stage', api.stage.name);
    this.set('httpMethod', request.httpMethod);
    this.set('path', `/${api.stage.name}${request.path}`);
    this.set('protocol', request.protocol);
    this.set('requestId', request.requestId);
    this.set('extendedRequestId', request.extendedRequestId);
    this.set('requestTime', logTime(request.receivedAt));
    this.set('requestTimeEpoch', request.receivedAt);
    this.set('domainName', request.headers.get('host') ?? '');
    this.set('xrayTraceId', request.traceId);
    this.set('identity.sourceIp', request.sourceIp);
    this.set('identity.userAgent', request.headers.get('user-agent') ?? '');
  }

  set(name: string, value: string | number | null): void {
    if (value !== null) this.#values.set(name, String(value));
  }

  get(name: string): string | undefined {
    return this.#values.get(name);
  }

  routed(route: Route): void {
    this.#pathParameters = route.pathParameters;
    this.set('resourcePath', route.resource.path);
  }

  failed(error: GatewayError): void {
    this.set('error.responseType', error.type);
    this.set('error.message', error.clientMessage);
    this.set('error.messageString', JSON.stringify(error.clientMessage));
    if (error.validationError !== undefined) this.set('error.validationErrorString', error.validationError);
  }

  /** A format or template with its variables; those without a value become `absent`. */
  substitute(template: string, absent: string): string {
    return template
      .replaceAll(/\$context((?:\.[A-Za-z0-9_-]+)+)/g, (_, path: string) => this.get(path.slice(1)) ?? absent)
      .replaceAll(/\$stageVariables\.([A-Za-z0-9_]+)/g, (_, name: string) => this.#stageVariables[name] ?? absent)
      .replaceAll(/\$(method\.request\.[a-z]+\.[A-Za-z0-9_-]+)/g, (_, path: string) => this.mapped(path) ?? absent);
  }

  /** A mapping expression: `'static'`, `method.request.header.x`, `context.x`, `stageVariables.x`. */
  mapped(expression: string): string | undefined {
    if (STATIC.test(expression)) return expression.slice(1, -1);
    const [, source, name = ''] = MAPPED.exec(expression) ?? [];
    switch (source) {
      case 'method.request.header':
      case 'method.request.multivalueheader':
        return this.#request.headers.get(name);
      case 'method.request.querystring':
      case 'method.request.multivaluequerystring':
        return this.#request.query.get(name) ?? undefined;
      case 'method.request.path':
        return this.#pathParameters[name];
      case 'context':
        return this.get(name);
      case 'stageVariables':
        return this.#stageVariables[name];
      default:
        return undefined;
    }
  }
}
