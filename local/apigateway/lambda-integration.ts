import type { ServerResponse } from 'node:http';
import { performance } from 'node:perf_hooks';
import { buffer } from 'node:stream/consumers';
import { isObject, type Json } from '../cloudformation/template.ts';
import { type InvocationResponse, RequestTooLargeError, ThrottledError } from '../lambda/invocation.ts';
import type { Invoke } from './authorizer.ts';
import type { GatewayContext } from './context.ts';
import type { LambdaIntegration } from './definition.ts';
import { GatewayError } from './gateway-error.ts';
import { headersOf, type Prelude, PreludeError, PreludeParser, statusOf } from './prelude.ts';

export type Headers = ReadonlyArray<readonly [name: string, value: string]>;

/** Sends status and headers; the body, whose length may be known, is written to the response afterwards. */
export type SendHead = (status: number, headers: Headers, length?: number) => void;

export interface ProxyCall {
  readonly integration: LambdaIntegration;
  readonly event: unknown;
  readonly invoke: Invoke;
  readonly context: GatewayContext;
  readonly response: ServerResponse;
  readonly sendHead: SendHead;
  /** A stream that is silent for so long is cut: 5 minutes on regional and private endpoints, 30 s on edge ones. */
  readonly idleTimeoutMs: number;
}

/** The stream broke after its head was sent: the client sees a truncated body. */
export class BrokenStreamError extends Error {
  override readonly name = 'BrokenStreamError';
}

/**
 * Invokes a function and passes on what it answers, whole or as it comes. A function isn't interrupted when the client
 * goes away or the integration times out.
 * @throws GatewayError before the head was sent, BrokenStreamError afterwards
 */
export async function proxyToLambda(call: ProxyCall): Promise<void> {
  const { integration, context } = call;
  const started = performance.now();
  const elapsed = (): number => Math.round(performance.now() - started);
  const deadline = Promise.withResolvers<'late'>();
  const timer = setTimeout(() => deadline.resolve('late'), integration.timeoutMs);
  const streamed = integration.responseTransferMode === 'STREAM';
  context.set('integration.responseTransferMode', streamed ? 'STREAMED' : 'BUFFERED');
  try {
    const answer = invocation(call);
    const response = await Promise.race([answer, deadline.promise]);
    if (response === 'late') {
      // Its answer is nobody's any more.
      answer.then(discard, () => {});
      throw new GatewayError('INTEGRATION_TIMEOUT');
    }
    context.set('integration.requestId', response.requestId);
    context.set('awsEndpointRequestId', response.requestId);
    context.set('integration.integrationStatus', 200);
    if (streamed) await stream(call, response, deadline.promise, elapsed);
    else await whole(call, response, deadline.promise);
  } finally {
    clearTimeout(timer);
    context.set('integration.latency', elapsed());
    context.set('integrationLatency', elapsed());
  }
}

async function invocation({ integration, event, invoke, context }: ProxyCall): Promise<InvocationResponse> {
  try {
    return await invoke(integration.functionArn, event);
  } catch (cause) {
    if (cause instanceof RequestTooLargeError) throw new GatewayError('REQUEST_TOO_LARGE', { cause });
    context.set('integration.error', cause instanceof Error ? cause.message : String(cause));
    // A throttled function is a 500 for the client of a proxy integration, every other failure a 502.
    throw new GatewayError('INTEGRATION_FAILURE', { cause, status: cause instanceof ThrottledError ? 500 : 502 });
  }
}

async function whole({ response, sendHead, context }: ProxyCall, answer: InvocationResponse, late: Promise<'late'>) {
  let parsed: { prelude: Prelude; body: Buffer };
  try {
    const payload = answer.kind === 'buffered' ? answer.payload : await Promise.race([buffer(answer.body), late]);
    if (payload === 'late') {
      discard(answer);
      throw new GatewayError('INTEGRATION_TIMEOUT');
    }
    parsed = parseProxyAnswer(payload);
  } catch (cause) {
    if (cause instanceof GatewayError) throw cause;
    context.set('integration.error', cause instanceof Error ? cause.message : String(cause));
    throw new GatewayError('INTEGRATION_FAILURE', { cause, status: 502 });
  }
  context.set('integration.status', parsed.prelude.statusCode);
  context.set('responseLength', parsed.body.length);
  sendHead(parsed.prelude.statusCode, parsed.prelude.headers, parsed.body.length);
  response.end(parsed.body);
}

