import type { FleetConfig } from '../../../lib/private/serving-config.ts';
import { type BackendCall, BackendError } from '../backend.ts';
import type { HttpResponse } from './http.ts';
import { StickySessions, sessionKeys, stickyCookie } from './sticky-sessions.ts';

/** What a gateway adds to the requests of its own fleet, and reads in the answers. */
export interface FleetSteering {
  /** Fields that no client may set. */
  fields(call: BackendCall): Record<string, unknown>;
  headers(call: BackendCall): Record<string, string>;
  /** Notes on which task a conversation is. */
  note(call: BackendCall, response: HttpResponse): void;
  /** A failure as what it means for a fleet. */
  explain(error: BackendError, response: HttpResponse): BackendError;
}

/** A full engine is ready again when one of its answers ends. */
const FULL_RETRY_AFTER_MS = 2000;

export function createFleetSteering(fleet: FleetConfig): FleetSteering {
  const sessions = new StickySessions(fleet.stickySeconds * 1000);
  return {
    fields: ({ attribution, priority = 0 }) => ({
      // Nobody can tell by an answer's speed what others have asked.
      ...(fleet.cacheSalt && attribution.consumer !== undefined ? { cache_salt: attribution.consumer } : {}),
      ...(fleet.priority === undefined || priority === 0
        ? {}
        : { priority: fleet.priority === 'lower-first' ? -priority : priority }),
    }),

    headers(call): Record<string, string> {
      const cookie = sessions.get(sessionKeys(call).known);
      return cookie === undefined ? {} : { cookie };
    },

    note(call, response) {
      const cookie = stickyCookie(response.headers['set-cookie']);
      if (cookie !== undefined) sessions.keep(sessionKeys(call).next, cookie);
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
          retryAfterMs: error.retryAfterMs ?? (isAway ? fleet.retryAfterMs : FULL_RETRY_AFTER_MS),
        },
      );
    },
  };
}
