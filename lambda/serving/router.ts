import type { Consumer, ServingConfig } from '../contract/config.ts';
import type { LedgerRoom } from '../usage/index.ts';
import { ApiError } from './errors.ts';
import type { GatewayEvent } from './gateway.ts';

/** What an answer that isn't a chat completion is made from. */
export interface JsonScope {
  readonly config: ServingConfig;
  readonly event: GatewayEvent;
  readonly requestId: string;
  /** The consumer of a key that is in the ledger. */
  readonly registered?: Consumer | undefined;
  readonly ledger?: LedgerRoom | undefined;
  /** The names in the route's path, as the client sent them: encoded or not. */
  readonly params: Readonly<Record<string, string>>;
}

export interface JsonAnswer {
  /** @default 200 */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: object;
}

export interface RouteBase {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** As API Gateway writes a resource: `{name}` is one segment, `{name+}` the rest. */
  readonly path: string;
}

/** Answered with one JSON object. */
export interface JsonRoute extends RouteBase {
  /** @throws ApiError */
  answer(scope: JsonScope): JsonAnswer | Promise<JsonAnswer>;
}

/** Takes the whole walk. */
export interface ChatRoute extends RouteBase {
  readonly walk: 'chat';
}

export type Route = JsonRoute | ChatRoute;

export class MethodNotAllowed extends ApiError {
  readonly allow: string;

  constructor(method: string, path: string, allow: string) {
    super(405, `Not allowed to ${method} on ${path}.`, { code: 'method_not_allowed' });
    this.allow = allow;
  }
}

/** Finds the route of a request among a handler's. */
export class Router<R extends RouteBase = Route> {
  readonly #routes: ReadonlyArray<{ readonly route: R; readonly pattern: RegExp }>;

  constructor(routes: readonly R[]) {
    this.#routes = routes.map((route) => ({ route, pattern: patternOf(route.path) }));
  }

  /**
   * By the resource, not the path: a custom domain's base path stands before the latter. API Gateway answers for routes
   * that it doesn't have; what arrives here nonetheless gets OpenAI's answer.
   *
   * @throws ApiError 404, 405
   */
  find(event: GatewayEvent): { readonly route: R; readonly params: Readonly<Record<string, string>> } {
    const path = event.resource.replace(/\{(\w+)\+?\}/g, (_, name: string) => event.pathParameters?.[name] ?? '');
    const matching = this.#routes.flatMap(({ route, pattern }) => {
      const match = pattern.exec(path);
      return match === null ? [] : [{ route, params: { ...match.groups } }];
    });
    const found = matching.find(({ route }) => route.method === event.httpMethod);
    if (found !== undefined) return found;
    if (matching.length === 0) {
      throw new ApiError(404, `Invalid URL (${event.httpMethod} ${event.path})`, { code: 'unknown_url' });
    }
    const allow = matching.map(({ route }) => route.method).join(', ');
    throw new MethodNotAllowed(event.httpMethod, event.path, allow);
  }
}

function patternOf(path: string): RegExp {
  const literal = path.replace(/[.*?^$()|[\]\\]/g, '\\$&');
  return new RegExp(`^${literal.replace(/\{(\w+)\}/g, '(?<$1>[^/]+)').replace(/\{(\w+)\+\}/g, '(?<$1>.+)')}$`, 's');
}
