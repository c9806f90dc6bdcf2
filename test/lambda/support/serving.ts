import { loadConfig } from '../../../lambda/contract/config.ts';
import type { GatewayEvent } from '../../../lambda/serving/gateway.ts';
import { createServing, type ServingDeps } from '../../../lambda/serving/serve.ts';
import type { BackendConfig, ModelConfig, ServingConfig } from '../../../lib/private/serving-config.ts';
import { type HttpAnswer, LambdaStream, parseAnswer, withPrelude } from './lambda-stream.ts';

export const KEY_ID = 'key123';

export const PRICE = { input: 1, output: 2, cachedInput: 0.5, cacheWrite: 1.25 };

export function openAiBackend(baseUrl: string, overrides: object = {}): BackendConfig {
  return {
    id: 'first',
    kind: 'openai-compatible',
    baseUrl,
    auth: { type: 'none' },
    headers: {},
    unsupportedParameters: [],
    maxTokensParameter: 'max_completion_tokens',
    streamUsage: true,
    price: PRICE,
    deadlines: { connectMs: 500, firstTokenMs: 2000, betweenTokensMs: 2000 },
    ...overrides,
  };
}

export const staticBackend = (text = 'Please come back later.'): BackendConfig => ({
  id: 'sorry',
  kind: 'static-reply',
  text,
  price: { input: 0, output: 0, cachedInput: 0, cacheWrite: 0 },
  deadlines: { connectMs: 500, firstTokenMs: 2000, betweenTokensMs: 2000 },
});

export const model = (backends: BackendConfig[], overrides: Partial<ModelConfig> = {}): ModelConfig => ({
  name: 'chat',
  aliases: [],
  ownedBy: 'tests',
  created: 1_700_000_000,
  backends,
  ...overrides,
});

export interface ConfigOverrides extends Partial<Omit<ServingConfig, 'limits'>> {
  readonly limits?: Partial<ServingConfig['limits']>;
}

export function servingConfig(models: readonly ModelConfig[], overrides: ConfigOverrides = {}): ServingConfig {
  return {
    version: 1,
    models,
    tiers: [{ name: 'standard' }],
    features: ['search'],
    metrics: { namespace: 'LlmServing' },
    logContent: false,
    ...overrides,
    limits: {
      maxRequestBytes: 1_000_000,
      totalTimeoutMs: 10_000,
      wholeAnswerTimeoutMs: 5000,
      headersWaitMs: 3000,
      keepAliveMs: 3000,
      ...overrides.limits,
    },
  };
}

export interface EventOptions {
  readonly headers?: Record<string, string>;
  readonly apiKeyId?: string | null;
  readonly body?: string;
  readonly queryStringParameters?: Readonly<Record<string, string>>;
}

export function gatewayEvent(httpMethod: string, path: string, options: EventOptions = {}): GatewayEvent {
  const model = /^\/v1\/models\/(.+)$/.exec(path)?.[1];
  return {
    httpMethod,
    resource: model === undefined ? path : '/v1/models/{model}',
    path,
    pathParameters: model === undefined ? null : { model },
    headers: options.headers ?? null,
    multiValueHeaders: null,
    body: options.body ?? null,
    queryStringParameters: options.queryStringParameters ?? null,
    requestContext: {
      requestId: '11111111-2222-3333-4444-555555555555',
      identity: { apiKeyId: options.apiKeyId === undefined ? KEY_ID : options.apiKeyId },
    },
  };
}

export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: string | null;
  };
}

/** A request's answer as its client sees it. */
export class Exchange implements HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly stream: LambdaStream;

  constructor(stream: LambdaStream) {
    const answer = parseAnswer(stream.raw);
    this.status = answer.status;
    this.headers = answer.headers;
    this.body = answer.body;
    this.stream = stream;
  }

  get json(): ErrorBody & Record<string, never> {
    return JSON.parse(this.body);
  }

  /** Data of the events, parsed; `[DONE]` as it is. */
  get events(): Array<string | Record<string, unknown>> {
    return eventsOf(this.body);
  }
}

export interface CallOptions extends EventOptions {
  readonly stream?: LambdaStream;
  readonly remainingMs?: number;
}

/** The handler of a deployment, with its log. */
export function deploy(config: ServingConfig, env: Record<string, string> = {}, deps: Partial<ServingDeps> = {}) {
  const log: Array<Record<string, never>> = [];
  const lines: string[] = [];
  const handler = createServing(loadConfig(JSON.stringify(config), env), {
    log: (line) => {
      lines.push(line);
      log.push(JSON.parse(line));
    },
    withPrelude,
    ...deps,
  });

  async function call(method: string, path: string, options: CallOptions = {}): Promise<Exchange> {
    const stream = options.stream ?? new LambdaStream();
    const context = { awsRequestId: 'invocation', getRemainingTimeInMillis: () => options.remainingMs ?? 900_000 };
    await handler(gatewayEvent(method, path, options), stream, context);
    if (!stream.writableFinished && !stream.destroyed) await new Promise((resolve) => stream.once('finish', resolve));
    return new Exchange(stream);
  }

  const chat = (body: object | string, options: CallOptions = {}): Promise<Exchange> =>
    call('POST', '/v1/chat/completions', {
      ...options,
      body: options.body ?? (typeof body === 'string' ? body : JSON.stringify(body)),
    });

  return {
    handler,
    call,
    chat,
    log,
    lines,
    requestLog: () => log.filter((line) => line.message === 'chat completion'),
  };
}

/** Fails on anything that is not a whole event or a comment. */
export function eventsOf(body: string): Array<string | Record<string, unknown>> {
  if (!body.endsWith('\n\n')) throw new Error(`the stream ends in the middle of an event: ${body.slice(-80)}`);
  return body
    .split('\n\n')
    .filter((event) => event !== '' && !event.startsWith(':'))
    .map((event) => {
      if (!event.startsWith('data: ')) throw new Error(`not an event: ${event}`);
      const data = event.slice('data: '.length);
      return data === '[DONE]' ? data : (JSON.parse(data) as Record<string, unknown>);
    });
}

/** The answer's text out of its events. */
export const textOf = (events: ReadonlyArray<string | Record<string, unknown>>): string =>
  events
    .map((event) => {
      if (typeof event === 'string') return '';
      const [choice] = (event.choices ?? []) as Array<{ delta?: { content?: string | null } }>;
      return choice?.delta?.content ?? '';
    })
    .join('');

export const HELLO = { model: 'chat', messages: [{ role: 'user', content: 'hello' }] };
