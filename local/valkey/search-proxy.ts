import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { Redis } from 'iovalkey';
import { encodeReply, RespReader, wordsOf } from './resp.ts';
import type { ValkeyServer } from './server.ts';
import { VectorSearch } from './vector-search.ts';

/**
 * Puts vector search in front of a Valkey that has none: `FT.…` is answered here, all else by the server, and replies keep
 * the order of their commands. Closing it closes the server.
 *
 * @param searching what answers, over a connection to that server
 */
export async function withVectorSearch(
  server: ValkeyServer,
  searching: (client: Redis) => VectorSearch = (client) => new VectorSearch(client),
): Promise<ValkeyServer> {
  const own = new Redis({ host: '127.0.0.1', port: server.port, lazyConnect: true });
  own.on('error', () => undefined);
  await own.connect();
  const search = searching(own);
  const sockets = new Set<Socket>();
  const proxy = createServer((client) => {
    const upstream = connect(server.port, '127.0.0.1');
    sockets.add(client).add(upstream);
    serve(client, upstream, search);
    for (const socket of [client, upstream]) {
      socket.once('close', () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const { port } = proxy.address() as AddressInfo;
  return {
    ...{ port, pid: server.pid, url: `redis://127.0.0.1:${port}` },
    program: `${server.program} with vector search by exact comparison`,
    close: async () => {
      own.disconnect();
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => proxy.close(resolve));
      await server.close();
    },
  };
}

function serve(client: Socket, upstream: Socket, search: VectorSearch): void {
  /** Replies that are due, in the order of their commands; those that aren't there yet are `undefined`. */
  const due: Array<{ bytes: Buffer | undefined }> = [];
  const flush = (): void => {
    while (due[0]?.bytes !== undefined) client.write(due.shift()?.bytes as Buffer);
  };
  /** Those among them that the server answers, in its order. */
  const forwarded: Array<{ bytes: Buffer | undefined }> = [];
  const commands = new RespReader();
  const replies = new RespReader();
  client.on('error', () => undefined);
  upstream.on('error', () => undefined);
  client.on('data', (chunk: Buffer) => {
    for (const command of commands.push(chunk)) {
      const slot: { bytes: Buffer | undefined } = { bytes: undefined };
      due.push(slot);
      const words = wordsOf(command);
      if (!/^FT\./i.test(String(words[0]))) {
        forwarded.push(slot);
        upstream.write(command);
        continue;
      }
      const run = search.run(words.map((word) => Buffer.from(word)));
      void run
        .catch((error: unknown) => new Error(`ERR ${error instanceof Error ? error.message : error}`))
        .then((reply) => {
          slot.bytes = encodeReply(reply);
          flush();
        });
    }
  });
  upstream.on('data', (chunk: Buffer) => {
    for (const reply of replies.push(chunk)) {
      const slot = forwarded.shift();
      if (slot !== undefined) slot.bytes = Buffer.from(reply);
    }
    flush();
  });
}
