import type { ChatCompletionRequest } from '../../contract/openai.ts';
import { invalidRequest } from '../../serving/errors.ts';
import { parseChatRequest } from '../../serving/parse.ts';
import type { JsonAnswer } from '../../serving/router.ts';
import { cancelJob } from '../cancel-job.ts';
import { asJob, isFinal, type Job, type JobKind, type JobPriority } from '../job.ts';
import { webhookUrlProblem } from '../notice/webhook-url.ts';
import { afterEnd, ttlOf } from '../run-job.ts';
import { expire } from '../transitions.ts';
import { jobView, pollAfter } from './job-view.ts';
import { type JobsRoute, type JobsScope, listOf, notFound, pageOf } from './scope.ts';
import { type Submission, submit } from './submit.ts';

const DAY = 24 * 3600;
/** Seconds. */
const DEFAULT_EXPIRES_IN = DAY;
const MIN_EXPIRES_IN = 60;
/** Half of what SQS keeps a message for, so that no message can be lost to a job that is still open. */
const MAX_EXPIRES_IN = 7 * DAY;

export const JOBS_ROUTES: readonly JobsRoute[] = [
  { method: 'POST', path: '/v1/jobs', answer: create },
  { method: 'GET', path: '/v1/jobs', answer: list },
  { method: 'GET', path: '/v1/jobs/{id}', answer: retrieve },
  { method: 'DELETE', path: '/v1/jobs/{id}', answer: remove },
];

async function create(scope: JobsScope): Promise<JsonAnswer> {
  const { job, isNew } = await submit(submissionOf(scope), scope);
  const answer = accepted(job, scope);
  return isNew ? answer : { ...answer, headers: { ...answer.headers, 'idempotent-replayed': 'true' } };
}

function accepted(job: Job, scope: JobsScope): JsonAnswer {
  const { path } = scope.event;
  return {
    status: 202,
    headers: { location: `${path.replace(/\/$/, '')}/${job.id}`, 'retry-after': String(pollAfter(job, scope.now())) },
    body: jobView(job),
  };
}

/** A chat completion request, and what belongs to the job. @throws ApiError 400 that names the parameter */
function submissionOf(scope: JobsScope): Submission {
  const {
    webhook,
    priority,
    not_before,
    expires_in,
    stream: _,
    stream_options: __,
    ...request
  } = parseChatRequest(scope.event, scope.config.limits.maxRequestBytes, ['priority']);
  const now = scope.now();
  const expiresIn = numberOf('expires_in', expires_in, DEFAULT_EXPIRES_IN, MIN_EXPIRES_IN, MAX_EXPIRES_IN);
  const expiresAt = now + expiresIn * 1000;
  const latest = Math.floor(expiresAt / 1000) - 1;
  const notBefore = numberOf('not_before', not_before, 0, 0, latest) * 1000;
  const webhookUrl = webhookUrlOf(webhook, scope);
  const { metadata } = request as ChatCompletionRequest;
  return {
    kind: 'job',
    prefix: 'job_',
    request: request as ChatCompletionRequest,
    priority: priorityOf(priority),
    notBefore: Math.max(now, notBefore),
    expiresAt,
    said: [not_before ?? null, expires_in ?? null],
    ...(webhookUrl === undefined ? {} : { webhookUrl }),
    ...(metadata == null ? {} : { metadata }),
  };
}

function numberOf(param: string, value: unknown, otherwise: number, min: number, max: number): number {
  if (value == null) return otherwise;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
    throw invalidRequest(
      `Invalid '${param}': expected a whole number of seconds between ${min} and ${max}, got ${JSON.stringify(value)?.slice(0, 50)}.`,
      param,
      'invalid_value',
    );
  }
  return value;
}

function priorityOf(value: unknown): JobPriority {
  if (value == null) return 'normal';
  if (value === 'low' || value === 'normal' || value === 'high') return value;
  throw invalidRequest(
    `Invalid 'priority': expected one of low, normal, high, got ${JSON.stringify(value)?.slice(0, 50)}.`,
    'priority',
    'invalid_value',
  );
}

function webhookUrlOf(value: unknown, { urlRules }: JobsScope): string | undefined {
  if (value == null) return undefined;
  const { url } = typeof value === 'object' ? (value as { url?: unknown }) : {};
  if (typeof url !== 'string') {
    throw invalidRequest("Invalid 'webhook': expected an object with a url.", 'webhook', 'invalid_type');
  }
  const problem = webhookUrlProblem(url, urlRules);
  if (problem !== undefined) {
    throw invalidRequest(`Invalid 'webhook.url': it ${problem}.`, 'webhook.url', 'invalid_value');
  }
  return url;
}

async function retrieve(scope: JobsScope): Promise<JsonAnswer> {
  const job = await ownJob(scope, 'job');
  const now = scope.now();
  return {
    body: jobView(job, await resultOf(job, scope)),
    ...(isFinal(job) ? {} : { headers: { 'retry-after': String(pollAfter(job, now)) } }),
  };
}

export async function resultOf(job: Job, scope: Pick<JobsScope, 'blobs'>): Promise<string | undefined> {
  if (job.resultAt !== undefined) return scope.blobs.get(job.resultAt);
  return job.result;
}

/** The job that the path names, if it is the caller's. @throws ApiError 404 */
export async function ownJob(scope: JobsScope, kind: JobKind): Promise<Job> {
  const id = scope.params.id ?? '';
  const job = await scope.jobs.get(id);
  const now = scope.now();
  if (job === undefined || job.consumer !== scope.caller.consumer || job.kind !== kind || job.ttl * 1000 <= now) {
    throw notFound(kind, id);
  }
  return expiredIfDue(job, scope);
}

/** One whose time is over is expired, whether or not a worker comes to say so: its message may be a dead letter. */
async function expiredIfDue(job: Job, scope: JobsScope): Promise<Job> {
  const now = scope.now();
  if (isFinal(job) || job.expiresAt > now) return job;
  const expired = await scope.jobs.change(job.id, expire(now, ttlOf(scope, now)));
  if (expired === undefined) return (await scope.jobs.get(job.id)) ?? job;
  await afterEnd(expired, scope);
  return expired;
}

async function remove(scope: JobsScope): Promise<JsonAnswer> {
  const job = await cancelJob(await ownJob(scope, 'job'), { ...scope, table: scope.jobs });
  return { body: jobView(job) };
}

async function list(scope: JobsScope): Promise<JsonAnswer> {
  const { limit, after } = pageOf(scope.event);
  const { caller, items } = scope;
  const last = after === undefined ? undefined : await scope.jobs.get(after);
  if (after !== undefined && (last?.consumer !== caller.consumer || last.kind !== 'job')) throw notFound('job', after);
  const key = last === undefined ? undefined : String((last as unknown as { listKey: string }).listKey);
  const now = scope.now();
  const { items: found, hasMore } = await items.list(`job#${caller.consumer}`, { limit, after: key, now });
  const jobs = await Promise.all(found.map((item) => expiredIfDue(asJob(item), scope)));
  return {
    body: listOf(
      jobs.map((job) => jobView(job)),
      hasMore,
    ),
  };
}
