import { randomUUID } from 'node:crypto';
import type { CacheConfig, CachePolicyConfig } from '../contract/config.ts';
import type { AnswerFacts, CacheAsk, Opened, Seat } from './contract.ts';
import { decodeEntry, encodeEntry } from './entry.ts';
import { Flight, type FlightEnd } from './flight.ts';
import { cacheKey } from './key.ts';
import { LEASE_MS, leaseOf, ValkeyLease, WANTED_MS } from './lease.ts';
import { type Directives, directivesOf, qualifies } from './qualify.ts';
import { Reader } from './reader.ts';
import { type Keys, keysOf, OPEN } from './scripts.ts';
import { FlightSeat } from './seat.ts';
import type { Searched, SimilarAnswers } from './semantic/index.ts';
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
  readonly hash: string;
  readonly keys: Keys;
  /** Unix milliseconds; older answers won't do. */
  readonly oldest: number;
}

/** The answers of earlier requests, and of those in flight. */
export class Answers {
  readonly #config: CacheConfig;
  readonly #valkey: Valkey;
  readonly #inFlight = new Map<string, InFlight>();
  readonly #now: () => number;
  #similar: Promise<SimilarAnswers> | undefined;

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
    const oldest = Number.isFinite(directives.maxAgeMs) ? this.#now() - directives.maxAgeMs : 0;
    const lookup: Lookup = { ask, policy, directives, hash, keys: keysOf(hash), oldest };
    if (directives.noCache) return { outcome: 'miss', seat: this.#seat(lookup, new Flight(() => undefined)) };
    const name = `${hash}/${directives.maxAgeMs}/${ask.exact === true}`;
    const known = this.#inFlight.get(name);
    if (known !== undefined) {
      const follower = known.flight.follow(ask.request.stream === true);
      const opened = await known.opened;
      if (opened === undefined) return { outcome: 'hit', seat: this.#seat(lookup, known.flight, follower) };
      follower.leave();
      // The one who looked it up pays for that.
      const { semantic: _, ...shared } = opened;
      return shared;
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
    const { ask, policy, keys, oldest } = lookup;
    const own = leaseOf(randomUUID());
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
      const searched = await this.#searched(lookup);
      const similar = searched && (await this.#similarFound(searched, flight));
      if (similar !== undefined) return similar;
      return {
        outcome: 'miss',
        ...(searched === undefined ? {} : { semantic: searched.search }),
        seat: this.#seat(lookup, flight, undefined, searched),
      };
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

  /** Similar requests' answers, where the policy lets them be given and the client takes them. */
  async #searched({ ask, policy, oldest }: Lookup): Promise<Searched | undefined> {
    const { semantic } = policy;
    if (semantic === undefined || ask.exact === true) return undefined;
    try {
      // Deployments without it have nothing of it.
      this.#similar ??= import('./semantic/index.ts').then(
        ({ SimilarAnswers: Similar }) => new Similar(this.#valkey, this.#config.deployment, this.#now),
      );
      return await (await this.#similar).search({ ask, policy, semantic, oldest });
    } catch {
      return { search: { failed: true } };
    }
  }

  /**
   * Those who follow get the same answer, and what it is. It isn't kept as this request's own.
   *
   * @returns `undefined` when nothing was found, or what nobody can read
   */
  async #similarFound({ search, found }: Searched, flight: Flight): Promise<Opened | undefined> {
    if (found === undefined) return undefined;
    const { stored, score } = found;
    const facts: AnswerFacts = { ...stored.facts, semantic: { score, storedAt: stored.storedAt } };
    let end: FlightEnd;
    try {
      end = { type: 'answer', facts, completion: stored.completion() };
    } catch {
      return undefined;
    }
    flight.finish(end);
    await flight.lease?.finish(end, undefined, 0);
    return { outcome: 'semantic', stored: { ...stored, facts }, semantic: search };
  }

  async #endOf(entry: Buffer, policy: CachePolicyConfig): Promise<FlightEnd | undefined> {
    const stored = await decodeEntry(entry, policy.paceMs);
    return stored && { type: 'answer', facts: stored.facts, completion: stored.completion() };
  }

  #seat(lookup: Lookup, flight: Flight, follower?: ReturnType<Flight['follow']>, searched?: Searched): Seat {
    const { ask, policy, keys, hash, oldest } = lookup;
    const keep = searched?.keep;
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
      ...(keep === undefined ? {} : { kept: () => keep(hash) }),
      takes: ({ semantic }) => semantic === undefined || (ask.exact !== true && semantic.storedAt >= oldest),
    });
  }
}

const NOTHING = { events: [], backend: '' };

function isReply(reply: unknown, kind: string): reply is [Buffer, Buffer] {
  return Array.isArray(reply) && String(reply[0]) === kind;
}
