import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TextModel } from '../model/text-model.ts';
import { converseAnswer, converseEvents, type StreamEvent } from './answer.ts';
import { isRecord } from './converse-shapes.ts';
import { type AnyRequest, type AnyResponse, listenDual } from './dual-protocol-server.ts';
import { embeddingAnswer } from './embeddings.ts';
import { invalid, ServiceError, toServiceError } from './errors.ts';
import { encodeEvent, encodeException } from './event-stream.ts';
import type { Fault, Faults, RuntimeRequest } from './faults.ts';
import { PromptCache } from './prompt-cache.ts';
import { toGenerateRequest } from './to-model.ts';
import { readConverse } from './validation.ts';

export type { Fault, Faults, RuntimeRequest, StreamException } from './faults.ts';

export interface BedrockRuntimeOptions {
  readonly model: TextModel;
  /** @default '127.0.0.1' */
  readonly host?: string;
  /** @default 0, any free port */
  readonly port?: number;
  /** What goes wrong, on purpose. @default - nothing */
  readonly faults?: Faults;
  /** Sees each request that was understood, before it is answered. */
  readonly onRequest?: (request: RuntimeRequest) => void;
}

export interface BedrockRuntime {
  /** For `AWS_ENDPOINT_URL_BEDROCK_RUNTIME`. */
  readonly url: string;
  close(): Promise<void>;
}

/** `POST /model/{modelId}/converse`, `…/converse-stream` and `…/invoke`; the id is percent-encoded, ARNs with their slashes too. */
const ROUTE = /^\/model\/([^/]+)\/(converse|converse-stream|invoke)$/;

const OPERATIONS = { converse: 'Converse', 'converse-stream': 'ConverseStream', invoke: 'InvokeModel' } as const;
/** Ids, versioned ids, inference profiles, ARNs (API reference, Converse: modelId). */
const MODEL_ID = /^(arn:aws[a-z-]*:bedrock:[\w:/.-]+|[a-z0-9-]+\.?[\w.:-]{1,256})$/;
/** The service's limit of a request. */
const MAX_BODY_BYTES = 25 * 1024 * 1024;

/**
 * Bedrock Runtime on this machine: Converse and ConverseStream over HTTP/2 (cleartext) and HTTP/1.1, with the
 * service's validation, errors, event stream and prompt caching. The text comes from the given model. InvokeModel for text
 * embeddings, with simulated vectors.
 */
export async function startBedrockRuntime(options: BedrockRuntimeOptions): Promise<BedrockRuntime> {
  const host = options.host ?? '127.0.0.1';
  const cache = new PromptCache();
  let served = 0;
  const server = await listenDual(
    (request, response) => {
      const abort = new AbortController();
      response.once('close', () => abort.abort());
      const requestId = randomUUID();
      answer(request, response, requestId, abort.signal).catch((error: unknown) => {
        fail(response, requestId, error);
      });
    },
    options.port ?? 0,
    host,
  );

  async function answer(
    request: AnyRequest,
    response: AnyResponse,
    requestId: string,
    signal: AbortSignal,
  ): Promise<void> {
    const { modelId, operation } = route(request);
    const streamed = operation === 'ConverseStream';
    const raw = await readBody(request);
    const seen: RuntimeRequest = {
      modelId,
      operation,
      httpVersion: request.httpVersion,
      headers: request.headers,
      body: raw,
    };
    const fault = options.faults?.(seen, served);
    served += 1;
    options.onRequest?.(seen);
    if (fault?.type === 'error') {
      throw new ServiceError(fault.name, fault.message ?? 'a fault on purpose', fault.retryAfterSeconds);
    }
    if (operation === 'InvokeModel') {
      if (fault) return misbehave(fault, response, signal, server.cut);
      const result = JSON.stringify(embeddingAnswer(modelId, raw));
      respond(response, 200, { 'content-type': 'application/json', 'x-amzn-requestid': requestId });
      response.end(result);
      return;
    }
    const body = readConverse(raw);
    const use = cache.use(modelId, body);
    const events = options.model.generate(toGenerateRequest(modelId, body), signal);
    if (!streamed) {
      if (fault) return misbehave(fault, response, signal, server.cut);
      const result = JSON.stringify(await converseAnswer(events, use));
      respond(response, 200, { 'content-type': 'application/json', 'x-amzn-requestid': requestId });
      response.end(result);
      return;
    }
    await stream(response, requestId, converseEvents(events, use), signal, fault, server.cut);
  }

  return { url: `http://${host}:${server.port}`, close: () => server.close() };
}

