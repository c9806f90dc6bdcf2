import { randomUUID } from 'node:crypto';
import type { ServingConfig } from '../contract/config.ts';
import type { ApiError } from './errors.ts';
import { type GatewayEvent, header } from './gateway.ts';

/** A client's id ends in headers and logs: nothing but what is harmless in both. */
const REQUEST_ID = /^[A-Za-z0-9._:+/=-]{1,128}$/;

/** The client's `x-request-id` when it is a sane one; else API Gateway's, which its access log has too. */
export function requestIdOf(event: GatewayEvent): string {
  const own = header(event, 'x-request-id');
  if (own !== undefined && REQUEST_ID.test(own)) return own;
  return event.requestContext.requestId ?? randomUUID();
}

/** On every response. */
export function commonHeaders(event: GatewayEvent, requestId: string, config: ServingConfig): Record<string, string> {
  return { 'x-request-id': requestId, ...corsHeaders(header(event, 'origin'), config.cors) };
}

function corsHeaders(origin: string | undefined, cors: ServingConfig['cors']): Record<string, string> {
  if (cors === undefined) return {};
  const any = cors.allowOrigins.includes('*');
  // Without an origin too: a cache must not hand one origin's answer to another.
  const vary: Record<string, string> = any ? {} : { vary: 'Origin' };
  if (origin === undefined || !(any || cors.allowOrigins.includes(origin))) return vary;
  return {
    ...vary,
    'access-control-allow-origin': any ? '*' : origin,
    'access-control-expose-headers': cors.exposeHeaders.join(', '),
  };
}

export function errorHeaders(error: ApiError): Record<string, string> {
  const headers: Record<string, string> = { ...error.headers, 'content-type': 'application/json' };
  if (error.retryAfterMs !== undefined) headers['retry-after'] = String(Math.ceil(error.retryAfterMs / 1000));
  return headers;
}
