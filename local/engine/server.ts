import { createHash, randomUUID, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { streamAnswer, usageOf, wholeAnswer } from '../model/chat-answer.ts';
import { fromChatCompletion } from '../model/openai-request.ts';
import { type ModelUsage, TextModelError } from '../model/text-model.ts';
import { countPromptTokens } from '../model/tokens.ts';
import type { EngineSettings } from './command-line.ts';
import { answerCompletion, fromCompletion } from './completions.ts';
import type { Dialect } from './dialects.ts';
import type { Engine, EngineRequest } from './engine.ts';
import { badRequest, EngineError, engineDead } from './errors.ts';

export interface EngineServerOptions {
  readonly engine: Engine;
  readonly dialect: Dialect;
}

/** An engine's HTTP surface. It doesn't listen yet: the port is closed until the weights are there. */
export function createEngineServer(options: EngineServerOptions): Server {
  const server = createServer((request, response) => {
    serve(options, request, response).catch((error: unknown) => fail(options, response, error));
  });
  server.keepAliveTimeout = options.dialect.keepAliveSeconds * 1000;
  // Otherwise Node keeps it a second longer than the engine would.
  server.keepAliveTimeoutBuffer = 0;
  return server;
}

async function serve(options: EngineServerOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { engine, dialect } = options;
  const { settings } = dialect;
  const path = new URL(request.url ?? '/', 'http://localhost').pathname;
  if (settings.requestIdHeaders) {
    response.setHeader('x-request-id', String(request.headers['x-request-id'] ?? randomUUID().replaceAll('-', '')));
  }
  if (dialect.apiKey !== undefined && dialect.guarded.test(path)) {
    if (!isKey(request.headers.authorization, dialect.apiKey)) {
      if (dialect.unauthorized === undefined) response.writeHead(401).end();
      else json(response, 401, dialect.unauthorized);
      return;
    }
  }
  const route = `${request.method} ${path}`;
  if (route === `GET ${dialect.healthPath}`) {
    if (engine.alive && dialect.healthGenerates) await generatesAToken(options, response);
    response.writeHead(engine.alive ? 200 : 503).end();
    return;
  }
  if (dialect.metricsPath !== undefined && route === `GET ${dialect.metricsPath}`) {
    response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }).end(engine.prometheus());
    return;
  }
  if (!path.startsWith('/v1/') && !dialect.extras.includes(path)) {
    json(response, 404, { detail: 'Not Found' });
    return;
  }
  switch (route) {
    case 'GET /v1/models':
      json(response, 200, { object: 'list', data: settings.servedNames.map((id) => modelCard(id, settings)) });
      return;
    case 'GET /version':
      json(response, 200, { version: 'local' });
      return;
    case 'POST /tokenize': {
      const body = fromChatCompletion(await readJson(request));
      json(response, 200, { count: countPromptTokens(body), max_model_len: settings.maxModelLen });
      return;
    }
    case 'POST /v1/chat/completions':
    case 'POST /invocations':
      await chat(options, await readJson(request), response);
      return;
    case 'POST /v1/completions':
      await complete(options, await readJson(request), response);
      return;
    default:
      json(response, 404, { detail: 'Not Found' });
  }
}

/** Behind all that wait, as SGLang's health check is. */
async function generatesAToken({ engine }: EngineServerOptions, response: ServerResponse): Promise<void> {
  const abort = new AbortController();
  response.once('close', () => abort.abort());
  const { events } = engine.generate({ ...PROBE, priority: 0, cacheSalt: '' }, abort.signal);
  for await (const _ of events);
}

const PROBE = {
  model: '',
  messages: [{ role: 'user', text: 'ok' }],
  tools: [],
  toolChoice: 'none',
  maxTokens: 1,
  stop: [],
  reasoning: false,
} as const;

async function complete(options: EngineServerOptions, body: unknown, response: ServerResponse): Promise<void> {
  const { engine, dialect } = options;
  const request = fromCompletion(body);
  const fields = engineFields(body, dialect);
  const abort = new AbortController();
  response.once('close', () => abort.abort());
  const answers = request.prompts.map((prompt) => engine.generate({ ...prompt, ...fields }, abort.signal).events);
  await answerCompletion(response, dialect.settings.servedNames[0] ?? dialect.settings.model, request, answers);
}

