import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { PassThrough } from 'node:stream';
import { FunctionError, type InvocationResponse, MAX_SYNCHRONOUS_PAYLOAD } from './invocation.ts';

/** One event on its way through a runtime. */
export interface PendingInvocation {
  readonly requestId: string;
  readonly event: Buffer;
  /** Unix milliseconds. */
  readonly deadline: number;
  readonly functionArn: string;
  answered(response: InvocationResponse): void;
  failed(error: FunctionError): void;
  /** The whole answer has been sent, or the failure reported. */
  completed(): void;
}

export interface RuntimeApiEvents {
  /** A runtime asks for work: after its initialization, and again after each invocation. */
  onNext(): void;
  onInitError(error: FunctionError): void;
}

const BASE = '/2018-06-01/runtime';

/**
 * The documented Lambda Runtime API of one execution environment (the client knows a host and port, no path):
 * https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
 */
export class RuntimeApi {
  readonly #server: Server;
  readonly #events: RuntimeApiEvents;
  readonly #waiting: ServerResponse[] = [];
  readonly #queue: PendingInvocation[] = [];
  readonly #running = new Map<string, PendingInvocation>();

  constructor(events: RuntimeApiEvents) {
    this.#events = events;
    this.#server = createServer((request, response) => this.#route(request, response));
    // A long poll and a streamed answer last as long as they last.
    this.#server.requestTimeout = 0;
    this.#server.headersTimeout = 0;
    this.#server.keepAliveTimeout = 0;
  }

  /** Resolves to `host:port`. */
  async listen(): Promise<string> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    const { port } = this.#server.address() as AddressInfo;
    return `127.0.0.1:${port}`;
  }

  offer(invocation: PendingInvocation): void {
    this.#queue.push(invocation);
    this.#deliver();
  }

  /** The runtime is gone: everything that it had, or would have had, fails. */
  fail(error: FunctionError): void {
    const all = [...this.#running.values(), ...this.#queue.splice(0)];
    this.#running.clear();
    for (const invocation of all) {
      invocation.failed(error);
      invocation.completed();
    }
  }

  /** Forgets one invocation (its time is up); what the runtime still sends for it is dropped. */
  abandon(requestId: string): void {
    this.#running.delete(requestId);
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #deliver(): void {
    while (this.#queue.length > 0) {
      const poll = this.#waiting.shift();
      if (poll === undefined) return;
      if (poll.destroyed) continue;
      const invocation = this.#queue.shift();
      if (invocation === undefined) return;
      this.#running.set(invocation.requestId, invocation);
      poll.writeHead(200, {
        'content-type': 'application/json',
        'content-length': invocation.event.length,
        'lambda-runtime-aws-request-id': invocation.requestId,
        'lambda-runtime-deadline-ms': String(invocation.deadline),
        'lambda-runtime-invoked-function-arn': invocation.functionArn,
        'lambda-runtime-trace-id': traceId(),
      });
      poll.end(invocation.event);
    }
  }

  #route(request: IncomingMessage, response: ServerResponse): void {
    const path = request.url ?? '';
    request.on('error', () => {});
    if (request.method === 'GET' && path === `${BASE}/invocation/next`) {
      this.#waiting.push(response);
      this.#events.onNext();
      this.#deliver();
      return;
    }
    if (request.method === 'POST' && path === `${BASE}/init/error`) {
      void readAll(request).then((body) => {
        accept(response);
        this.#events.onInitError(functionError(body, header(request, 'lambda-runtime-function-error-type')));
      }, ignore);
      return;
    }
    const match = /^\/2018-06-01\/runtime\/invocation\/([^/]+)\/(response|error)$/.exec(path);
    const invocation = match?.[1] === undefined ? undefined : this.#running.get(decodeURIComponent(match[1]));
    if (request.method !== 'POST' || match === null || invocation === undefined) {
      request.resume();
      reply(response, match === null ? 404 : 400, {
        errorType: 'InvalidRequestID',
        errorMessage: 'Invalid request ID',
      });
      return;
    }
    if (match[2] === 'error') {
      void readAll(request).then((body) => {
        accept(response);
        invocation.failed(functionError(body, header(request, 'lambda-runtime-function-error-type')));
        this.#complete(invocation);
      }, ignore);
    } else if (header(request, 'lambda-runtime-function-response-mode') === 'streaming') {
      this.#stream(invocation, request, response);
    } else {
      void readAll(request).then((payload) => this.#buffered(invocation, payload, response), ignore);
    }
  }

  #buffered(invocation: PendingInvocation, payload: Buffer, response: ServerResponse): void {
    if (payload.length > MAX_SYNCHRONOUS_PAYLOAD) {
      const error = new FunctionError(
        'Function.ResponseSizeTooLarge',
        `Response payload size (${payload.length} bytes) exceeded maximum allowed payload size (${MAX_SYNCHRONOUS_PAYLOAD} bytes).`,
      );
      reply(response, 413, error.payload);
      invocation.failed(error);
    } else {
      accept(response);
      invocation.answered({ kind: 'buffered', requestId: invocation.requestId, payload });
    }
    this.#complete(invocation);
  }

  /** Chunks leave as they come; a failure after the first of them is in the trailers. */
  #stream(invocation: PendingInvocation, request: IncomingMessage, response: ServerResponse): void {
    const body = new PassThrough();
    // Whoever reads the body gets the error; nobody may be reading any more.
    body.on('error', () => {});
    invocation.answered({
      kind: 'streaming',
      requestId: invocation.requestId,
      contentType: header(request, 'content-type') ?? 'application/octet-stream',
      body,
    });
    request.pipe(body, { end: false });
    request.on('end', () => {
      const type = request.trailers['lambda-runtime-function-error-type'];
      if (type === undefined) {
        body.end();
      } else {
        const encoded = request.trailers['lambda-runtime-function-error-body'] ?? '';
        body.destroy(functionError(Buffer.from(encoded, 'base64'), type));
      }
      accept(response);
      this.#complete(invocation);
    });
    // Nobody reads on: the function is not to notice.
    body.on('close', () => request.resume());
    request.on('close', () => {
      if (request.complete) return;
      body.destroy(new FunctionError('Runtime.TruncatedResponse', 'the response stream was destroyed before its end'));
      this.#complete(invocation);
    });
  }

  #complete(invocation: PendingInvocation): void {
    this.#running.delete(invocation.requestId);
    invocation.completed();
  }
}

function functionError(body: Buffer, type: string | undefined): FunctionError {
  let message = body.toString('utf8');
  let parsedType: string | undefined;
  try {
    const parsed: unknown = JSON.parse(message);
    if (typeof parsed === 'object' && parsed !== null) {
      if ('errorMessage' in parsed) message = String(parsed.errorMessage);
      if ('errorType' in parsed) parsedType = String(parsed.errorType);
    }
  } catch {
    // A runtime may report whatever it likes; the text itself is the message then.
  }
  return new FunctionError(parsedType ?? type ?? 'Error', message);
}

function accept(response: ServerResponse): void {
  reply(response, 202, { status: 'OK' });
}

function reply(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

function header(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

async function readAll(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function traceId(): string {
  const hex = (length: number): string =>
    Array.from({ length }, () => Math.floor(Math.random() * 16).toString(16)).join('');
  return `Root=1-${Math.floor(Date.now() / 1000).toString(16)}-${hex(24)};Parent=${hex(16)};Sampled=0`;
}

/** A connection that broke is the end of a process, and that is handled where the process is watched. */
function ignore(): void {}
