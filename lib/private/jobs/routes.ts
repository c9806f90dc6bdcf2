import type { KeyedRoute } from '../serving-api';

/** What the function of the jobs' API answers; its own router has the same. */
export const JOB_ROUTES: readonly KeyedRoute[] = [
  { method: 'POST', path: '/v1/jobs' },
  { method: 'GET', path: '/v1/jobs' },
  { method: 'GET', path: '/v1/jobs/{id}' },
  { method: 'DELETE', path: '/v1/jobs/{id}' },
  { method: 'POST', path: '/v1/files' },
  { method: 'GET', path: '/v1/files' },
  { method: 'GET', path: '/v1/files/{id}' },
  { method: 'DELETE', path: '/v1/files/{id}' },
  { method: 'GET', path: '/v1/files/{id}/content' },
  { method: 'POST', path: '/v1/uploads' },
  { method: 'POST', path: '/v1/uploads/{id}/parts' },
  { method: 'POST', path: '/v1/uploads/{id}/complete' },
  { method: 'POST', path: '/v1/uploads/{id}/cancel' },
  { method: 'POST', path: '/v1/batches' },
  { method: 'GET', path: '/v1/batches' },
  { method: 'GET', path: '/v1/batches/{id}' },
  { method: 'POST', path: '/v1/batches/{id}/cancel' },
  { method: 'POST', path: '/v1/responses' },
  { method: 'GET', path: '/v1/responses/{id}' },
  { method: 'POST', path: '/v1/responses/{id}/cancel' },
  { method: 'GET', path: '/v1/webhooks/secret' },
  { method: 'POST', path: '/v1/webhooks/secret' },
];
