import { createHash } from 'node:crypto';
import type { BackendCall } from '../backend.ts';

/** A conversation is found again by what it was when its last answer came. */
export interface SessionKeys {
  /** Undefined for a conversation that has no answer yet. */
  readonly known: string | undefined;
  /** What its next request will ask for. */
  readonly next: string;
}

/** Load balancers' cookies are about 150 bytes, keys 28: some 3 MB at most. */
const MAX_SESSIONS = 10_000;

/**
 * The load balancer's cookies of conversations, kept in the process: the task that answered last has the conversation's
 * beginning in its KV cache. Another process starts without them, which costs a prefill and nothing else.
 */
export class StickySessions {
  readonly #sessions = new Map<string, { cookie: string; expires: number }>();
  readonly #ttlMs: number;
  readonly #max: number;

  constructor(ttlMs: number, max = MAX_SESSIONS) {
    this.#ttlMs = ttlMs;
    this.#max = max;
  }

  get(key: string | undefined): string | undefined {
    const session = key === undefined ? undefined : this.#sessions.get(key);
    return session === undefined || session.expires <= Date.now() ? undefined : session.cookie;
  }

  keep(key: string, cookie: string): void {
    // A map keeps its keys in order of their insertion: the first one is the longest unused.
    this.#sessions.delete(key);
    this.#sessions.set(key, { cookie, expires: Date.now() + this.#ttlMs });
    if (this.#sessions.size <= this.#max) return;
    for (const oldest of this.#sessions.keys()) {
      this.#sessions.delete(oldest);
      break;
    }
  }

  get size(): number {
    return this.#sessions.size;
  }
}

/** The client's own id of the session or, without one, the conversation itself; never one of another consumer. */
export function sessionKeys({ request, attribution, session }: BackendCall): SessionKeys {
  const owner = attribution.consumer ?? '';
  if (session !== undefined) {
    const key = digest(owner, 'session', session);
    return { known: key, next: key };
  }
  // The request before this one ended where the last answer begins.
  const lastAnswer = request.messages.findLastIndex(({ role }) => role === 'assistant');
  return {
    known:
      lastAnswer > 0 ? digest(owner, 'messages', JSON.stringify(request.messages.slice(0, lastAnswer))) : undefined,
    next: digest(owner, 'messages', JSON.stringify(request.messages)),
  };
}

const digest = (...parts: readonly string[]): string =>
  createHash('sha256').update(parts.join('\0')).digest('base64').slice(0, 28);

/** The load balancer's cookies out of a response, as a request has to send them. */
export function stickyCookie(setCookie: readonly string[] | undefined): string | undefined {
  const pairs = (setCookie ?? [])
    .map((line) => line.split(';', 1)[0]?.trim() ?? '')
    .filter((pair) => /^AWSALB(CORS|TG|TGCORS)?=[^\s]+$/.test(pair));
  return pairs.length === 0 ? undefined : pairs.join('; ');
}
