import { subscribe } from 'node:diagnostics_channel';
import type { ClientRequest } from 'node:http';

/** Where the runtime sends answers to. https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html */
const RUNTIME_API_PATH = '/2018-06-01/runtime/invocation/';

/**
 * Lets all streams of an environment flow at once on Lambda Managed Instances. The Node.js runtime runs them in a few
 * worker threads, and in each (as of aws-lambda-ric 4.0.2) gives streamed answers an agent of one socket: of several
 * that one worker streams, all but the first would lie in its memory until the one before has ended. The runtime makes
 * an answer's request before it calls the handler, so that a limit lifted then is lifted in time.
 *
 * By a documented diagnostics channel; should a later runtime do it otherwise, this does nothing.
 */
export function liftSocketLimit(env: Readonly<Record<string, string | undefined>>): void {
  // Only set where one environment serves several invocations at once.
  if (env.AWS_LAMBDA_MAX_CONCURRENCY === undefined) return;
  subscribe('http.client.request.created', (message) => {
    const { request } = message as { request: ClientRequest & { agent?: { maxSockets?: number } } };
    if (request.agent?.maxSockets === 1 && request.path.startsWith(RUNTIME_API_PATH)) {
      request.agent.maxSockets = Number.POSITIVE_INFINITY;
    }
  });
}
