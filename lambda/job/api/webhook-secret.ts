import type { JsonAnswer } from '../../serving/router.ts';
import type { JobsRoute, JobsScope } from './scope.ts';

/** With these a consumer's receiver tells our notifications from others'. */
export const WEBHOOK_SECRET_ROUTES: readonly JobsRoute[] = [
  {
    method: 'GET',
    path: '/v1/webhooks/secret',
    answer: async (scope) => view(await scope.secrets.of(scope.caller.consumer)),
  },
  {
    method: 'POST',
    path: '/v1/webhooks/secret',
    answer: async (scope: JobsScope) => view(await scope.secrets.rotate(scope.caller.consumer)),
  },
];

const view = ([secret, previous]: readonly string[]): JsonAnswer => ({
  headers: { 'cache-control': 'no-store' },
  body: { object: 'webhook.secret', secret, previous_secret: previous ?? null },
});
