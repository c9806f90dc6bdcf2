import { performance } from 'node:perf_hooks';
import { createRegistry } from '../backends/registry.ts';
import { Health, type SharedBreakers } from '../failover/health.ts';
import { answerChat } from './chat.ts';
import { ClientResponse, type WithPrelude } from './client-response.ts';
import type { ServingConfig } from './config.ts';
import { ApiError } from './errors.ts';
import type { GatewayEvent, StreamingHandler } from './gateway.ts';
import { getModel, listModels } from './models.ts';
import { commonHeaders, errorHeaders, requestIdOf } from './response-headers.ts';
import { type RequestRecord, settle, stackOf } from './settle.ts';

export interface ServingDeps {
  /** Takes a line of the log, a JSON object. */
  log(line: string): void;
  /** `awslambda.HttpResponseStream.from` */
  readonly withPrelude: WithPrelude;
  /** Where processes tell each other which backends are down. Without it each finds out for itself. */
  readonly sharedBreakers?: SharedBreakers;
}

/**
 * The handler of every route. Safe for any number of invocations at once: what belongs to one lives in this function's
 * call, and what is shared (configuration, backends' connections) belongs to none.
 */
export function createServing(config: ServingConfig, deps: ServingDeps): StreamingHandler {
  const registry = createRegistry();
  const health = new Health(deps.sharedBreakers);

  return async (event, stream, context) => {
    const start = performance.now();
    const startedAt = Date.now();
    const client = new ClientResponse(stream, deps.withPrelude);
    const requestId = requestIdOf(event);
    const headers = commonHeaders(event, requestId, config);
    let record: RequestRecord | undefined;
    try {
      const target = routeOf(event);
      if (target.route === 'chat') {
        const invocationId = context.awsRequestId;
        record = {
          requestId,
          invocationId,
          startedAt,
          durationMs: 0,
          status: 0,
          attempts: [],
          bills: [],
          fallbacks: 0,
        };
        await answerChat({ config, registry, health, event, context, client, record, start, headers });
      } else {
        const body =
          target.route === 'health'
            ? { status: 'ok' }
            : target.route === 'models'
              ? listModels(event, config)
              : getModel(event, target.model, config);
        client.commit(200, { ...headers, 'content-type': 'application/json' });
        void client.write(JSON.stringify(body), client.gone);
      }
    } catch (thrown) {
      const error = thrown instanceof ApiError ? thrown : internalError(thrown, requestId);
      if (record !== undefined) record.error = error;
      if (!client.committed) {
        const allow: Record<string, string> = error instanceof MethodNotAllowed ? { allow: error.allow } : {};
        client.commit(error.status, { ...headers, ...errorHeaders(error), ...allow });
        void client.write(JSON.stringify(error.body), client.gone);
      }
    } finally {
      client.end();
      if (record !== undefined) {
        record.durationMs = performance.now() - start;
        record.status = client.status ?? 0;
        try {
          report(record);
        } catch (thrown) {
          internalError(thrown, requestId);
        }
      }
    }
  };

  /** Content, where the owner wants it, has a line of its own, made when the one that counts is out. */
  function report(record: RequestRecord): void {
    for (const line of settle(record, { namespace: config.metrics.namespace, logContent: config.logContent })) {
      deps.log(line);
    }
    if (record.content !== undefined) deps.log(record.content.line(record.requestId));
  }

  /** A fault of ours: its place goes to the log, its message (which may hold what it choked on) nowhere. */
  function internalError(thrown: unknown, requestId: string): ApiError {
    const error = thrown instanceof Error ? thrown : new Error('not an error');
    deps.log(
      JSON.stringify({
        timestamp: new Date().toISOString(),
        level: 'ERROR',
        message: 'internal error',
        request_id: requestId,
        error: error.name,
        at: stackOf(error),
      }),
    );
    return new ApiError(500, `Internal error. (request ${requestId})`, { code: 'internal_error', cause: thrown });
  }
}

type Target = { route: 'chat' } | { route: 'models' } | { route: 'health' } | { route: 'model'; model: string };

class MethodNotAllowed extends ApiError {
  readonly allow: string;

  constructor(method: string, path: string, allow: string) {
    super(405, `Not allowed to ${method} on ${path}.`, { code: 'method_not_allowed' });
    this.allow = allow;
  }
}

const MODEL_PREFIX = '/v1/models/';

/**
 * By the resource, not the path: a custom domain's base path stands before the latter. API Gateway answers for routes
 * that it doesn't have; what arrives here nonetheless gets OpenAI's answer.
 *
 * @throws ApiError 404, 405
 */
function routeOf(event: GatewayEvent): Target {
  const path = event.resource.replace(/\{(\w+)\+?\}/g, (_, name: string) => event.pathParameters?.[name] ?? '');
  const target = targetOf(path);
  if (target === undefined) {
    throw new ApiError(404, `Invalid URL (${event.httpMethod} ${event.path})`, { code: 'unknown_url' });
  }
  const allow = target.route === 'chat' ? 'POST' : 'GET';
  if (event.httpMethod !== allow) throw new MethodNotAllowed(event.httpMethod, event.path, allow);
  return target;
}

function targetOf(path: string): Target | undefined {
  if (path === '/v1/chat/completions') return { route: 'chat' };
  if (path === '/v1/models') return { route: 'models' };
  if (path === '/health') return { route: 'health' };
  if (path.startsWith(MODEL_PREFIX) && path.length > MODEL_PREFIX.length) {
    return { route: 'model', model: path.slice(MODEL_PREFIX.length) };
  }
  return undefined;
}
