import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { Readable } from 'node:stream';
import { afterAll } from 'vitest';
import type { Invoke } from '../../../local/apigateway/authorizer.ts';
import type {
  AuthorizerDefinition,
  LambdaIntegration,
  MethodDefinition,
  RestApiDefinition,
} from '../../../local/apigateway/definition.ts';
import { RestApi } from '../../../local/apigateway/rest-api.ts';

const running: RestApi[] = [];
afterAll(() => Promise.all(running.map((api) => api.close())));

export const KEY = 'k'.repeat(40);

export const lambda = (overrides: Partial<LambdaIntegration> = {}): LambdaIntegration => ({
  type: 'AWS_PROXY',
  functionArn: 'arn:api',
  responseTransferMode: 'BUFFERED',
  timeoutMs: 29_000,
  ...overrides,
});

export const method = (overrides: Partial<MethodDefinition> = {}): MethodDefinition => ({
  httpMethod: 'GET',
  apiKeyRequired: false,
  authorizer: undefined,
  integration: lambda(),
  requestModels: {},
  requestParameters: {},
  validateBody: false,
  validateParameters: false,
  ...overrides,
});

export const authorizer = (overrides: Partial<AuthorizerDefinition> = {}): AuthorizerDefinition => ({
  id: 'auth',
  type: 'REQUEST',
  functionArn: 'arn:authorizer',
  identitySources: ['method.request.header.Authorization'],
  identityValidation: undefined,
  cacheSeconds: 0,
  ...overrides,
});

/** Resources from `GET /path` to the method's definition. */
export function definition(
  methods: Readonly<Record<string, MethodDefinition>>,
  overrides: Partial<RestApiDefinition> = {},
): RestApiDefinition {
  const resources = new Map<string, Map<string, MethodDefinition>>();
  for (const [route, item] of Object.entries(methods)) {
    const [verb = '', path = ''] = route.split(' ');
    const ofPath = resources.get(path) ?? new Map<string, MethodDefinition>();
    resources.set(path, ofPath.set(verb, { ...item, httpMethod: verb }));
  }
  return {
    id: 'api1234567',
    account: '111122223333',
    region: 'eu-west-1',
    name: 'test',
    apiKeySource: 'HEADER',
    binaryMediaTypes: [],
    idleTimeoutMs: 300_000,
    stage: { name: 'prod', variables: {}, accessLogFormat: undefined, methodThrottles: [] },
    resources: [...resources].map(([path, ofPath]) => ({ path, methods: ofPath })),
    models: [],
    gatewayResponses: [],
    usagePlans: [
      { id: 'plan', throttle: undefined, quota: undefined, methodThrottles: {}, keyIds: ['key1', 'disabled'] },
    ],
    apiKeys: [
      { id: 'key1', name: 'one', value: KEY, enabled: true },
      { id: 'disabled', name: 'two', value: 'd'.repeat(40), enabled: false },
      { id: 'planless', name: 'three', value: 'p'.repeat(40), enabled: true },
    ],
    ...overrides,
  };
}

/** What the functions got, and the lines of the access log. */
export interface Running {
  readonly url: string;
  readonly events: Array<Record<string, unknown>>;
  readonly accessLog: string[];
  /** What API Gateway reported as failures. */
  readonly failures: Error[];
}

/** An API on a port of its own. By default its function answers with the event. */
export async function start(api: RestApiDefinition, invoke: Invoke = echo): Promise<Running> {
  const events: Array<Record<string, unknown>> = [];
  const accessLog: string[] = [];
  const failures: Error[] = [];
  const server = new RestApi({
    api,
    invoke: (arn, event) => {
      events.push(event as Record<string, unknown>);
      return invoke(arn, event);
    },
    accessLog: (line) => accessLog.push(line),
    failure: (_, error) => failures.push(error),
  });
  running.push(server);
  return { url: `http://127.0.0.1:${await server.listen(0)}`, events, accessLog, failures };
}

export const echo: Invoke = async (_, event) => buffered({ statusCode: 200, body: JSON.stringify(event) });

export function buffered(answer: unknown): Awaited<ReturnType<Invoke>> {
  return { kind: 'buffered', requestId: 'r', payload: Buffer.from(JSON.stringify(answer)) };
}

/** A streamed answer of these chunks, each `gapMs` after the one before; an error among them breaks the stream. */
export function streaming(
  chunks: ReadonlyArray<string | Buffer | Error>,
  gapMs = 0,
): Extract<Awaited<ReturnType<Invoke>>, { kind: 'streaming' }> {
  async function* generate(): AsyncGenerator<Buffer> {
    for (const chunk of chunks) {
      if (gapMs > 0) await new Promise((resolve) => setTimeout(resolve, gapMs));
      if (chunk instanceof Error) throw chunk;
      yield Buffer.from(chunk);
    }
  }
  return {
    kind: 'streaming',
    requestId: 'r',
    contentType: 'x',
    body: Readable.from(generate(), { objectMode: false }),
  };
}

export const NULS = '\0'.repeat(8);

/** A client without fetch's conveniences: header spelling, methods and paths go out as given. */
export function send(
  url: string,
  options: { method?: string; path?: string; headers?: Record<string, string>; body?: string | Buffer } = {},
): Promise<{ status: number; headers: IncomingHttpHeaders; body: string; aborted: boolean }> {
  const { hostname, port, pathname, search } = new URL(url);
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      {
        hostname,
        port,
        path: options.path ?? pathname + search,
        method: options.method ?? 'GET',
        headers: options.headers ?? {},
        agent: false,
      },
      (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          body += chunk;
        });
        response.on('error', () => {});
        response.on('close', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body,
            aborted: !response.complete,
          }),
        );
      },
    );
    request.on('error', reject);
    request.end(options.body);
  });
}