async function stream(
  response: AnyResponse,
  requestId: string,
  events: AsyncIterable<StreamEvent>,
  signal: AbortSignal,
  fault: Fault | undefined,
  cut: (response: AnyResponse) => void,
): Promise<void> {
  let sent = 0;
  const head = () =>
    respond(response, 200, {
      'content-type': 'application/vnd.amazon.eventstream',
      'x-amzn-requestid': requestId,
    });
  if (fault && 'afterEvents' in fault && fault.afterEvents === 0) {
    if (fault.type === 'exception' || fault.type === 'end') head();
    return misbehave(fault, response, signal, cut);
  }
  for await (const event of events) {
    // The status goes with the first event, so that an error of the model before it keeps its own.
    if (sent === 0) head();
    write(response, encodeEvent(event.type, event.payload));
    sent += 1;
    if (fault && 'afterEvents' in fault && fault.afterEvents === sent) return misbehave(fault, response, signal, cut);
  }
  response.end();
}

async function misbehave(
  fault: Fault,
  response: AnyResponse,
  signal: AbortSignal,
  cut: (response: AnyResponse) => void,
): Promise<void> {
  switch (fault.type) {
    case 'exception':
      write(response, encodeException(fault.name, fault.message ?? 'a fault on purpose'));
      response.end();
      return;
    case 'cut':
      // What was written is on its way first: a reset would take it back.
      await sleep(20);
      cut(response);
      return;
    case 'end':
      response.end();
      return;
    default:
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  }
}

function route(request: AnyRequest): { modelId: string; operation: RuntimeRequest['operation'] } {
  const path = new URL(request.url ?? '/', 'http://localhost').pathname;
  const match = ROUTE.exec(path);
  if (request.method !== 'POST' || !match)
    throw new ServiceError('UnknownOperationException', `${request.method} ${path}`);
  if (!/^(AWS4-HMAC-SHA256|Bearer) /.test(request.headers.authorization ?? '')) {
    throw new ServiceError('MissingAuthenticationTokenException', 'Missing Authentication Token');
  }
  const modelId = decodeURIComponent(match[1] ?? '');
  if (!MODEL_ID.test(modelId)) throw invalid('The provided model identifier is invalid.');
  return { modelId, operation: OPERATIONS[match[2] as keyof typeof OPERATIONS] };
}

async function readBody(request: AnyRequest): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += (chunk as Buffer).length;
    if (size > MAX_BODY_BYTES) throw invalid('Input is too long for requested model.');
    chunks.push(chunk as Buffer);
  }
  try {
    const body: unknown = JSON.parse(Buffer.concat(chunks).toString());
    if (isRecord(body)) return body;
  } catch {
    // As for a body that is JSON but no object.
  }
  throw new ServiceError('ValidationException', 'The body is not a JSON object.');
}

function fail(response: AnyResponse, requestId: string, thrown: unknown): void {
  if (response.closed || response.destroyed) return;
  const error = toServiceError(thrown);
  if (response.headersSent) {
    const name = `${error.name.charAt(0).toLowerCase()}${error.name.slice(1)}`;
    write(response, encodeException(name, error.message));
    response.end();
    return;
  }
  respond(response, error.status, {
    'content-type': 'application/json',
    'x-amzn-requestid': requestId,
    'x-amzn-errortype': error.name,
    ...(error.retryAfterSeconds !== undefined && { 'retry-after': String(error.retryAfterSeconds) }),
  });
  response.end(JSON.stringify({ message: error.message }));
}

/** The two protocols' responses have the same methods, but TypeScript can't call overloads through their union. */
function respond(response: AnyResponse, status: number, headers: Record<string, string>): void {
  response.statusCode = status;
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
}

function write(response: AnyResponse, bytes: Uint8Array): void {
  (response as { write(chunk: Uint8Array): boolean }).write(bytes);
}
