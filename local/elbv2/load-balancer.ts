import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  Agent,
  createServer,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type Server,
  type ServerResponse,
  request as sendRequest,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ActionDefinition, ListenerDefinition, LoadBalancerDefinition } from './definition.ts';
import { actionFor } from './rules.ts';
import { stickyCookies, stickyTarget } from './stickiness.ts';
import type { Target, TargetGroup } from './target-group.ts';

export interface LoadBalancerOptions {
  readonly definition: LoadBalancerDefinition;
  /** By ARN. */
  readonly groups: ReadonlyMap<string, TargetGroup>;
}

/** An application load balancer on 127.0.0.1: a port of its own for each listener. */
export class LoadBalancer {
  readonly definition: LoadBalancerDefinition;
  readonly #groups: ReadonlyMap<string, TargetGroup>;
  readonly #agent: Agent;
  readonly #servers = new Map<ListenerDefinition, Server>();

  constructor(options: LoadBalancerOptions) {
    this.definition = options.definition;
    this.#groups = options.groups;
    this.#agent = new Agent({ keepAlive: true, timeout: options.definition.idleTimeoutMs });
  }

  async listen(): Promise<void> {
    for (const listener of this.definition.listeners) {
      const server = createServer((request, response) => this.#serve(listener, request, response));
      server.keepAliveTimeout = this.definition.idleTimeoutMs;
      // The idle time-out is the only one: a stream may last for hours.
      server.requestTimeout = 0;
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      this.#servers.set(listener, server);
    }
  }

  /** Local port by the listener's. */
  get ports(): Map<number, number> {
    return new Map(
      [...this.#servers].map(([listener, server]) => [listener.port, (server.address() as AddressInfo).port]),
    );
  }

  async close(): Promise<void> {
    for (const server of this.#servers.values()) {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    }
    this.#servers.clear();
    this.#agent.destroy();
  }

  #serve(listener: ListenerDefinition, request: IncomingMessage, response: ServerResponse): void {
    const action = actionFor(listener, request);
    if (action.type === 'fixed-response') {
      request.resume();
      response.writeHead(action.status, { server: SERVER, 'content-type': action.contentType }).end(action.body);
      return;
    }
    const group = this.#groupOf(action);
    const target = group && (stickyTarget(group, request.headers.cookie, Date.now()) ?? group.choose());
    if (group === undefined || target === undefined) refuse(request, response, 503);
    else this.#forward(listener, group, target, request, response);
  }

  #groupOf(action: ActionDefinition & { type: 'forward' }): TargetGroup | undefined {
    const total = action.groups.reduce((sum, { weight }) => sum + weight, 0);
    let at = Math.random() * total;
    const chosen = action.groups.find(({ weight }) => {
      at -= weight;
      return at < 0;
    });
    return this.#groups.get(chosen?.arn ?? '');
  }

  #forward(
    listener: ListenerDefinition,
    group: TargetGroup,
    target: Target,
    request: IncomingMessage,
    response: ServerResponse,
  ): void {
    const end = target.begin();
    let late = false;
    const upstream = sendRequest({
      host: '127.0.0.1',
      port: target.port,
      agent: this.#agent,
      method: request.method,
      path: request.url,
      headers: requestHeaders(listener, request),
      timeout: this.definition.idleTimeoutMs,
    });
    upstream.once('timeout', () => {
      late = true;
      upstream.destroy(new Error('idle'));
    });
    upstream.once('error', () => {
      end();
      if (!response.headersSent) refuse(request, response, late ? 504 : 502);
      // What began can't be taken back: the client sees a body that breaks off.
      else response.destroy();
    });
    upstream.once('response', (answer) => {
      const cookies = [...(answer.headers['set-cookie'] ?? []), ...stickyCookies(group, target, Date.now())];
      response.writeHead(answer.statusCode ?? 502, {
        ...withoutHops(answer.headers),
        ...(cookies.length === 0 ? {} : { 'set-cookie': cookies }),
      });
      answer.pipe(response);
      answer.once('end', end);
      answer.once('error', () => response.destroy());
      answer.once('close', () => {
        end();
        if (!answer.complete) response.destroy();
      });
    });
    // A client that leaves is noticed by the target, too.
    response.once('close', () => {
      if (!response.writableFinished) upstream.destroy();
      end();
    });
    request.pipe(upstream);
  }
}

const SERVER = 'awselb/2.0';

const REASONS = { 502: 'Bad Gateway', 503: 'Service Temporarily Unavailable', 504: 'Gateway Time-out' } as const;

function refuse(request: IncomingMessage, response: ServerResponse, status: keyof typeof REASONS): void {
  request.resume();
  const title = `${status} ${REASONS[status]}`;
  const body = `<html>\r\n<head><title>${title}</title></head>\r\n<body>\r\n<center><h1>${title}</h1></center>\r\n</body>\r\n</html>\r\n`;
  response.writeHead(status, { server: SERVER, 'content-type': 'text/html' }).end(body);
}

const HOPS = ['connection', 'keep-alive', 'proxy-authenticate', 'proxy-connection', 'te', 'trailer', 'upgrade'];

function withoutHops(headers: Readonly<Record<string, string | string[] | undefined>>): OutgoingHttpHeaders {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !HOPS.includes(name)));
}

function requestHeaders(listener: ListenerDefinition, request: IncomingMessage): OutgoingHttpHeaders {
  const forwarded = request.headers['x-forwarded-for'];
  const client = request.socket.remoteAddress ?? '';
  const trace = `Root=1-${Math.floor(Date.now() / 1000).toString(16)}-${randomBytes(12).toString('hex')}`;
  return {
    ...withoutHops(request.headers),
    'x-forwarded-for': forwarded === undefined ? client : `${String(forwarded)}, ${client}`,
    'x-forwarded-proto': listener.protocol.toLowerCase(),
    'x-forwarded-port': String(listener.port),
    'x-amzn-trace-id': request.headers['x-amzn-trace-id'] ?? trace,
  };
}
