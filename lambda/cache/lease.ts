import { randomUUID } from 'node:crypto';
import type { FlightEnd, Lease } from './flight.ts';
import { FINISH, type Keys, TICK } from './scripts.ts';
import type { Valkey } from './valkey.ts';

/** A leader that isn't heard of for so long is dead: several ticks may be lost, or a process stand still for a moment. */
export const LEASE_MS = 3000;
/** How long a follower of an answer without one may wait until it gets the first of it. */
const TICK_MS = 200;
/** While somebody follows: below what a reader notices. */
const SHARED_TICK_MS = 40;
/** What was published is kept so long for those who are behind. */
const STREAM_MS = 60_000;
/** So long a follower counts as one after it was last heard of; they say so every second. */
export const WANTED_MS = 60_000;

export const EVENTS = 'f';
export const END = 'e';
export const GONE = 'x';

/** `<flight>:<leader>`; no two leaders have the same, so that one who has lost it can't act as another. */
export const leaseOf = (flight: string): string => `${flight}:${randomUUID()}`;
export const flightOf = (lease: string): string => lease.slice(0, lease.lastIndexOf(':'));

/** What the lease publishes. */
export interface Published {
  readonly events: readonly Uint8Array[];
  readonly backend: string;
}

/**
 * The right to answer for everybody: kept alive while the answer is made, and given up with it. The answer's parts are
 * published only once somebody elsewhere follows: nearly always nobody does.
 */
export class ValkeyLease implements Lease {
  readonly #valkey: Valkey;
  readonly #keys: Keys;
  readonly #lease: string;
  readonly #source: Published;
  readonly #wanted = Promise.withResolvers<void>();
  #isWanted: boolean;
  #published: number;
  #timer: NodeJS.Timeout | undefined;
  #ticking: Promise<void> = Promise.resolve();
  #isOver = false;

  /** @param published how many of the events are in the stream already: of a leader that died */
  constructor(valkey: Valkey, keys: Keys, lease: string, source: Published, published: number | undefined) {
    this.#valkey = valkey;
    this.#keys = keys;
    this.#lease = lease;
    this.#source = source;
    this.#isWanted = published !== undefined;
    this.#published = published ?? 0;
    if (this.#isWanted) this.#wanted.resolve();
    this.#schedule();
  }

  get isWanted(): boolean {
    return this.#isWanted;
  }

  get wanted(): Promise<void> {
    return this.#wanted.promise;
  }

  async finish(end: FlightEnd, entry: Buffer | undefined, ttlMs: number): Promise<void> {
    await this.#stop();
    if (this.#isOver) return;
    this.#isOver = true;
    if ((await this.#finish(end, entry, ttlMs)) !== 'wanted') return;
    this.#isWanted = true;
    this.#wanted.resolve();
    await this.#finish(end, entry, ttlMs);
  }

  abandon(): void {
    void this.#stop().then(async () => {
      if (this.#isOver) return;
      this.#isOver = true;
      // Those who follow read on, and one of them leads; what this one hasn't published nobody has seen.
      await this.#tick(GONE, '1', '1');
    });
  }

  async #finish(end: FlightEnd, entry: Buffer | undefined, ttlMs: number): Promise<string | undefined> {
    // With a gap before it the end would pass for that of a whole answer.
    if (this.#isWanted && !(await this.#publish())) return undefined;
    const { entry: entryKey, lease, wanted } = this.#keys;
    const reply = await this.#valkey.script(FINISH, [
      ...[entryKey, lease, wanted, this.#stream],
      this.#lease,
      entry ?? '',
      Math.max(1, Math.round(ttlMs)),
      this.#isWanted ? '1' : '0',
      END,
      JSON.stringify(end),
      STREAM_MS,
    ]);
    return reply === undefined ? undefined : String(reply);
  }

  get #stream(): string {
    return this.#keys.stream(flightOf(this.#lease));
  }

  #schedule(): void {
    this.#timer = setTimeout(
      () => {
        this.#ticking = this.#publish().then(() => {
          if (this.#timer !== undefined) this.#schedule();
        });
      },
      this.#isWanted ? SHARED_TICK_MS : TICK_MS,
    );
    this.#timer.unref();
  }

  async #stop(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#ticking;
  }

  /**
   * Says that the leader lives, and what is new of its answer if somebody wants it.
   *
   * @returns false when it leads no more, or nobody knows whether that arrived
   */
  async #publish(): Promise<boolean> {
    const { events, backend } = this.#source;
    const fresh = this.#isWanted ? events.slice(this.#published) : [];
    const reply =
      fresh.length === 0
        ? await this.#tick()
        : await this.#tick(EVENTS, Buffer.concat([Buffer.from(`${backend}\n`), ...fresh]));
    // Without a reply the part may be there or not: sent again it would be there twice, so that nobody may follow on.
    if (reply === -1 || (reply === undefined && fresh.length > 0)) {
      this.#isOver = true;
      clearTimeout(this.#timer);
      this.#timer = undefined;
      return false;
    }
    this.#published += fresh.length;
    if (reply === 1 && !this.#isWanted) {
      this.#isWanted = true;
      this.#wanted.resolve();
    }
    return true;
  }

  async #tick(...news: readonly (string | Buffer)[]): Promise<number | undefined> {
    const { lease, wanted } = this.#keys;
    const [field, value, gone] = news;
    const leaseMs = gone === undefined ? LEASE_MS : 1;
    const reply = await this.#valkey.script(TICK, [
      ...[lease, wanted, this.#stream, this.#lease, leaseMs, STREAM_MS],
      ...(field === undefined || value === undefined ? [] : [field, value]),
    ]);
    return reply === undefined ? undefined : Number(reply);
  }
}
