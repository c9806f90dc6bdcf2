import type { IncomingMessage } from 'node:http';
import { GatewayError } from './gateway-error.ts';

/** API Gateway's limit of a request's payload: 10 MB. */
export const MAX_REQUEST_BYTES = 10 * 1024 * 1024;

/**
 * The whole body. Beyond the limit the rest is read and dropped, so that a client that only listens when it has sent
 * everything gets its answer.
 * @throws GatewayError
 */
export function readBody(message: IncomingMessage): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    message.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= MAX_REQUEST_BYTES) chunks.push(chunk);
      else {
        chunks.length = 0;
        reject(new GatewayError('REQUEST_TOO_LARGE'));
      }
    });
    message.on('end', () => resolve(Buffer.concat(chunks)));
    message.on('error', reject);
    message.on('close', () => {
      if (!message.complete) reject(new Error('the client went away before its request was there'));
    });
  });
}
