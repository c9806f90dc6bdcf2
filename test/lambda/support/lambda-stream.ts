import { performance } from 'node:perf_hooks';
import { Writable } from 'node:stream';
import type { Prelude } from '../../../lambda/serving/gateway.ts';

const DELIMITER = Buffer.alloc(8);

/**
 * Lambda's response stream as `aws-lambda-ric` 4.0.2 makes it: `HttpResponseStream.from` hooks the first `write()`, which
 * sends the prelude and eight NUL bytes before its own bytes. `end()` doesn't pass that hook: a stream that ends without
 * a write has no prelude.
 */
export class LambdaStream extends Writable {
  readonly chunks: Array<{ readonly at: number; readonly bytes: Buffer }> = [];
  contentType: string | undefined;
  _onBeforeFirstWrite: ((write: (bytes: Uint8Array | string) => void) => void) | undefined;
  /** Milliseconds that the client takes to read a chunk. */
  #readMs: number;
  #isFirst = true;

  constructor(options: { readMs?: number; highWaterMark?: number } = {}) {
    super({ highWaterMark: options.highWaterMark ?? 16_384, decodeStrings: true });
    this.#readMs = options.readMs ?? 0;
  }

  setContentType(type: string): void {
    this.contentType = type;
  }

  override write(chunk: unknown, ...rest: never[]): boolean {
    if (this.#isFirst) {
      this.#isFirst = false;
      this._onBeforeFirstWrite?.((bytes) => super.write(bytes));
    }
    return super.write(chunk, ...rest);
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error) => void): void {
    this.chunks.push({ at: performance.now(), bytes: chunk });
    if (this.#readMs > 0) setTimeout(done, this.#readMs);
    else done();
  }

  get raw(): Buffer {
    return Buffer.concat(this.chunks.map(({ bytes }) => bytes));
  }
}

/** `awslambda.HttpResponseStream.from` */
export function withPrelude(stream: Writable, prelude: Prelude): Writable {
  const lambdaStream = stream as LambdaStream;
  lambdaStream.setContentType('application/vnd.awslambda.http-integration-response');
  lambdaStream._onBeforeFirstWrite = (write) => {
    write(JSON.stringify(prelude));
    write(DELIMITER);
  };
  return stream;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** What API Gateway makes of the stream. */
export function parseAnswer(raw: Buffer): HttpAnswer {
  const at = raw.indexOf(DELIMITER);
  if (at === -1) throw new Error(`the stream has no prelude: API Gateway would answer 502 (${raw.length} bytes)`);
  const { statusCode, headers } = JSON.parse(raw.subarray(0, at).toString()) as Prelude;
  return { status: statusCode, headers, body: raw.subarray(at + DELIMITER.length).toString() };
}
