import { randomBytes, randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

/** One request, as API Gateway sees it when it has read it all. */
export interface GatewayRequest {
  readonly requestId: string;
  /** `x-amz-apigw-id` */
  readonly extendedRequestId: string;
  readonly traceId: string;
  /** Unix milliseconds. */
  readonly receivedAt: number;
  readonly httpMethod: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: RequestHeaders;
  readonly sourceIp: string;
  readonly protocol: string;
  readonly body: Buffer;
}

/** Headers in the spelling in which the client sent them. */
export class RequestHeaders {
  readonly #values = new Map<string, { readonly name: string; readonly values: string[] }>();

  constructor(raw: readonly string[]) {
    for (let index = 0; index + 1 < raw.length; index += 2) this.add(raw[index] ?? '', raw[index + 1] ?? '');
  }

  add(name: string, value: string): void {
    const known = this.#values.get(name.toLowerCase());
    if (known === undefined) this.#values.set(name.toLowerCase(), { name, values: [value] });
    else known.values.push(value);
  }

  /** The last of several; names match in any case. */
  get(name: string): string | undefined {
    return this.#values.get(name.toLowerCase())?.values.at(-1);
  }

  single(): Record<string, string> {
    return Object.fromEntries([...this.#values.values()].map(({ name, values }) => [name, values.at(-1) ?? '']));
  }

  multi(): Record<string, string[]> {
    return Object.fromEntries([...this.#values.values()].map(({ name, values }) => [name, values]));
  }
}

export function gatewayRequest(message: IncomingMessage, body: Buffer, receivedAt: number): GatewayRequest {
  const { path, query } = splitTarget(message.url ?? '/');
  const headers = new RequestHeaders(message.rawHeaders);
  const sourceIp = message.socket.remoteAddress?.replace(/^::ffff:/, '') ?? '127.0.0.1';
  const traceId = `Root=1-${Math.floor(receivedAt / 1000).toString(16)}-${randomBytes(12).toString('hex')}`;
  headers.add('X-Amzn-Trace-Id', traceId);
  headers.add('X-Forwarded-For', sourceIp);
  headers.add('X-Forwarded-Port', String(message.socket.localPort ?? ''));
  headers.add('X-Forwarded-Proto', 'http');
  return {
    requestId: randomUUID(),
    extendedRequestId: `${randomBytes(11).toString('base64url')}=`,
    traceId,
    receivedAt,
    httpMethod: message.method ?? 'GET',
    path,
    query,
    headers,
    sourceIp,
    protocol: `HTTP/${message.httpVersion}`,
    body,
  };
}

/** Not by URL: it would take `//x` for a host, and refuse others. A target may be a whole URL, which proxies send. */
function splitTarget(target: string): { path: string; query: URLSearchParams } {
  const [, rest = target] = /^https?:\/\/[^/?#]*(.*)$/i.exec(target) ?? [];
  const mark = rest.indexOf('?');
  const path = mark < 0 ? rest : rest.slice(0, mark);
  return { path: path === '' ? '/' : path, query: new URLSearchParams(mark < 0 ? '' : rest.slice(mark + 1)) };
}

export type Parameters = Record<string, string>;

/** `null` when there are none, as in the events that functions get. */
export function queryParameters(query: URLSearchParams): {
  single: Parameters | null;
  multi: Record<string, string[]> | null;
} {
  const names = [...new Set(query.keys())];
  if (names.length === 0) return { single: null, multi: null };
  return {
    single: Object.fromEntries(names.map((name) => [name, query.getAll(name).at(-1) ?? ''])),
    multi: Object.fromEntries(names.map((name) => [name, query.getAll(name)])),
  };
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** `22/Nov/2026:20:03:10 +0000` */
export function logTime(time: number): string {
  const date = new Date(time);
  const two = (value: number): string => String(value).padStart(2, '0');
  const day = `${two(date.getUTCDate())}/${MONTHS[date.getUTCMonth()]}/${date.getUTCFullYear()}`;
  return `${day}:${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())} +0000`;
}
