import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Writable } from 'node:stream';
import { loadConfig } from '../../lambda/contract/config.ts';
import type { Prelude } from '../../lambda/serving/gateway.ts';
import { createServing, type ServingDeps } from '../../lambda/serving/serve.ts';
import type { ServingConfig } from '../../lib/private/serving-config.ts';
import { gatewayEvent } from '../lambda/support/serving.ts';

export interface TestGateway {
  /** For the SDK's `baseURL`. */
  readonly url: string;
  readonly log: Array<Record<string, unknown>>;
  close(): Promise<void>;
}

/**
 * The handler behind a plain HTTP server, for clients that speak HTTP.
 *
 * @param deps what the process shares, where a test breaks that: a ledger, a cache
 */
export async function startGateway(
  config: ServingConfig,
  env: Record<string, string> = {},
  deps: Partial<ServingDeps> = {},
): Promise<TestGateway> {
  const log: Array<Record<string, unknown>> = [];
  const handler = createServing(loadConfig(JSON.stringify(config), env), {
    ...deps,
    log: (line) => log.push(JSON.parse(line) as Record<string, unknown>),
    withPrelude: (stream, prelude) => {
      (stream as ResponseStream).begin(prelude);
      return stream;
    },
  });
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const event = gatewayEvent(request.method ?? '', request.url ?? '', { body: Buffer.concat(chunks).toString() });
    await handler(event, new ResponseStream(response), { getRemainingTimeInMillis: () => 60_000 });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    log,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

class ResponseStream extends Writable {
  readonly #response: ServerResponse;

  constructor(response: ServerResponse) {
    super();
    this.#response = response;
    response.once('close', () => response.writableFinished || this.destroy());
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
