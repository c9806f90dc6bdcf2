import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { streamAnswer, wholeAnswer } from './chat-answer.ts';
import { embeddingTokens, simulatedEmbedding } from './embedding.ts';
import { fromChatCompletion } from './openai-request.ts';
import { type TextModel, TextModelError } from './text-model.ts';

export interface OpenAiServerOptions {
  readonly model: TextModel;
  /** @default 0, any free port */
  readonly port?: number;
  /** @default '127.0.0.1' */
  readonly host?: string;
  /** Requests need `Authorization: Bearer <apiKey>`. @default - open */
  readonly apiKey?: string;
  /** What `GET /v1/models` lists; any name is accepted. @default 'local' */
  readonly modelName?: string;
}

export interface RunningServer {
  /** Without a trailing slash or `/v1`. */
  readonly url: string;
  close(): Promise<void>;
}

/**
 * A small OpenAI-compatible server over a text model: `POST /v1/chat/completions` and `GET /v1/models`;
 * `POST /v1/embeddings` with simulated vectors.
 */
export async function startOpenAiServer(options: OpenAiServerOptions): Promise<RunningServer> {
  const server = createServer((request, response) => {
    serve(options, request, response).catch((error: unknown) => fail(response, error));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, options.host ?? '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${options.host ?? '127.0.0.1'}:${port}`,
    close: () =>
      new Promise<void>((resolve, reject) => {
        server.close((error) => (error ? reject(error) : resolve()));
        server.closeAllConnections();
      }),
  };
}

async function serve(options: OpenAiServerOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = new URL(request.url ?? '/', 'http://localhost').pathname;
  if (options.apiKey !== undefined && request.headers.authorization !== `Bearer ${options.apiKey}`) {
    throw new TextModelError(401, 'incorrect API key provided');
  }
  if (request.method === 'GET' && path === '/v1/models') {
    const model = { id: options.modelName ?? 'local', object: 'model', created: 0, owned_by: 'local' };
    json(response, 200, { object: 'list', data: [model] });
    return;
  }
  if (request.method === 'POST' && path === '/v1/embeddings') {
    json(response, 200, embeddings(await readJson(request)));
    return;
  }
  if (request.method !== 'POST' || path !== '/v1/chat/completions') {
    throw new TextModelError(404, `no such route: ${request.method} ${path}`);
  }
  const body = fromChatCompletion(await readJson(request));
  const abort = new AbortController();
  response.once('close', () => abort.abort());
  const head = { id: `chatcmpl-${randomUUID()}`, created: Math.floor(Date.now() / 1000), model: body.model };
  const events = options.model.generate(body, abort.signal);
  if (body.stream) await streamAnswer(response, head, events, { includeUsage: body.includeUsage });
  else json(response, 200, await wholeAnswer(head, events));
}

const DIMENSIONS = 384;

function embeddings(body: unknown): object {
  const { model, input, dimensions = DIMENSIONS } = body as { model?: string; input?: unknown; dimensions?: number };
  const texts = Array.isArray(input) ? input : [input];
  if (!texts.every((text) => typeof text === 'string' && text !== '')) {
    throw new TextModelError(400, "'input' must be a text or a list of texts");
  }
  const tokens = texts.reduce((sum, text) => sum + embeddingTokens(text), 0);
  return {
    object: 'list',
    model,
    data: texts.map((text, index) => ({ object: 'embedding', index, embedding: simulatedEmbedding(text, dimensions) })),
    usage: { prompt_tokens: tokens, total_tokens: tokens },
  };
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  try {
    return JSON.parse(Buffer.concat(chunks).toString());
  } catch (error) {
    throw new TextModelError(400, 'the body is not JSON', { cause: error });
  }
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

function fail(response: ServerResponse, error: unknown): void {
  const status = error instanceof TextModelError ? error.status : 500;
  const message = error instanceof Error ? error.message : String(error);
  const type = status >= 500 ? 'server_error' : status === 401 ? 'authentication_error' : 'invalid_request_error';
  const body = { error: { message, type, param: null, code: status === 401 ? 'invalid_api_key' : null } };
  if (!response.headersSent) json(response, status, body);
  else response.end(`data: ${JSON.stringify(body)}\n\n`);
}
