import { randomBytes } from 'node:crypto';
import { invalidRequest } from '../../serving/errors.ts';
import type { JsonAnswer } from '../../serving/router.ts';
import { listAttributes } from '../aws/table.ts';
import { asBatch, type Batch, batchKey, stop } from '../batch/batch.ts';
import { BatchProgress, type Progress } from '../batch/progress.ts';
import { getBatch } from '../batch/work.ts';
import type { Item } from '../change.ts';
import { ttlOf } from '../run-job.ts';
import { ownFile } from './files.ts';
import { checkMetadata } from './metadata.ts';
import { parseObject } from './parse-object.ts';
import { type JobsRoute, type JobsScope, listOf, notFound, pageOf, seconds } from './scope.ts';
import { payerOf } from './submit.ts';

export const BATCH_ROUTES: readonly JobsRoute[] = [
  { method: 'POST', path: '/v1/batches', answer: create },
  { method: 'GET', path: '/v1/batches', answer: list },
  {
    method: 'GET',
    path: '/v1/batches/{id}',
    answer: async (scope) => ({ body: await batchView(await ownBatch(scope), scope) }),
  },
  { method: 'POST', path: '/v1/batches/{id}/cancel', answer: cancel },
];

const ENDPOINT = '/v1/chat/completions';

/** `24h`: hours or minutes, up to a week. */
const WINDOW = /^([1-9]\d{0,3})(h|m)$/;
const MAX_WINDOW_MS = 7 * 24 * 3_600_000;

async function create(scope: JobsScope): Promise<JsonAnswer> {
  const { input_file_id: inputFileId, endpoint, completion_window: window, metadata } = parseObject(scope);
  if (endpoint !== ENDPOINT)
    throw invalidRequest(`Invalid 'endpoint': expected '${ENDPOINT}'.`, 'endpoint', 'invalid_value');
  if (typeof inputFileId !== 'string') {
    throw invalidRequest("Missing required parameter: 'input_file_id'.", 'input_file_id', 'missing_required_parameter');
  }
  const windowMs = windowOf(window);
  checkMetadata(metadata);
  // Models are the lines' own matter: those of a paused one wait.
  await scope.refusePaused();
  const file = await ownFile(scope, inputFileId);
  const now = scope.now();
  const batch: Batch = {
    id: `batch_${randomBytes(16).toString('hex')}`,
    consumer: scope.caller.consumer,
    tier: scope.caller.tier.name,
    ...payerOf(scope.caller),
    status: 'validating',
    endpoint,
    inputFileId,
    inputKey: file.key,
    ...(file.parts === undefined ? {} : { inputParts: file.parts }),
    createdAt: now,
    expiresAt: now + windowMs,
    ttl: ttlOf(scope, now + windowMs),
    retentionMs: scope.retentionMs,
    ...(metadata == null ? {} : { metadata: JSON.stringify(metadata) }),
  };
  const item: Item = { ...(batch as unknown as Item), ...listAttributes(batch.consumer, 'batch', now, batch.id) };
  await scope.items.create(batchKey(batch.id), item, now);
  await scope.queues.batch(batch.id, 0);
  return { body: await batchView(batch, scope) };
}

function windowOf(value: unknown): number {
  const [, count, unit] = WINDOW.exec(String(value)) ?? [];
  const ms = Number(count) * (unit === 'h' ? 3_600_000 : 60_000);
  if (!(ms <= MAX_WINDOW_MS)) {
    throw invalidRequest(
      "Invalid 'completion_window': expected '24h', or hours or minutes up to a week, such as '2h' or '90m'.",
      'completion_window',
      'invalid_value',
    );
  }
  return ms;
}

async function ownBatch(scope: JobsScope, id = scope.params.id ?? ''): Promise<Batch> {
  const batch = await getBatch(id, scope);
  if (batch === undefined || batch.consumer !== scope.caller.consumer || batch.ttl * 1000 <= scope.now()) {
    throw notFound('batch', id);
  }
  return batch;
}

async function cancel(scope: JobsScope): Promise<JsonAnswer> {
  const batch = await ownBatch(scope);
  const stopped = await scope.items.change(batchKey(batch.id), stop(scope.now()));
  if (stopped !== undefined) await scope.queues.batch(batch.id, 0);
  const now = stopped === undefined ? await ownBatch(scope) : asBatch(stopped);
  return { body: await batchView(now, scope) };
}

async function list(scope: JobsScope): Promise<JsonAnswer> {
  const { limit, after } = pageOf(scope.event);
  const last = after === undefined ? undefined : await scope.items.get(batchKey((await ownBatch(scope, after)).id));
  const key = last === undefined ? undefined : String(last.listKey);
  const { items, hasMore } = await scope.items.list(`batch#${scope.caller.consumer}`, {
    limit,
    after: key,
    now: scope.now(),
  });
  const batches = await Promise.all(items.map(({ id }) => getBatch(String(id), scope)));
  const data = batches.filter((batch) => batch !== undefined);
  return { body: listOf(await Promise.all(data.map((batch) => batchView(batch, scope))), hasMore) };
}

async function batchView(batch: Batch, scope: JobsScope): Promise<{ readonly id: string }> {
  const none: Progress = { done: 0, failed: 0 };
  const { done, failed } = batch.total === undefined ? none : await new BatchProgress(scope.items).of(batch.id);
  const at = (status: Batch['status']): number | null => (batch.status === status ? seconds(batch.endedAt) : null);
  return {
    id: batch.id,
    object: 'batch',
    endpoint: batch.endpoint,
    errors: batch.errors === undefined ? null : { object: 'list', data: JSON.parse(batch.errors) },
    input_file_id: batch.inputFileId,
    completion_window: windowText(batch),
    status: batch.status,
    output_file_id: batch.outputFileId ?? null,
    error_file_id: batch.errorFileId ?? null,
    created_at: seconds(batch.createdAt),
    in_progress_at: seconds(batch.inProgressAt),
    expires_at: seconds(batch.expiresAt),
    finalizing_at: seconds(batch.finalizingAt),
    completed_at: at('completed'),
    failed_at: at('failed'),
    expired_at: at('expired'),
    cancelling_at: seconds(batch.cancellingAt),
    cancelled_at: at('cancelled'),
    request_counts: { total: batch.total ?? 0, completed: done - failed, failed },
    metadata: batch.metadata === undefined ? null : JSON.parse(batch.metadata),
  } as { readonly id: string };
}

function windowText({ createdAt, expiresAt }: Batch): string {
  const minutes = Math.round((expiresAt - createdAt) / 60_000);
  return minutes % 60 === 0 ? `${minutes / 60}h` : `${minutes}m`;
}
