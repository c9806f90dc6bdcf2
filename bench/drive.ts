import { performance } from 'node:perf_hooks';
import type { LocalFunction } from '../local/lambda/local-function.ts';

/** In the first event that carries text. Before it comes one with a role alone, which tells a reader nothing. */
const FIRST_TOKEN = ' token0';

export interface Timing {
  /** From the invocation to the first event with text. */
  readonly firstTokenMs: number;
  readonly wholeMs: number;
}

/**
 * One streamed chat completion, as API Gateway would ask for it. Throws unless it came whole.
 *
 * @param question what makes it another request than the others
 */
export async function streamOnce(target: LocalFunction, question = ''): Promise<Timing> {
  const start = performance.now();
  const answer = await target.invokeStreaming(chatEvent(question));
  let firstTokenMs: number | undefined;
  let body = '';
  for await (const piece of answer.body) {
    body += (piece as Buffer).toString();
    if (firstTokenMs === undefined && body.includes(FIRST_TOKEN)) firstTokenMs = performance.now() - start;
  }
  if (firstTokenMs === undefined || !body.includes('"statusCode":200') || !body.trimEnd().endsWith('data: [DONE]')) {
    throw new Error(`not a whole answer: ${body.slice(0, 300)}`);
  }
  return { firstTokenMs, wholeMs: performance.now() - start };
}

const bodyOf = (question: string): string =>
  JSON.stringify({
    model: 'bench',
    stream: true,
    stream_options: { include_usage: true },
    messages: [
      { role: 'system', content: 'You are a helpful assistant. Answer briefly.' },
      { role: 'user', content: 'Why does a stream of tokens feel faster than a whole answer? '.repeat(8) + question },
    ],
  });

/** A REST API's Lambda proxy event. */
function chatEvent(question: string): object {
  const headers = {
    accept: 'application/json',
    authorization: 'Bearer 0123456789012345678901234567890123456789',
    'content-type': 'application/json',
    host: '127.0.0.1',
    'user-agent': 'OpenAI/JS',
    'x-stainless-lang': 'js',
  };
  return {
    resource: '/v1/chat/completions',
    path: '/v1/chat/completions',
    httpMethod: 'POST',
    headers,
    multiValueHeaders: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [value]])),
    queryStringParameters: null,
    multiValueQueryStringParameters: null,
    pathParameters: null,
    stageVariables: null,
    requestContext: {
      accountId: '000000000000',
      apiId: 'bench',
      httpMethod: 'POST',
      path: '/v1/v1/chat/completions',
      protocol: 'HTTP/1.1',
      requestId: '11111111-2222-3333-4444-555555555555',
      requestTimeEpoch: 1_780_000_000_000,
      resourcePath: '/v1/chat/completions',
      stage: 'v1',
      identity: { apiKey: '0123456789012345678901234567890123456789', apiKeyId: 'abcdefghij', sourceIp: '127.0.0.1' },
    },
    body: bodyOf(question),
    isBase64Encoded: false,
  };
}