function parseProxyAnswer(payload: Buffer): { prelude: Prelude; body: Buffer } {
  const answer = JSON.parse(payload.toString('utf8')) as Json;
  if (!isObject(answer)) throw new PreludeError('the answer is no object');
  const known = ['statusCode', 'headers', 'multiValueHeaders', 'body', 'isBase64Encoded', 'cookies'];
  if (Object.keys(answer).some((key) => !known.includes(key))) throw new PreludeError('the answer has unknown keys');
  const { body } = answer;
  if (body !== undefined && body !== null && typeof body !== 'string') throw new PreludeError('body is no string');
  const { cookies: _, ...rest } = answer;
  return {
    prelude: { statusCode: statusOf(answer.statusCode), headers: headersOf(rest) },
    body: Buffer.from(body ?? '', answer.isBase64Encoded === true ? 'base64' : 'utf8'),
  };
}

async function stream(call: ProxyCall, answer: InvocationResponse, late: Promise<'late'>, elapsed: () => number) {
  const { response, context } = call;
  const chunks = chunksOf(answer)[Symbol.asyncIterator]();
  const parser = new PreludeParser();
  let headSent = false;
  let length = 0;
  const fail = (cause: unknown): Error => {
    context.set('integration.error', cause instanceof Error ? cause.message : String(cause));
    if (headSent) return new BrokenStreamError('the stream broke off', { cause });
    return cause instanceof GatewayError ? cause : new GatewayError('INTEGRATION_FAILURE', { cause, status: 502 });
  };
  try {
    while (true) {
      const next = await beforeSilence(Promise.race([chunks.next(), late]), call.idleTimeoutMs);
      if (next === 'late') throw new GatewayError('INTEGRATION_TIMEOUT');
      if (next.done) break;
      let content: Buffer = next.value;
      if (!headSent) {
        const parsed = parser.push(content);
        if (parsed === undefined) continue;
        context.set('integration.status', parsed.prelude.statusCode);
        context.set('integration.timeToAllHeaders', elapsed());
        call.sendHead(parsed.prelude.statusCode, parsed.prelude.headers);
        response.flushHeaders();
        headSent = true;
        content = parsed.rest;
      }
      if (content.length === 0) continue;
      if (length === 0) context.set('integration.timeToFirstContent', elapsed());
      length += content.length;
      context.set('responseLength', length);
      // A client that is gone doesn't stop the function: the rest goes nowhere.
      if (response.destroyed) continue;
      if (!response.write(content)) await drained(response);
    }
    if (!headSent) throw new PreludeError('the stream ended before its metadata did');
  } catch (error) {
    discard(answer);
    throw fail(error);
  }
  response.end();
}

async function* chunksOf(answer: InvocationResponse): AsyncGenerator<Buffer> {
  // A handler that doesn't stream gives its whole answer at once; it has no delimiter unless the handler made one.
  if (answer.kind === 'buffered') yield answer.payload;
  else for await (const chunk of answer.body) yield chunk as Buffer;
}

async function beforeSilence<T>(promise: Promise<T>, limitMs: number): Promise<T> {
  const silence = Promise.withResolvers<never>();
  const timer = setTimeout(() => silence.reject(new GatewayError('INTEGRATION_TIMEOUT')), limitMs);
  try {
    return await Promise.race([promise, silence.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Resolves when more can be written, or nobody reads any more. */
function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      response.off('drain', done).off('close', done);
      resolve();
    };
    response.on('drain', done).on('close', done);
  });
}

/** Nobody wants the rest; the function goes on undisturbed. */
function discard(answer: InvocationResponse): void {
  if (answer.kind === 'streaming') answer.body.destroy();
}
