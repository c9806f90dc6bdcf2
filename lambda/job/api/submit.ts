import { createHash, randomBytes } from 'node:crypto';
import type { ChatCompletionRequest } from '../../contract/openai.ts';
import { findModel } from '../../serving/admit.ts';
import { ApiError } from '../../serving/errors.ts';
import { header } from '../../serving/gateway.ts';
import { type Caller, identifyPurpose } from '../../serving/identify.ts';
import type { Job, JobKind, JobPriority } from '../job.ts';
import { MAX_INLINE_BYTES, ttlOf } from '../run-job.ts';
import { checkMetadata } from './metadata.ts';
import type { JobsScope } from './scope.ts';

export interface Submission {
  readonly kind: JobKind;
  /** `job_`, `resp_` */
  readonly prefix: string;
  readonly request: ChatCompletionRequest;
  readonly priority: JobPriority;
  readonly notBefore: number;
  readonly expiresAt: number;
  readonly webhookUrl?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly form?: string;
  /** What else the client said of times, which a repetition says too. */
  readonly said?: readonly unknown[];
}

/** What a caller is besides a name and a tier. */
export const payerOf = ({ team, monthlyBudgetUsd }: Caller): Pick<Job, 'team' | 'monthlyBudgetUsd'> => ({
  ...(team === undefined ? {} : { team }),
  ...(monthlyBudgetUsd === undefined ? {} : { monthlyBudgetUsd }),
});

const MAX_KEY = 255;

/**
 * Makes a job, or finds the one that the same `Idempotency-Key` made before: the key, with the consumer's name, is what
 * the job's id is made of, so that one write decides.
 *
 * @throws ApiError 400 for the metadata, 404 or 403 for the model, 403 when it or the caller is paused, 422 for a key that
 * came with another request
 */
export async function submit(submission: Submission, scope: JobsScope): Promise<{ job: Job; isNew: boolean }> {
  const { caller, config, now } = scope;
  checkMetadata(submission.metadata);
  const model = findModel(submission.request.model, caller.tier, config);
  await scope.refusePaused(model.name);
  const purpose = identifyPurpose(scope.event, submission.request, config);
  const text = JSON.stringify(submission.request);
  const id = submission.prefix + idOf(scope);
  const createdAt = now();
  const isLong = Buffer.byteLength(text) > MAX_INLINE_BYTES;
  const requestAt = isLong ? `inputs/${id}/${randomBytes(8).toString('hex')}` : undefined;
  const { webhookUrl, form } = submission;
  const formAt =
    form !== undefined && Buffer.byteLength(form) > MAX_INLINE_BYTES
      ? `inputs/${id}/${randomBytes(8).toString('hex')}-form`
      : undefined;
  const job: Job = {
    id,
    kind: submission.kind,
    consumer: caller.consumer,
    tier: caller.tier.name,
    ...payerOf(caller),
    model: model.name,
    status: 'queued',
    priority: submission.priority,
    createdAt,
    notBefore: submission.notBefore,
    expiresAt: submission.expiresAt,
    ttl: ttlOf({ retentionMs: scope.retentionMs }, submission.expiresAt),
    retentionMs: scope.retentionMs,
    attempts: 0,
    generation: 0,
    outputTokens: 0,
    ...(requestAt === undefined ? { request: text } : { requestAt }),
    fingerprint: fingerprintOf(submission),
    notice: webhookUrl === undefined ? 'none' : 'due',
    ...(webhookUrl === undefined ? {} : { webhookUrl }),
    ...(submission.metadata === undefined ? {} : { metadata: JSON.stringify(submission.metadata) }),
    ...(formAt === undefined ? {} : { formAt }),
    ...(form === undefined || formAt !== undefined ? {} : { form }),
    ...(purpose.feature === undefined ? {} : { feature: purpose.feature }),
  };
  if (requestAt !== undefined) await scope.blobs.put(requestAt, text);
  if (formAt !== undefined) await scope.blobs.put(formAt, form ?? '');
  const isNew = await scope.jobs.create(job, createdAt);
  const kept = isNew ? job : await existing(job, scope);
  // Of a repetition too: nobody knows whether the first one came as far as this, and a second message does no harm.
  if (kept.status === 'queued') await scope.queues.run(kept, kept.notBefore - createdAt);
  return { job: kept, isNew };
}

async function existing(job: Job, scope: JobsScope): Promise<Job> {
  const found = await scope.jobs.get(job.id);
  if (found?.fingerprint === job.fingerprint) return found;
  throw new ApiError(422, 'This Idempotency-Key was used with another request.', {
    type: 'invalid_request_error',
    param: 'Idempotency-Key',
    code: 'idempotency_key_reused',
  });
}

function idOf({ event, caller }: JobsScope): string {
  const key = header(event, 'idempotency-key');
  if (key === undefined || key === '') return randomBytes(16).toString('hex');
  if (key.length > MAX_KEY) {
    throw new ApiError(400, `Invalid 'Idempotency-Key': longer than ${MAX_KEY} characters.`, {
      param: 'Idempotency-Key',
      code: 'invalid_value',
    });
  }
  return createHash('sha256').update(`${caller.consumer}\0${key}`).digest('hex').slice(0, 32);
}

/** Of what the client said; not of the time, which differs in a repetition. */
const fingerprintOf = ({ request, priority, webhookUrl, metadata, form, said }: Submission): string =>
  createHash('sha256')
    .update(JSON.stringify([request, priority, webhookUrl ?? null, metadata ?? null, form ?? null, said ?? null]))
    .digest('base64url');
