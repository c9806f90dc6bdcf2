import type { ChatCompletion } from '../contract/openai.ts';
import type { AnswerFacts, SharedFailure, StoredAnswer } from './contract.ts';

export type FlightEnd =
  /** `completion` when its leader asked for a whole answer: there are no events then. */
  | { readonly type: 'answer'; readonly facts: AnswerFacts; readonly completion?: ChatCompletion }
  | { readonly type: 'failure'; readonly failure: SharedFailure };

export type FlightNews =
  | { readonly type: 'event'; readonly bytes: Uint8Array; readonly backend: string }
  | { readonly type: 'end'; readonly end: FlightEnd }
  /** The leader is gone, and it is this follower's turn. */
  | { readonly type: 'lead' };

/** What a process has of a lease in the cache; another one that follows reads what it publishes. */
export interface Lease {
  /** Followers elsewhere. */
  readonly isWanted: boolean;
  readonly wanted: Promise<void>;
  finish(end: FlightEnd, entry: Buffer | undefined, ttlMs: number): Promise<void>;
  /** Somebody else may lead. */
  abandon(): void;
}

/**
 * One answer on its way, to all in this process who asked for the same. Its leader, a request of this process or of
 * another, feeds it; each follower reads all of it, at its own pace. When the leader dies, one follower leads, and the
 * others notice nothing.
 */
export class Flight {
  readonly #events: Uint8Array[] = [];
  #backend = '';
  #end: FlightEnd | undefined;
  readonly #followers = new Set<Follower>();
  #heir: Follower | undefined;
  #isVacant = false;
  readonly #followed = Promise.withResolvers<void>();
  readonly #onOver: () => void;
  #feed: { stop(): void } | undefined;
  lease: Lease | undefined;

  /** @param onOver nobody can join any more */
  constructor(onOver: () => void) {
    this.#onOver = onOver;
  }

  follow(wantsEvents: boolean): Follower {
    const follower = new Follower(this, wantsEvents);
    this.#followers.add(follower);
    this.#followed.resolve();
    if (this.#isVacant && this.#heir === undefined) this.#choose();
    return follower;
  }

  /** Resolves when somebody follows, here or elsewhere. */
  get shared(): Promise<void> {
    return this.lease === undefined
      ? this.#followed.promise
      : Promise.race([this.#followed.promise, this.lease.wanted]);
  }

  get isShared(): boolean {
    return this.#followers.size > 0 || this.lease?.isWanted === true;
  }

  get events(): readonly Uint8Array[] {
    return this.#events;
  }

  get backend(): string {
    return this.#backend;
  }

  get end(): FlightEnd | undefined {
    return this.#end;
  }

  /** Of a flight that another process leads: stopped when nobody here follows any more. */
  set feed(feed: { stop(): void }) {
    this.#feed = feed;
  }

  push(bytes: Uint8Array, backend: string): void {
    if (this.#end !== undefined) return;
    this.#backend = backend;
    this.#events.push(bytes);
    this.#notify();
  }

  finish(end: FlightEnd): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#onOver();
    this.#notify();
  }

  /** Nobody leads. With nobody to take over, the flight is over. */
  vacate(lease: Lease | undefined): void {
    if (this.#end !== undefined) return;
    this.lease = lease;
    this.#isVacant = true;
    this.#choose();
  }

  /** @internal */
  leave(follower: Follower): void {
    if (!this.#followers.delete(follower)) return;
    if (this.#heir === follower) this.#choose();
    else if (this.#followers.size === 0 && this.#feed !== undefined && this.#end === undefined) {
      this.#feed.stop();
      this.#onOver();
    }
  }

  /** @internal */
  newsFor(follower: Follower, at: number): FlightNews | undefined {
    const bytes = this.#events[at];
    if (bytes !== undefined) return { type: 'event', bytes, backend: this.#backend };
    if (this.#end !== undefined) return { type: 'end', end: this.#end };
    if (this.#heir !== follower) return undefined;
    this.#heir = undefined;
    this.#isVacant = false;
    this.#feed = undefined;
    this.#followers.delete(follower);
    return { type: 'lead' };
  }

  /** Whoever has begun to hand out a stream can go on with it; one that waits for a whole answer can't. */
  #choose(): void {
    const all = [...this.#followers];
    this.#heir = this.#events.length === 0 ? all[0] : all.find(({ wantsEvents }) => wantsEvents);
    if (this.#heir !== undefined) this.#heir.wake();
    else {
      // Those who are left get nothing more from here, and are told so.
      this.#onOver();
      this.lease?.abandon();
      for (const follower of all) follower.orphan();
    }
  }

  #notify(): void {
    for (const follower of this.#followers) follower.wake();
  }
}

export class Follower {
  readonly wantsEvents: boolean;
  readonly #flight: Flight;
  #at = 0;
  #isOrphan = false;
  #wake: (() => void) | undefined;

  constructor(flight: Flight, wantsEvents: boolean) {
    this.#flight = flight;
    this.wantsEvents = wantsEvents;
  }

  /** `undefined`: nothing comes any more, and nobody here can go on with it. @throws the signal's reason */
  async next(signal: AbortSignal): Promise<FlightNews | undefined> {
    for (;;) {
      signal.throwIfAborted();
      const news = this.#flight.newsFor(this, this.#at);
      if (news !== undefined) {
        if (news.type === 'event') this.#at += 1;
        return news;
      }
      if (this.#isOrphan) return undefined;
      await this.#news(signal);
    }
  }

  #news(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const done = (): void => {
      signal.removeEventListener('abort', done);
      this.#wake = undefined;
      resolve();
    };
    this.#wake = done;
    signal.addEventListener('abort', done, { once: true });
    return promise;
  }

  wake(): void {
    this.#wake?.();
  }

  orphan(): void {
    this.#isOrphan = true;
    this.wake();
  }

  leave(): void {
    this.#flight.leave(this);
  }
}

/** A stored answer, or the flight that will be one. */
export type Found = { readonly stored: StoredAnswer } | { readonly flight: Flight; readonly leads: boolean };
