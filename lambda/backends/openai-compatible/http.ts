import { Agent, type IncomingMessage, type RequestOptions, request as requestHttp } from 'node:http';
import type { Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import type { Readable } from 'node:stream';
import { BackendError } from '../backend.ts';
import { Exchange } from '../stale-connection.ts';

export interface HttpCall {
  readonly backend: string;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** DNS, TCP and TLS. */
  readonly connectMs: number;
  /** Until the response's headers, from now. */
  readonly headersMs: number | undefined;
  /** Told when the request has been written to a connection. */
  readonly onSent: (() => void) | undefined;
  readonly signal: AbortSignal;
}

export interface HttpResponse {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  /** Decompressed; destroying it frees the connection. */
  readonly body: Readable;
}

export interface HttpClient {
  /** @throws BackendError of kind connection, timeout or aborted */
  post(call: HttpCall): Promise<HttpResponse>;
}

/**
 * `node:http` with connections kept open, rather than `fetch`: deadlines of its own for connecting, and about half the
 * processor time a streamed answer. TLS is loaded only for https.
 */
export async function createHttpClient(url: URL): Promise<HttpClient> {
  const options = { keepAlive: true, scheduling: 'lifo', maxFreeSockets: 256 } as const;
  if (url.protocol !== 'https:') {
    const agent = new Agent(options);
    return { post: (call) => post(requestHttp, { agent }, call, false) };
  }
  const https = await import('node:https');
  const agent = new https.Agent(options);
  return { post: (call) => post(https.request, { agent }, call, false) };
}

type Request = typeof requestHttp;

function post(request: Request, base: RequestOptions, call: HttpCall, isRetry: boolean): Promise<HttpResponse> {
  const { promise, resolve, reject } = Promise.withResolvers<HttpResponse>();
  const { backend, signal } = call;
  const outgoing = request(call.url, {
    ...base,
    // A connection that died while it lay idle (a frozen function, a server's restart) is found out by using it.
    ...(isRetry ? { agent: false } : {}),
    method: 'POST',
    headers: { ...call.headers, 'content-length': call.body.length },
  });
  const started = performance.now();
  let exchange: Exchange | undefined;
  const timers: NodeJS.Timeout[] = [];
  const after = (ms: number, what: string) =>
    timers.push(
      setTimeout(() => fail(new BackendError(backend, 'timeout', `${what} took longer than ${Math.round(ms)} ms`)), ms),
    );
  const settle = () => {
    for (const timer of timers) clearTimeout(timer);
    signal.removeEventListener('abort', abort);
  };
  const fail = (error: BackendError) => {
    settle();
    reject(error);
    outgoing.destroy(error);
  };
  const abort = () => fail(new BackendError(backend, 'aborted', 'the request was given up', { cause: signal.reason }));

  outgoing.once('socket', (socket: Socket) => {
    if (outgoing.reusedSocket) exchange = new Exchange(socket);
    if (!socket.connecting) return;
    after(call.connectMs, 'connecting');
    const connecting = timers[timers.length - 1];
    socket.once(call.url.protocol === 'https:' ? 'secureConnect' : 'connect', () => clearTimeout(connecting));
  });
  if (call.onSent !== undefined) outgoing.once('finish', call.onSent);
  outgoing.once('response', (incoming) => {
    settle();
    decoded(incoming, backend).then(
      (body) => resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body }),
      (error) => {
        incoming.destroy();
        reject(error);
      },
    );
  });
  outgoing.on('error', (cause: NodeJS.ErrnoException) => {
    settle();
    if (exchange?.wasStale() && cause.code === 'ECONNRESET' && !signal.aborted && !isRetry) {
      const leftMs = call.headersMs && Math.max(1, call.headersMs - (performance.now() - started));
      resolve(post(request, base, { ...call, headersMs: leftMs }, true));
    } else {
      reject(new BackendError(backend, 'connection', `connection failed: ${cause.code ?? cause.message}`, { cause }));
    }
  });
  if (signal.aborted) {
    abort();
  } else {
    signal.addEventListener('abort', abort, { once: true });
    if (call.headersMs !== undefined) after(call.headersMs, 'waiting for the response');
    outgoing.end(call.body);
  }
  return promise;
}

/** Some servers compress although `identity` was asked for. */
async function decoded(incoming: IncomingMessage, backend: string): Promise<Readable> {
  const encoding = incoming.headers['content-encoding']?.trim().toLowerCase();
  if (encoding === undefined || encoding === '' || encoding === 'identity') return incoming;
  const zlib = await import('node:zlib');
  const makers: Readonly<Record<string, () => NodeJS.ReadWriteStream>> = {
    gzip: zlib.createGunzip,
    'x-gzip': zlib.createGunzip,
    deflate: zlib.createInflate,
    br: zlib.createBrotliDecompress,
    zstd: zlib.createZstdDecompress,
  };
  const make = Object.hasOwn(makers, encoding) ? makers[encoding] : undefined;
  if (make === undefined) {
    throw new BackendError(
      backend,
      'protocol',
      `the response has the unknown content encoding${/^[\w-]{1,40}$/.test(encoding) ? ` '${encoding}'` : ''}`,
    );
  }
  const { pipeline } = await import('node:stream');
  const decoder = make();
  // Errors of either end up on the decoder, and destroying it destroys the connection.
  pipeline(incoming, decoder, () => {});
  return decoder as unknown as Readable;
}

/**
 * @param withinMs from now; without it only the signal bounds it
 * @throws BackendError when it is larger than the limit, takes longer, or breaks off
 */
export async function readBody(
  backend: string,
  response: HttpResponse,
  maxBytes: number,
  signal: AbortSignal,
  withinMs?: number,
): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  const late = () =>
    response.body.destroy(
      new BackendError(backend, 'timeout', 'the response did not end in the time for a first token'),
    );
  const timer = withinMs === undefined ? undefined : setTimeout(late, withinMs);
  const abort = () => response.body.destroy();
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  try {
    for await (const chunk of response.body as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > maxBytes) throw new BackendError(backend, 'protocol', `the response exceeds ${maxBytes} bytes`);
      chunks.push(chunk);
    }
    if (signal.aborted) throw signal.reason;
    return Buffer.concat(chunks, length);
  } catch (cause) {
    if (cause instanceof BackendError) throw cause;
    if (signal.aborted) throw new BackendError(backend, 'aborted', 'the request was given up', { cause });
    throw new BackendError(backend, 'connection', 'the response broke off', { cause });
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
  }
}
