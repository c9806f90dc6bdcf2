import type { Redis } from 'iovalkey';
import { eventsOf } from './entry.ts';
import type { Flight, FlightEnd } from './flight.ts';
import { END, EVENTS, flightOf, GONE, LEASE_MS, leaseOf, ValkeyLease, WANTED_MS } from './lease.ts';
import { type Keys, TAKE } from './scripts.ts';
import type { Valkey } from './valkey.ts';

/** A follower that hears nothing for so long looks whether its leader lives. */
const SILENCE_MS = 1000;
/** On top of it, for the answer to that. */
const SLACK_MS = 500;
const MAX_PARTS = 100;

export interface ReaderOptions {
  readonly valkey: Valkey;
  readonly keys: Keys;
  /** The lease of whom it follows. */
  readonly lease: string;
  readonly flight: Flight;
  /** An entry that turned up instead of the stream. */
  onEntry(entry: Buffer): Promise<FlightEnd | undefined>;
}

/**
 * Reads what the leader in another process publishes, into the flight of this one; one for all who follow here. When the
 * leader is gone, this process may lead; when the cache is, it has to.
 */
export class Reader {
  readonly #options: ReaderOptions;
  readonly #flightId: string;
  #last = '0';
  #isStopped = false;
  #connection: Redis | undefined;

  constructor(options: ReaderOptions) {
    this.#options = options;
    this.#flightId = flightOf(options.lease);
    void this.#run();
  }

  stop(): void {
    this.#isStopped = true;
    this.#connection?.disconnect();
  }

  async #run(): Promise<void> {
    const { flight } = this.#options;
    try {
      const connection = await this.#options.valkey.dedicated();
      this.#connection = connection;
      if (this.#isStopped) return;
      while (!this.#isStopped && (await this.#next(connection))) {
        // Until its end, or a leader of its own.
      }
    } catch {
      // The cache is gone. What its leader goes on to say doesn't arrive here.
      if (!this.#isStopped) flight.vacate(undefined);
    } finally {
      this.#isStopped = true;
      this.#connection?.disconnect();
    }
  }

  /** @returns whether there is more to read */
  async #next(connection: Redis): Promise<boolean> {
    const { keys, flight } = this.#options;
    const stream = keys.stream(this.#flightId);
    const reply = await within(
      connection.callBuffer('XREAD', 'COUNT', MAX_PARTS, 'BLOCK', SILENCE_MS, 'STREAMS', stream, this.#last),
      SILENCE_MS + SLACK_MS,
    );
    if (reply === null) return this.#take();
    const [[, parts]] = reply as [[Buffer, Array<[id: Buffer, fields: Buffer[]]>]];
    for (const [id, [field, value]] of parts) {
      this.#last = id.toString();
      const kind = String(field);
      if (value === undefined) continue;
      if (kind === EVENTS) {
        const at = value.indexOf('\n');
        const backend = value.toString('utf8', 0, at);
        for (const event of eventsOf(value.subarray(at + 1))) flight.push(event, backend);
      } else if (kind === END) {
        flight.finish(JSON.parse(value.toString()) as FlightEnd);
        return false;
      } else if (kind === GONE) {
        // Its lease ends in a moment.
        await new Promise((resolve) => setTimeout(resolve, 2));
        return this.#take();
      }
    }
    return true;
  }

  async #take(): Promise<boolean> {
    const { valkey, keys, flight, onEntry } = this.#options;
    const lease = leaseOf(this.#flightId);
    const reply = await valkey.script(TAKE, [
      ...[keys.entry, keys.lease, keys.wanted, keys.stream(this.#flightId)],
      ...[lease, LEASE_MS, this.#last, WANTED_MS],
    ]);
    if (!Array.isArray(reply)) throw new Error('the cache is gone');
    const kind = String(reply[0]);
    if (kind === 'follow') return true;
    const end = kind === 'hit' ? await onEntry(reply[1] as Buffer) : undefined;
    if (end !== undefined) flight.finish(end);
    else flight.vacate(new ValkeyLease(valkey, keys, lease, flight, flight.events.length));
    return false;
  }
}

async function within<T>(promise: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('the cache is silent')), ms);
  });
  promise.catch(() => undefined);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
