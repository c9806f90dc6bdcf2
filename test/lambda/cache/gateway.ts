import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Writable } from 'node:stream';
import type { Cache } from '../../../lambda/cache/contract.ts';
import { createCache } from '../../../lambda/cache/index.ts';
import { loadConfig } from '../../../lambda/contract/config.ts';
import type { Prelude } from '../../../lambda/serving/gateway.ts';
import { createServing } from '../../../lambda/serving/serve.ts';
import type { CacheConfig, CachePolicyConfig, ServingConfig } from '../../../lib/private/serving-config.ts';
import { gatewayEvent } from '../support/serving.ts';

export const POLICY: CachePolicyConfig = {
  enabled: true,
  ttlMs: 60_000,
  scope: 'consumer',
  requireSeed: false,
  tools: true,
  maxRequestBytes: 1_000_000,
  maxAnswerBytes: 1_000_000,
  compressAboveBytes: 4096,
  paceMs: 0,
  version: '',
};

export const cacheConfig = (endpoint: string, overrides: Partial<CacheConfig> = {}): CacheConfig => ({
  endpoint,
  auth: { type: 'none' },
  deployment: 'test',
  // A busy machine isn't a slow cache.
  timeoutMs: 5000,
  connectTimeoutMs: 5000,
  policy: POLICY,
  ...overrides,
});

export interface CacheGateway {
  /** For the SDK's `baseURL`; the API key is the key's id. */
  readonly url: string;
  readonly log: Array<Record<string, unknown>>;
  readonly cache: Cache;
  requests(): Array<Record<string, unknown>>;
  close(): Promise<void>;
}

/** A process of the gateway behind a plain HTTP server: the API key stands for its id. */
export async function startCacheGateway(
  config: ServingConfig,
  env: Record<string, string> = {},
): Promise<CacheGateway> {
  const log: Array<Record<string, unknown>> = [];
  const loaded = loadConfig(JSON.stringify(config), env);
  if (loaded.cache === undefined) throw new Error('the configuration has no cache');
  const cache = createCache(loaded.cache, env);
  const handler = createServing(loaded, {
    log: (line) => log.push(JSON.parse(line) as Record<string, unknown>),
    cache,
    withPrelude: (stream, prelude) => {
      (stream as ResponseStream).begin(prelude);
      return stream;
    },
  });
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const apiKeyId = request.headers.authorization?.replace('Bearer ', '') ?? null;
    const event = gatewayEvent(request.method ?? '', request.url ?? '', {
      body: Buffer.concat(chunks).toString(),
      apiKeyId,
      headers: request.headers as Record<string, string>,
    });
    await handler(event, new ResponseStream(response), { getRemainingTimeInMillis: () => 60_000 });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    log,
    cache,
    requests: () => log.filter((line) => line.message === 'chat completion'),
    close: async () => {
      cache.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

class ResponseStream extends Writable {
  readonly #response: ServerResponse;

  constructor(response: ServerResponse) {
    super();
    this.#response = response;
    response.once('close', () => response.writableFinished || this.destroy(new Error('the client is gone')));
  }

  begin({ statusCode, headers }: Prelude): void {
    this.#response.writeHead(statusCode, headers);
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#response.write(chunk, done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#response.end(done);
  }
}
