import type { Writable } from 'node:stream';

/** What the path reads of an API Gateway REST API's Lambda proxy event (payload version 1.0). */
export interface GatewayEvent {
  readonly httpMethod: string;
  /** The route's template: `/v1/models/{model}`. */
  readonly resource: string;
  readonly path: string;
  readonly pathParameters?: Readonly<Record<string, string | undefined>> | null;
  readonly headers?: Readonly<Record<string, string | undefined>> | null;
  readonly multiValueHeaders?: Readonly<Record<string, readonly string[] | undefined>> | null;
  readonly queryStringParameters?: Readonly<Record<string, string | undefined>> | null;
  readonly body?: string | null;
  readonly requestContext: {
    readonly requestId?: string;
    readonly identity?: { readonly apiKeyId?: string | null };
  };
}

export interface InvocationContext {
  readonly awsRequestId?: string;
  getRemainingTimeInMillis(): number;
}

/** The status line and headers: what the runtime puts before the body. */
export interface Prelude {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string>>;
}

export type StreamingHandler = (event: GatewayEvent, stream: Writable, context: InvocationContext) => Promise<void>;

declare global {
  /** Global of Lambda's Node.js runtime. */
  const awslambda: {
    streamifyResponse(handler: StreamingHandler): StreamingHandler;
    readonly HttpResponseStream: { from(stream: Writable, prelude: Prelude): Writable };
  };
}

/** A header's value whatever the case of its name; the first one of several. */
export function header(event: GatewayEvent, name: string): string | undefined {
  for (const [key, value] of Object.entries(event.headers ?? {})) {
    if (value !== undefined && key.toLowerCase() === name) return value;
  }
  for (const [key, values] of Object.entries(event.multiValueHeaders ?? {})) {
    if (values?.[0] !== undefined && key.toLowerCase() === name) return values[0];
  }
  return undefined;
}
