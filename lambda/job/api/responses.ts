import { invalidRequest } from '../../serving/errors.ts';
import { parseChatRequest } from '../../serving/parse.ts';
import type { JsonAnswer } from '../../serving/router.ts';
import { cancelJob } from '../cancel-job.ts';
import type { Job } from '../job.ts';
import { ownJob, resultOf } from './jobs.ts';
import { parseObject } from './parse-object.ts';
import { formOf, responseView } from './response-view.ts';
import { toChatRequest } from './responses-request.ts';
import type { JobsRoute, JobsScope } from './scope.ts';
import { submit } from './submit.ts';

export const RESPONSE_ROUTES: readonly JobsRoute[] = [
  { method: 'POST', path: '/v1/responses', answer: create },
  { method: 'GET', path: '/v1/responses/{id}', answer: retrieve },
  { method: 'POST', path: '/v1/responses/{id}/cancel', answer: cancel },
];

const EXPIRES_IN_MS = 24 * 3_600_000;

async function create(scope: JobsScope): Promise<JsonAnswer> {
  const body = parseObject(scope);
  // Checked as what it will be run as.
  const event = { body: JSON.stringify(toChatRequest(body)) };
  const request = parseChatRequest(event, scope.config.limits.maxRequestBytes);
  const now = scope.now();
  const { job } = await submit(
    {
      kind: 'response',
      prefix: 'resp_',
      request,
      priority: 'normal',
      notBefore: now,
      expiresAt: now + EXPIRES_IN_MS,
      form: JSON.stringify(formOf(body)),
      ...(request.metadata == null ? {} : { metadata: request.metadata }),
    },
    scope,
  );
  return view(job, scope);
}

async function retrieve(scope: JobsScope): Promise<JsonAnswer> {
  if (scope.event.queryStringParameters?.stream === 'true') {
    throw invalidRequest("'stream' is not supported here.", 'stream', 'unsupported_value');
  }
  return view(await ownJob(scope, 'response'), scope);
}

async function cancel(scope: JobsScope): Promise<JsonAnswer> {
  return view(await cancelJob(await ownJob(scope, 'response'), { ...scope, table: scope.jobs }), scope);
}

async function view(job: Job, scope: JobsScope): Promise<JsonAnswer> {
  const form = job.formAt === undefined ? job.form : await scope.blobs.get(job.formAt);
  return { body: responseView(job, form, await resultOf(job, scope)) };
}