async function chat(options: EngineServerOptions, body: unknown, response: ServerResponse): Promise<void> {
  const { engine, dialect } = options;
  const { settings } = dialect;
  const request = toRequest(body, dialect);
  const abort = new AbortController();
  response.once('close', () => abort.abort());
  const { events, cachedTokens } = engine.generate(request, abort.signal);
  const head = {
    id: `chatcmpl-${randomUUID().replaceAll('-', '')}`,
    created: Math.floor(Date.now() / 1000),
    model: settings.servedNames[0] ?? settings.model,
  };
  const usage = (tokens: ModelUsage) => ({
    ...usageOf(tokens),
    prompt_tokens_details: settings.promptTokensDetails ? { cached_tokens: cachedTokens } : null,
  });
  if (request.stream) {
    await streamAnswer(response, head, events, { includeUsage: request.includeUsage, usage });
  } else {
    json(response, 200, await wholeAnswer(head, events, usage));
  }
}

type ChatRequest = EngineRequest & { readonly stream: boolean; readonly includeUsage: boolean };

/** @throws EngineError */
function toRequest(body: unknown, dialect: Dialect): ChatRequest {
  const { settings } = dialect;
  const request = fromChatCompletion(body);
  const { tool_choice } = body as Record<string, unknown>;
  const fields = engineFields(body, dialect);
  const auto =
    request.tools.length > 0 && (tool_choice === undefined || tool_choice === null || tool_choice === 'auto');
  if (auto && !settings.autoToolChoice) {
    throw badRequest('"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set');
  }
  return { ...request, includeUsage: request.includeUsage || settings.forceIncludeUsage, ...fields };
}

/** What engines take beside OpenAI's fields. @throws EngineError */
function engineFields(body: unknown, dialect: Dialect): { readonly priority: number; readonly cacheSalt: string } {
  const { servedNames } = dialect.settings;
  const { model = servedNames[0], priority, cache_salt } = body as Record<string, unknown>;
  if (dialect.checksModelName && !servedNames.includes(String(model))) {
    throw new EngineError(404, 'NotFoundError', `The model \`${String(model)}\` does not exist.`, 'model');
  }
  if (priority !== undefined && priority !== null && !Number.isInteger(priority)) {
    throw badRequest('Input should be a valid integer', 'priority');
  }
  if (cache_salt !== undefined && cache_salt !== null && (typeof cache_salt !== 'string' || cache_salt === '')) {
    throw badRequest("Parameter 'cache_salt' must be a non-empty string if provided.", 'cache_salt');
  }
  const given = Number(priority ?? 0);
  return { priority: dialect.higherPriorityFirst ? -given : given, cacheSalt: String(cache_salt ?? '') };
}

function modelCard(id: string, settings: EngineSettings): object {
  return {
    id,
    object: 'model',
    created: 0,
    owned_by: 'vllm',
    root: settings.model,
    parent: null,
    max_model_len: settings.maxModelLen,
  };
}

function isKey(authorization: string | undefined, key: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(authorization ?? ''), digest(`Bearer ${key}`));
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  try {
    return JSON.parse(Buffer.concat(chunks).toString());
  } catch {
    throw badRequest('There was an error parsing the body');
  }
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

/** After the head an error is an event, followed by `[DONE]`, under status 200. */
function fail({ dialect }: EngineServerOptions, response: ServerResponse, error: unknown): void {
  if (response.destroyed) return;
  const { status, body } = dialect.render(toEngineError(error));
  if (response.headersSent) response.end(`data: ${JSON.stringify(body)}\n\ndata: [DONE]\n\n`);
  else json(response, status, body);
}

function toEngineError(error: unknown): EngineError {
  if (error instanceof EngineError) return error;
  if (error instanceof TextModelError && error.status < 500) return badRequest(error.message);
  return engineDead();
}
