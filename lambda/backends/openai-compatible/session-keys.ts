import { createHash } from 'node:crypto';
import type { BackendCall } from '../backend.ts';

/** A conversation is found again by what it was when its last answer came. */
export interface SessionKeys {
  /** Undefined for a conversation that has no answer yet. */
  readonly known: string | undefined;
  /** What its next request will ask for. */
  readonly next: string;
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

/** `prompt_cache_key`: requests of which the client says that they begin alike. */
export function cacheKey({ request, attribution }: BackendCall): string | undefined {
  const { prompt_cache_key: key } = request;
  return typeof key === 'string' && key !== '' ? digest(attribution.consumer ?? '', 'cache-key', key) : undefined;
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

/** What `stickyCookie` returns. */
export const isStickyCookie = (cookie: string): boolean =>
  cookie.split('; ').every((pair) => /^AWSALB(CORS|TG|TGCORS)?=[^\s;]+$/.test(pair));
