import type { AddressInfo } from 'node:net';
import { createServer, type Server, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../lambda/cache/eventually.ts';
import { cacheConfig, startCacheGateway } from '../lambda/cache/gateway.ts';
import { model, openAiBackend, servingConfig } from '../lambda/support/serving.ts';
import { answerStatus, Upstream } from '../lambda/support/upstream.ts';
import { HEALTHY_TEXT, healthy } from './catalog.ts';
import { ask, billed } from './drive.ts';

/** Milliseconds that a command, and a connection, may take in these tests. */
const TIMEOUT = 50;
const CONNECT = 100;

let up: Upstream;
let broken: Upstream;
beforeAll(async () => {
  [up, broken] = await Promise.all([Upstream.start(healthy), Upstream.start(answerStatus(500))]);
});
afterAll(() => Promise.all([up.stop(), broken.stop()]));

/** Servers that are no caches. */
const FAULTS: Readonly<Record<string, ((socket: Socket) => void) | undefined>> = {
  down: undefined,
  'hanging after it took the connection': () => undefined,
  'slower than its deadline': (socket) => {
    socket.on('data', () => setTimeout(() => socket.destroyed || socket.write('+OK\r\n'), 20 * TIMEOUT));
  },
  'cutting each connection': (socket) => socket.destroy(),
  'talking garbage': (socket) => {
    socket.on('data', () => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'));
  },
  'out of memory': (socket) => {
    socket.on('data', () => socket.write("-OOM command not allowed when used memory > 'maxmemory'.\r\n"));
  },
};

describe.each(Object.entries(FAULTS))('a cache that is %s', (_, behave) => {
  let server: Server;
  const sockets = new Set<Socket>();
  let endpoint = 'redis://127.0.0.1:9';
  beforeAll(async () => {
    if (behave === undefined) return;
    server = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
      behave(socket);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    endpoint = `redis://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(async () => {
    if (behave === undefined) return;
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });

  test.each([true, false])('costs no answer, and no time once it is known (streamed: %s)', async (stream) => {
    const cache = cacheConfig(endpoint, { timeoutMs: TIMEOUT, connectTimeoutMs: CONNECT });
    const gateway = await startCacheGateway(servingConfig([model([openAiBackend(up.url)])], { cache } as never));
    for (let n = 0; n < 6; n++) {
      expect(await ask(gateway, stream)).toMatchObject({ text: HEALTHY_TEXT, backend: 'first', error: undefined });
    }
    await eventually(() => expect(billed(gateway.log, 'Requests', 'first')).toBe(6));
    const lines = gateway.requests();
    expect(lines.map((line) => line.cache)).toEqual(Array.from({ length: 6 }, () => 'bypass'));
    expect(lines.every((line) => line.CacheErrors === 1)).toBe(true);
    // Looking up, the breakers' state and keeping: each may take its deadline, and no more.
    for (const line of lines) expect(line.Duration).toBeLessThan(1000);
    await gateway.close();
  });

  test.each([true, false])('and a first backend that fails: the next one answers (streamed: %s)', async (stream) => {
    const cache = cacheConfig(endpoint, { timeoutMs: TIMEOUT, connectTimeoutMs: CONNECT });
    const backends = [openAiBackend(broken.url), openAiBackend(up.url, { id: 'second' })];
    const gateway = await startCacheGateway(servingConfig([model(backends)], { cache } as never));
    expect(await ask(gateway, stream)).toMatchObject({ text: HEALTHY_TEXT, backend: 'second', error: undefined });
    await gateway.close();
  });
});
