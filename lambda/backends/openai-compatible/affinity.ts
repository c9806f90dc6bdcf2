/**
 * Which task of a fleet a request goes to: the one that has its prefix in the KV cache, as long as that one hasn't more
 * to do than others.
 *
 * Tasks are known by the load balancer's stickiness cookies alone, and those are opaque: two cookies may mean one task.
 * What is counted is therefore a *home*: a task as it was first met without a cookie, and found again by its latest one.
 * Where affinity yields, no cookie is sent, the load balancer picks the task with the fewest requests, and what it
 * picked becomes another home of the prefix: one that many ask for spreads over as many tasks as it needs.
 */
export interface AffinityOptions {
  /** For which a cookie holds. */
  readonly ttlMs: number;
  /** The most tasks that the fleet may have: the mean load of a task is taken over these. */
  readonly maxTasks: number;
  /** A home takes so many times the mean, rounded up. @default 1 */
  readonly loadFactor?: number;
  /** How long a home gets what begins like another request, before the load balancer chooses anew. @default 15,000 */
  readonly sharedMs?: number;
  /** @default 50,000 */
  readonly maxKeys?: number;
  /** Milliseconds. @default Date.now */
  readonly now?: () => number;
}

/** Keys of one request, the longest prefix first. */
export interface AffinityKeys {
  /** Where the conversation that it goes on with was. */
  readonly own: readonly string[];
  /** Prefixes that others may begin with, too. */
  readonly shared: readonly string[];
  /** Where requests that go on from here will look. */
  readonly next: readonly string[];
}

/** Where a request goes, and what came of it. */
export interface Placement {
  /** To be sent; undefined: the load balancer chooses. */
  readonly cookie: string | undefined;
  /** The task that answers now has the request's prefixes. */
  served(cookie: string | undefined): void;
  /** The task is full or gone: others don't go there. */
  lost(): void;
  /** The answer is over, whatever came of it. More calls do nothing. */
  end(): void;
}

interface Home {
  readonly since: number;
  cookie: string;
  expires: number;
  inFlight: number;
}

/** Both found by bench/prefix.ts: more is hardly a hit more, and loads some tasks twice as much as others. */
const LOAD_FACTOR = 1;
/** Two busy prefixes that happened to come to one task part again. */
const SHARED_MS = 15_000;
/** Keys of 28 bytes; those of a request share one home: some 10 MB at most. */
const MAX_KEYS = 50_000;
/** Of one key; the least recently used one goes. */
const MAX_HOMES = 64;

export class Affinity {
  readonly #options: Required<AffinityOptions>;
  /** By when they were last used. */
  readonly #homes = new Map<string, Home[]>();
  /** Where requests ended that others may go on from. */
  readonly #ends = new Map<string, Home>();
  #inFlight = 0;

  constructor(options: AffinityOptions) {
    this.#options = {
      loadFactor: LOAD_FACTOR,
      sharedMs: SHARED_MS,
      maxKeys: MAX_KEYS,
      now: Date.now,
      ...options,
    };
  }

  place(keys: AffinityKeys): Placement {
    this.#inFlight += 1;
    let home = this.#choose(keys);
    const { cookie } = home ?? {};
    if (home !== undefined) home.inFlight += 1;
    let ended = false;
    return {
      cookie,
      served: (latest) => {
        if (latest === undefined) return;
        const { ttlMs, now } = this.#options;
        const expires = now() + ttlMs;
        if (home === undefined) home = { since: now(), cookie: latest, expires, inFlight: ended ? 0 : 1 };
        else Object.assign(home, { cookie: latest, expires });
        for (const key of keys.shared) this.#keep(key, home);
        for (const key of keys.next) put(this.#ends, key, home, this.#options.maxKeys);
      },
      lost: () => {
        if (home !== undefined) home.expires = 0;
      },
      end: () => {
        if (ended) return;
        ended = true;
        this.#inFlight -= 1;
        if (home !== undefined) home.inFlight -= 1;
      },
    };
  }

  /** What another process found out. */
  learn(key: string, cookie: string): void {
    const now = this.#options.now();
    const home = { since: now, cookie, expires: now + this.#options.ttlMs, inFlight: 0 };
    this.#keep(key, home);
    put(this.#ends, key, home, this.#options.maxKeys);
  }

  /** Whether any of the keys has a home. */
  knows({ own, shared }: Pick<AffinityKeys, 'own' | 'shared'>): boolean {
    const time = this.#options.now();
    return (
      own.some((key) => (this.#ends.get(key)?.expires ?? 0) > time) || shared.some((key) => this.#alive(key).length > 0)
    );
  }

  get size(): number {
    return this.#homes.size + this.#ends.size;
  }

  #choose(keys: AffinityKeys): Home | undefined {
    const { loadFactor, sharedMs, maxTasks, now } = this.#options;
    const most = Math.ceil((loadFactor * this.#inFlight) / maxTasks);
    const time = now();
    for (const key of keys.own) {
      const end = this.#ends.get(key);
      if (end !== undefined && end.expires > time && end.inFlight < most) return end;
    }
    for (const key of keys.shared) {
      let least: Home | undefined;
      for (const home of this.#homes.get(key) ?? []) {
        const isOpen = home.since + sharedMs > time && home.expires > time && home.inFlight < most;
        if (isOpen && (least === undefined || home.inFlight < least.inFlight)) least = home;
      }
      if (least !== undefined) return least;
    }
    return undefined;
  }

  #alive(key: string): readonly Home[] {
    const homes = this.#homes.get(key);
    if (homes === undefined) return [];
    const now = this.#options.now();
    return homes.some(({ expires }) => expires <= now) ? homes.filter(({ expires }) => expires > now) : homes;
  }

  #keep(key: string, home: Home): void {
    const homes = [home, ...this.#alive(key).filter((other) => other !== home)].slice(0, MAX_HOMES);
    put(this.#homes, key, homes, this.#options.maxKeys);
  }
}

/** A map keeps its keys in order of their insertion: the first one is the longest unused. */
function put<T>(map: Map<string, T>, key: string, value: T, max: number): void {
  map.delete(key);
  map.set(key, value);
  if (map.size <= max) return;
  for (const oldest of map.keys()) {
    map.delete(oldest);
    break;
  }
}

/** So many of a prompt's last blocks are keys: the next turn of a conversation is found unless it is longer. */
const LAST_BLOCKS = 16;

/**
 * Keys of a prompt by the hashes of its blocks, each of which covers everything before it, too: the last ones, for what
 * goes on from here, and those at powers of two, for what begins alike and goes on otherwise.
 *
 * @param chain hashes from the prompt's beginning
 * @returns the longest prefix first
 */
export function prefixKeys(chain: readonly string[]): string[] {
  const lengths = new Set<number>();
  for (let length = chain.length; length > Math.max(0, chain.length - LAST_BLOCKS); length -= 1) lengths.add(length);
  for (let length = 2 ** Math.floor(Math.log2(chain.length)); length >= 1; length /= 2) lengths.add(length);
  return [...lengths].sort((a, b) => b - a).flatMap((length) => chain[length - 1] ?? []);
}
