import type { Writable } from 'node:stream';
import type { Prelude } from './gateway.ts';

export type WithPrelude = (stream: Writable, prelude: Prelude) => Writable;

/**
 * The response to one client. The runtime sends status and headers with the first write, and not at all when the stream
 * ends without one: here, every way of ending has written.
 */
export class ClientResponse {
  readonly #stream: Writable;
  readonly #withPrelude: WithPrelude;
  readonly #gone = new AbortController();
  #out: Writable | undefined;
  #written = false;
  #ended = false;
  status: number | undefined;

  constructor(stream: Writable, withPrelude: WithPrelude) {
    this.#stream = stream;
    this.#withPrelude = withPrelude;
    // Lambda doesn't tell when a client goes away: what can break is the runtime's own way out, which is as final, and
    // without a listener would end the process and all other answers in it.
    stream.on('error', () => {
      if (!this.#ended) this.#gone.abort(new Error('the way to the client broke'));
    });
  }

  /** Aborted when nothing reaches the client any more. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  get committed(): boolean {
    return this.#out !== undefined;
  }

  /** Fixes status and headers; they leave with the first write. */
  commit(statusCode: number, headers: Readonly<Record<string, string>>): void {
    if (this.#out !== undefined) throw new Error('the response is committed already');
    this.status = statusCode;
    this.#out = this.#withPrelude(this.#stream, { statusCode, headers });
  }

  /**
   * A promise when the client should be waited for before more is written.
   *
   * @param signal ends the wait; it has to be aborted when the client is gone, too
   */
  write(bytes: Uint8Array | string, signal: AbortSignal): Promise<void> | undefined {
    if (this.#out === undefined) throw new Error('nothing can be written before the response is committed');
    if (this.#ended || this.gone.aborted) return undefined;
    this.#written = true;
    return this.#out.write(bytes) ? undefined : drained(this.#out, signal);
  }

  /** Safe to call twice. A response that was never committed ends as a bare 500. */
  end(): void {
    if (this.#ended) return;
    if (this.#out === undefined) this.commit(500, {});
    if (!this.#written && !this.gone.aborted) this.#out?.write('');
    this.#ended = true;
    if (!this.gone.aborted) this.#out?.end();
  }
}

/** Resolves as well when the wait was given up: whoever writes next looks at the signals. */
function drained(stream: Writable, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const done = () => {
    stream.off('drain', done);
    signal.removeEventListener('abort', done);
    resolve();
  };
  stream.once('drain', done);
  signal.addEventListener('abort', done, { once: true });
  if (signal.aborted) done();
  return promise;
}
