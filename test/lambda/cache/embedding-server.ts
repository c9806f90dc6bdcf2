import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SemanticCacheConfig } from '../../../lib/private/serving-config.ts';
import { simulatedEmbedding } from '../../../local/model/embedding.ts';

const DIMENSIONS = 64;

/** An embeddings server: vectors by words, or such as the test says. */
export class EmbeddingServer {
  readonly #server: Server;
  readonly texts: string[] = [];
  /** Texts with one vector. */
  same: readonly string[] = [];
  delayMs = 0;
  status = 200;
  dimensions = DIMENSIONS;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(): Promise<EmbeddingServer> {
    const server = createServer();
    const self = new EmbeddingServer(server);
    server.on('request', async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const { input } = JSON.parse(Buffer.concat(chunks).toString()) as { input: string };
      self.texts.push(input);
      if (self.delayMs > 0) await sleep(self.delayMs);
      const text = self.same.includes(input) ? 'one and the same' : input;
      const body = {
        data: [{ embedding: simulatedEmbedding(text, self.dimensions) }],
        usage: { prompt_tokens: 10, total_tokens: 10 },
      };
      response.writeHead(self.status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return self;
  }

  /** 10 tokens a text at a dollar per million: 0.00001 USD each. */
  semantic(overrides: Partial<SemanticCacheConfig> = {}): SemanticCacheConfig {
    return {
      embedding: {
        ...{ kind: 'openai-compatible', id: 'embedding-test', dimensions: DIMENSIONS, price: 1, model: 'test' },
        baseUrl: `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/v1`,
        ...{ auth: { type: 'none' }, headers: {}, sendDimensions: false },
      },
      threshold: 0.9,
      guards: 'strict',
      // A busy machine isn't a slow embedding.
      timeoutMs: 5000,
      ...{ minCharacters: 5, maxCharacters: 600, maxTurns: 1, tools: false, structuredOutput: false },
      ...overrides,
    };
  }

  reset(): void {
    this.texts.length = 0;
    Object.assign(this, { same: [], delayMs: 0, status: 200, dimensions: DIMENSIONS });
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
