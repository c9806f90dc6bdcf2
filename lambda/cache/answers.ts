import { randomUUID } from 'node:crypto';
import type { CachePolicyConfig } from '../../lib/private/serving-config.ts';
import type { CacheConfig } from '../contract/config.ts';
import type { CacheAsk, Opened, Seat } from './contract.ts';
import { decodeEntry, encodeEntry } from './entry.ts';
import { Flight, type FlightEnd } from './flight.ts';
import { cacheKey } from './key.ts';
import { LEASE_MS, leaseOf, ValkeyLease, WANTED_MS } from './lease.ts';
import { type Directives, directivesOf, qualifies } from './qualify.ts';
import { Reader } from './reader.ts';
import { type Keys, keysOf, OPEN } from './scripts.ts';
import { FlightSeat } from './seat.ts';
import type { Valkey } from './valkey.ts';

const BYPASS: Opened = { outcome: 'bypass' };

interface InFlight {
  readonly flight: Flight;
  readonly opened: Promise<Opened | undefined>;
}

/** One that is looked up. */
interface Lookup {
  readonly ask: CacheAsk;
  readonly policy: CachePolicyConfig;
  readonly directives: Directives;
  readonly keys: Keys;
}

/** The answers of earlier requests, and of those in flight. */
export class Answers {
  readonly #config: CacheConfig;
  readonly #valkey: Valkey;
  readonly #inFlight = new Map<string, InFlight>();
  readonly #now: () => number;

  constructor(config: CacheConfig, valkey: Valkey, now: () => number = Date.now) {
    this.#config = config;
    this.#valkey = valkey;
    this.#now = now;
  }

  async open(ask: CacheAsk): Promise<Opened> {
    const policy = ask.model.cache ?? this.#config.policy;
    const directives = directivesOf(ask.cacheControl);
    if (directives.noStore || ask.size > policy.maxRequestBytes || !qualifies(ask.request, policy)) return BYPASS;
    const hash = cacheKey(ask, this.#config.deployment, policy.scope, policy.version);
    const lookup: Lookup = { ask, policy, directives, keys: keysOf(hash) };
    if (directives.noCache) return { outcome: 'miss', seat: this.#seat(lookup, new Flight(() => undefined)) };
    const name = `${hash}/${directives.maxAgeMs}`;
    const known = this.#inFlight.get(name);
    if (known !== undefined) {
      const follower = known.flight.follow(ask.request.stream === true);
      const opened = await known.opened;
      if (opened === undefined) return { outcome: 'hit', seat: this.#seat(lookup, known.flight, follower) };
      follower.leave();
      return opened;
    }
    return this.#lookUp(name, lookup);
  }

  async #lookUp(name: string, lookup: Lookup): Promise<Opened> {
    const flight = new Flight(() => {
      if (this.#inFlight.get(name)?.flight === flight) this.#inFlight.delete(name);
    });
    const { promise, resolve } = Promise.withResolvers<Opened | undefined>();
    this.#inFlight.set(name, { flight, opened: promise });
    const opened = await this.#found(lookup, flight);
    if (opened.stored !== undefined) this.#inFlight.delete(name);
    resolve(opened.stored === undefined ? undefined : opened);
    return opened;
  }

  async #found(lookup: Lookup, flight: Flight): Promise<Opened> {
    const { ask, policy, directives, keys } = lookup;
    const own = leaseOf(randomUUID());
    const oldest = Number.isFinite(directives.maxAgeMs) ? this.#now() - directives.maxAgeMs : 0;
    const reply = await this.#valkey.script(
      OPEN,
      [keys.entry, keys.lease, keys.wanted, own, LEASE_MS, oldest, WANTED_MS],
      // It came when the request had gone on without it: nobody is to wait for that.
      {
        onLate: (late) =>
          isReply(late, 'lead') && new ValkeyLease(this.#valkey, keys, own, NOTHING, undefined).abandon(),
      },
    );
    if (isReply(reply, 'hit')) {
      const stored = await decodeEntry(reply[1], policy.paceMs);
      if (stored !== undefined) return { outcome: 'hit', stored };
    }
    if (isReply(reply, 'lead')) {
      flight.lease = new ValkeyLease(this.#valkey, keys, own, flight, undefined);
      return { outcome: 'miss', seat: this.#seat(lookup, flight) };
    }
    if (isReply(reply, 'follow')) {
      const follower = flight.follow(ask.request.stream === true);
      flight.feed = new Reader({
        valkey: this.#valkey,
        keys,
        lease: reply[1].toString(),
        flight,
        onEntry: (entry) => this.#endOf(entry, policy),
      });
      return { outcome: 'hit', seat: this.#seat(lookup, flight, follower) };
    }
    // The cache isn't there, or has what nobody can read: those in this process still share one answer.
    const isThere = reply !== undefined;
    return { outcome: isThere ? 'miss' : 'bypass', unavailable: !isThere, seat: this.#seat(lookup, flight) };
  }

  async #endOf(entry: Buffer, policy: CachePolicyConfig): Promise<FlightEnd | undefined> {
    const stored = await decodeEntry(entry, policy.paceMs);
    return stored && { type: 'answer', facts: stored.facts, completion: stored.completion() };
  }

  #seat(lookup: Lookup, flight: Flight, follower?: ReturnType<Flight['follow']>): Seat {
    const { ask, policy, keys } = lookup;
    return new FlightSeat({
      flight,
      ...(follower === undefined ? {} : { follower }),
      gone: ask.gone,
      ttlMs: policy.ttlMs,
      encode: (facts, content) =>
        encodeEntry(this.#now(), facts, content, {
          maxBytes: policy.maxAnswerBytes,
          compressAboveBytes: policy.compressAboveBytes,
        }),
      store: async (entry, ttlMs) => {
        await this.#valkey.run((client) => client.set(keys.entry, entry, 'PX', ttlMs));
      },
    });
  }
}

const NOTHING = { events: [], backend: '' };

function isReply(reply: unknown, kind: string): reply is [Buffer, Buffer] {
  return Array.isArray(reply) && String(reply[0]) === kind;
}
