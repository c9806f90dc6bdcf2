import type { FleetConfig } from '../../../lib/private/serving-config.ts';
import { type BackendCall, BackendError } from '../backend.ts';
import { Affinity, type AffinityKeys, type Placement, prefixKeys } from './affinity.ts';
import type { HttpResponse } from './http.ts';
import { blockChain } from './prompt-blocks.ts';
import { cacheKey, isStickyCookie, sessionKeys, stickyCookie } from './session-keys.ts';

/**
 * A memory that processes share, for hints. Neither method throws or takes long: what doesn't answer in time isn't
 * there.
 */
export interface SharedHints {
  get(key: string): Promise<string | undefined>;
  set(key: string, value: string, ttlMs: number): Promise<void>;
}

/** What a gateway adds to the requests of its own fleet, and reads in the answers. */
export interface FleetSteering {
  /** Fields that no client may set. */
  fields(call: BackendCall): Record<string, unknown>;
  /** Which task it should go to. What is returned must be ended. */
  place(call: BackendCall): Promise<FleetPlacement>;
  /** A failure as what it means for a fleet. */
  explain(error: BackendError, response: HttpResponse): BackendError;
}

/** A request on its way to a task. */
export interface FleetPlacement {
  readonly headers: Record<string, string>;
  /** Notes where it was answered, and that it is over when the answer's body is. */
  answered(response: HttpResponse): void;
  /** It wasn't answered. @param away the task itself can't take it */
  failed(away: boolean): void;
}

/** Asked of a memory that is shared: the conversation, and the longest prefixes. */
const SHARED_LOOKUPS = 4;

/** A full engine is ready again when one of its answers ends. */
const FULL_RETRY_AFTER_MS = 2000;

export function createFleetSteering(fleet: FleetConfig, hints?: SharedHints): FleetSteering {
  const ttlMs = fleet.stickySeconds * 1000;
  const affinity = new Affinity({ ttlMs, maxTasks: fleet.maxTasks ?? 1 });
  const hintKey = (key: string): string => `affinity:${fleet.name}:${key}`;

  /** Another process may have met the conversation, or what begins like it. */
  async function ask(keys: AffinityKeys): Promise<void> {
    if (hints === undefined || affinity.knows(keys)) return;
    const wanted = [...keys.own, ...keys.shared].slice(0, SHARED_LOOKUPS);
    const cookies = await Promise.all(wanted.map((key) => hints.get(hintKey(key))));
    cookies.forEach((cookie, index) => {
      const key = wanted[index];
      // It goes into a header: nothing but a cookie may.
      if (key !== undefined && cookie !== undefined && isStickyCookie(cookie)) affinity.learn(key, cookie);
    });
  }

  function tell(keys: AffinityKeys, cookie: string): void {
    if (hints === undefined) return;
    const news = [...keys.next, ...keys.shared.slice(0, SHARED_LOOKUPS)];
    for (const key of news) void hints.set(hintKey(key), cookie, ttlMs);
  }

  return {
    fields: ({ attribution, priority = 0 }) => ({
      // Nobody can tell by an answer's speed what others have asked.
      ...(fleet.cacheSalt && attribution.consumer !== undefined ? { cache_salt: attribution.consumer } : {}),
      ...(fleet.priority === undefined || priority === 0
        ? {}
        : { priority: fleet.priority === 'lower-first' ? -priority : priority }),
    }),

    async place(call): Promise<FleetPlacement> {
      const keys = keysOf(call);
      await ask(keys);
      const placement: Placement = affinity.place(keys);
      return {
        headers: placement.cookie === undefined ? {} : { cookie: placement.cookie },
        answered(response) {
          const cookie = stickyCookie(response.headers['set-cookie']);
          placement.served(cookie);
          if (cookie !== undefined) tell(keys, cookie);
          response.body.once('close', placement.end);
        },
        failed(away) {
          if (away) placement.lost();
          placement.end();
        },
      };
    },

    explain(error, response) {
      const { status } = response;
      // The load balancer itself: no task (503), or one that went away under the request (502, 504).
      const isBalancer = /^awselb\//.test(String(response.headers.server ?? ''));
      const isAway = isBalancer && (status === 502 || status === 503 || status === 504);
      if (!isAway && error.kind !== 'overloaded') return error;
      return new BackendError(
        error.backend,
        'overloaded',
        isAway ? 'the fleet has no task that answers' : error.message,
        {
          status,
          param: error.param,
          code: error.code,
          isQuoted: !isAway && error.isQuoted,
          retryAfterMs: error.retryAfterMs ?? (isAway ? fleet.retryAfterMs : FULL_RETRY_AFTER_MS),
        },
      );
    },
  };
}

function keysOf(call: BackendCall): AffinityKeys {
  const { known, next } = sessionKeys(call);
  const named = cacheKey(call);
  const blocks = prefixKeys(blockChain(call.attribution.consumer ?? '', call.request));
  return {
    own: known === undefined ? [] : [known],
    shared: named === undefined ? blocks : [...blocks, named],
    next: [next],
  };
}
