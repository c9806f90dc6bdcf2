import { createServer as createHttp1, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createHttp2, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2';
import { type AddressInfo, createServer, type Socket } from 'node:net';

export type AnyRequest = IncomingMessage | Http2ServerRequest;
export type AnyResponse = ServerResponse | Http2ServerResponse;

export interface DualProtocolServer {
  readonly port: number;
  /** Breaks the connection under a response, without a farewell. */
  cut(response: AnyResponse): void;
  close(): Promise<void>;
}

/** What a client that knows the server speaks HTTP/2 sends first (RFC 9113, section 3.4). */
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

/** HTTP/2 cleartext (prior knowledge) and HTTP/1.1 on one port: AWS SDKs use the one or the other by language. */
export async function listenDual(
  handler: (request: AnyRequest, response: AnyResponse) => void,
  port: number,
  host: string,
): Promise<DualProtocolServer> {
  const http1 = createHttp1(handler);
  const http2 = createHttp2(handler);
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    sniff(socket, (isHttp2) => (isHttp2 ? http2 : http1).emit('connection', socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    cut: (response) => {
      // HTTP/2 gives only a proxy of its socket, which may not be destroyed.
      const remotePort = response.socket?.remotePort;
      for (const socket of sockets) if (socket.remotePort === remotePort) socket.resetAndDestroy();
    },
    close: () =>
      new Promise((resolve, reject) => {
        server.close((error) => (error ? reject(error) : resolve()));
        for (const socket of sockets) socket.destroy();
      }),
  };
}

function sniff(socket: Socket, decide: (isHttp2: boolean) => void): void {
  let seen = Buffer.alloc(0);
  const onReadable = () => {
    for (let chunk = socket.read(); chunk !== null; chunk = socket.read()) {
      seen = Buffer.concat([seen, chunk as Buffer]);
      const length = Math.min(seen.length, PREFACE.length);
      const matches = seen.subarray(0, length).equals(PREFACE.subarray(0, length));
      if (matches && length < PREFACE.length) continue;
      socket.removeListener('readable', onReadable);
      socket.unshift(seen);
      decide(matches);
      return;
    }
  };
  socket.on('readable', onReadable);
}
