import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface UpstreamRequest {
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: Record<string, unknown> & { readonly stream_options?: Record<string, unknown> };
}

export type Answerer = (
  response: ServerResponse,
  request: UpstreamRequest,
  incoming: IncomingMessage,
) => void | Promise<void>;

/** A server of the test's own that speaks the protocol, well or badly. */
export class Upstream {
  readonly requests: UpstreamRequest[] = [];
  readonly server: Server;
  connections = 0;
  /** Requests whose connection was closed before the answer had ended. */
  abandoned = 0;
  #answer: Answerer;

  private constructor(answer: Answerer) {
    this.#answer = answer;
    this.server = createServer(async (incoming, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of incoming) chunks.push(chunk as Buffer);
      const request = {
        path: incoming.url ?? '',
        headers: incoming.headers,
        body: JSON.parse(Buffer.concat(chunks).toString()),
      };
      this.requests.push(request);
      response.on('close', () => {
        if (!response.writableFinished) this.abandoned += 1;
      });
      await this.#answer(response, request, incoming);
    });
    this.server.on('connection', () => {
      this.connections += 1;
    });
  }

  static async start(answer: Answerer): Promise<Upstream> {
    const upstream = new Upstream(answer);
    await new Promise<void>((resolve) => upstream.server.listen(0, '127.0.0.1', resolve));
    return upstream;
  }

  set answer(answer: Answerer) {
    this.#answer = answer;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/v1`;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export const chunk = (delta: object, finishReason: string | null = null, more: object = {}): string =>
  `data: ${JSON.stringify({
    id: 'chatcmpl-up',
    object: 'chat.completion.chunk',
    created: 1,
    model: 'up-model',
    choices: [{ index: 0, delta, finish_reason: finishReason }],
    ...more,
  })}\n\n`;

export const usageChunk = (prompt: number, completion: number, cached = 0): string =>
  `data: ${JSON.stringify({
    id: 'chatcmpl-up',
    object: 'chat.completion.chunk',
    created: 1,
    model: 'up-model',
    choices: [],
    usage: {
      prompt_tokens: prompt,
      completion_tokens: completion,
      total_tokens: prompt + completion,
      prompt_tokens_details: { cached_tokens: cached },
    },
  })}\n\n`;

export const ROLE = chunk({ role: 'assistant', content: '' });
export const DONE = 'data: [DONE]\n\n';

export function sse(response: ServerResponse): ServerResponse {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  return response;
}

/** A well-behaved answer: streamed or whole, as it was asked for. */
export const answerText =
  (text: string, options: { pauseMs?: number } = {}): Answerer =>
  async (response, { body }) => {
    const words = text.split(/(?<= )/);
    if (body.stream !== true) {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(
        JSON.stringify({
          id: 'chatcmpl-up',
          object: 'chat.completion',
          created: 1,
          model: 'up-model',
          choices: [{ index: 0, message: { role: 'assistant', content: text }, finish_reason: 'stop' }],
          usage: { prompt_tokens: 10, completion_tokens: words.length, total_tokens: 10 + words.length },
        }),
      );
      return;
    }
    sse(response).write(ROLE);
    for (const word of words) {
      if (options.pauseMs) await sleep(options.pauseMs);
      response.write(chunk({ content: word }));
    }
    response.write(chunk({}, 'stop'));
    if (body.stream_options?.include_usage) response.write(usageChunk(10, words.length, 4));
    response.end(DONE);
  };

export const answerStatus =
  (
    status: number,
    body: string | object = { error: { message: 'no', type: 't', param: null, code: null } },
    headers = {},
  ): Answerer =>
  (response) => {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    response.writeHead(status, {
      'content-type': typeof body === 'string' ? 'text/html' : 'application/json',
      ...headers,
    });
    response.end(text);
  };
