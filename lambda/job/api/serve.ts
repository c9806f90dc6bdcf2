import type { ServingConfig } from '../../contract/config.ts';
import { ClientResponse, type WithPrelude } from '../../serving/client-response.ts';
import { ApiError } from '../../serving/errors.ts';
import type { StreamingHandler } from '../../serving/gateway.ts';
import { identifyCaller } from '../../serving/identify.ts';
import { ledgerOf, registeredConsumer } from '../../serving/ledger-steps.ts';
import { commonHeaders, errorHeaders, requestIdOf } from '../../serving/response-headers.ts';
import { MethodNotAllowed, Router } from '../../serving/router.ts';
import { stackOf } from '../../serving/settle.ts';
import { BATCH_ROUTES } from './batches.ts';
import { FILE_ROUTES } from './files.ts';
import { JOBS_ROUTES } from './jobs.ts';
import { RESPONSE_ROUTES } from './responses.ts';
import type { JobsDeps } from './scope.ts';
import { UPLOAD_ROUTES } from './uploads.ts';
import { WEBHOOK_SECRET_ROUTES } from './webhook-secret.ts';

export interface JobsApiDeps extends JobsDeps {
  log(line: string): void;
  readonly withPrelude: WithPrelude;
}

const ROUTES = [
  ...JOBS_ROUTES,
  ...WEBHOOK_SECRET_ROUTES,
  ...FILE_ROUTES,
  ...UPLOAD_ROUTES,
  ...BATCH_ROUTES,
  ...RESPONSE_ROUTES,
];

/** The handler of every route about jobs: a function of its own, so that chat completions start without any of it. */
export function createJobsApi(config: ServingConfig, deps: JobsApiDeps): StreamingHandler {
  const router = new Router(ROUTES);
  // Keys that were made after the deployment stand there.
  const ledger = ledgerOf(config);
  return async (event, stream) => {
    const client = new ClientResponse(stream, deps.withPrelude);
    const requestId = requestIdOf(event);
    const headers = commonHeaders(event, requestId, config);
    try {
      const { route, params } = router.find(event);
      const room = await ledger;
      const registered = await registeredConsumer(event, config, room);
      const caller = identifyCaller(event, config, registered);
      const refusePaused = async (model?: string): Promise<void> => {
        await room?.refusePaused({ pauses: room.pauses, config, onEvent: () => {} }, caller, model);
      };
      const answer = await route.answer({ ...deps, config, event, caller, params, refusePaused });
      if ('bytes' in answer) {
        client.commit(200, { ...headers, 'content-type': answer.contentType });
        for await (const chunk of answer.bytes) await client.write(chunk as Buffer, client.gone);
      } else {
        client.commit(answer.status ?? 200, { ...headers, ...answer.headers, 'content-type': 'application/json' });
        await client.write(JSON.stringify(answer.body), client.gone);
      }
    } catch (thrown) {
      const error = thrown instanceof ApiError ? thrown : internalError(thrown, requestId);
      if (!client.committed) {
        const allow: Record<string, string> = error instanceof MethodNotAllowed ? { allow: error.allow } : {};
        client.commit(error.status, { ...headers, ...errorHeaders(error), ...allow });
        void client.write(JSON.stringify(error.body), client.gone);
      }
    } finally {
      client.end();
    }
  };

  /** As in `serving/serve.ts`: its place goes to the log, its message nowhere. */
  function internalError(thrown: unknown, requestId: string): ApiError {
    const error = thrown instanceof Error ? thrown : new Error('not an error');
    const line = {
      level: 'ERROR',
      message: 'internal error',
      request_id: requestId,
      error: error.name,
      at: stackOf(error),
    };
    deps.log(JSON.stringify({ timestamp: new Date().toISOString(), ...line }));
    return new ApiError(500, `Internal error. (request ${requestId})`, { code: 'internal_error', cause: thrown });
  }
}
