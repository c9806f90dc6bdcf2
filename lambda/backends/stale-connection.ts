import type { Socket } from 'node:net';
import { performance } from 'node:perf_hooks';

/**
 * A connection that died while it lay idle answers the first bytes with a reset: within one round trip, some 200 ms to
 * the other side of the world. A reset that comes later is a backend's that was at work, which a second request would
 * have done, and paid for, twice.
 */
const STALE_RESET_MS = 250;

/** One request on a connection that was used before. */
export class Exchange {
  readonly #socket: Socket;
  readonly #bytesBefore: number;
  readonly #since = performance.now();

  /** To be made when the request gets its connection. */
  constructor(socket: Socket) {
    this.#socket = socket;
    this.#bytesBefore = socket.bytesRead;
  }

  /** Asked when the request failed: whether the connection had been dead before, so that nobody has seen the request. */
  wasStale(): boolean {
    return this.#socket.bytesRead === this.#bytesBefore && performance.now() - this.#since <= STALE_RESET_MS;
  }
}
