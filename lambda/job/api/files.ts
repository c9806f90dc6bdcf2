import { randomBytes } from 'node:crypto';
import { ApiError, invalidRequest } from '../../serving/errors.ts';
import { header } from '../../serving/gateway.ts';
import type { JsonAnswer } from '../../serving/router.ts';
import { asFile, bytesOf, fileKey, keepFile, type StoredFile } from '../batch/files.ts';
import { ttlOf } from '../run-job.ts';
import { multipartParts } from './multipart.ts';
import { type FileAnswer, type JobsRoute, type JobsScope, listOf, notFound, pageOf, seconds } from './scope.ts';

export const FILE_ROUTES: readonly JobsRoute[] = [
  { method: 'POST', path: '/v1/files', answer: upload },
  { method: 'GET', path: '/v1/files', answer: list },
  { method: 'GET', path: '/v1/files/{id}', answer: async (scope) => ({ body: fileView(await ownFile(scope)) }) },
  { method: 'DELETE', path: '/v1/files/{id}', answer: remove },
  { method: 'GET', path: '/v1/files/{id}/content', answer: content },
];

async function upload(scope: JobsScope): Promise<JsonAnswer> {
  const { event, config, caller } = scope;
  const body = event.body ?? '';
  requireSize(body, config.limits.maxRequestBytes, 'File');
  const parts = multipartParts(header(event, 'content-type'), body);
  const purpose = parts.find(({ name }) => name === 'purpose')?.text;
  if (purpose !== 'batch') throw invalidRequest("Invalid 'purpose': expected 'batch'.", 'purpose', 'invalid_value');
  const file = parts.find(({ name }) => name === 'file');
  if (file === undefined)
    throw invalidRequest("Missing required parameter: 'file'.", 'file', 'missing_required_parameter');
  const now = scope.now();
  const id = `file-${randomBytes(16).toString('hex')}`;
  const stored: StoredFile = {
    id,
    consumer: caller.consumer,
    filename: (file.filename ?? 'upload.jsonl').slice(0, 255),
    bytes: Buffer.byteLength(file.text),
    purpose,
    createdAt: now,
    key: `files/${id}`,
    ttl: ttlOf(scope, now),
  };
  await scope.blobs.put(stored.key, file.text);
  await keepFile(stored, scope.items);
  return { body: fileView(stored) };
}

/** @throws ApiError 413 */
export function requireSize(body: string, limit: number, what: string): void {
  if (Buffer.byteLength(body) <= limit) return;
  const remedy = 'A longer file is uploaded in parts: POST /v1/uploads.';
  throw new ApiError(413, `${what} too large: the limit is ${limit} bytes. ${remedy}`, {
    type: 'invalid_request_error',
    code: 'request_too_large',
  });
}

/** @throws ApiError 404 */
export async function ownFile(scope: JobsScope, id = scope.params.id ?? ''): Promise<StoredFile> {
  const item = await scope.items.get(fileKey(id));
  const file = item === undefined ? undefined : asFile(item);
  if (file === undefined || file.consumer !== scope.caller.consumer || file.ttl * 1000 <= scope.now()) {
    throw notFound('file', id);
  }
  return file;
}

export const fileView = (file: StoredFile) => ({
  id: file.id,
  object: 'file',
  bytes: file.bytes,
  created_at: seconds(file.createdAt),
  expires_at: file.ttl,
  filename: file.filename,
  purpose: file.purpose,
  status: 'processed',
});

async function list(scope: JobsScope): Promise<JsonAnswer> {
  const { limit, after } = pageOf(scope.event);
  const last = after === undefined ? undefined : await scope.items.get(fileKey((await ownFile(scope, after)).id));
  let key = last === undefined ? undefined : String(last.listKey);
  const { purpose } = scope.event.queryStringParameters ?? {};
  const now = scope.now();
  const data: Array<ReturnType<typeof fileView>> = [];
  // The index holds but a part of an item.
  for (;;) {
    const page = await scope.items.list(`file#${scope.caller.consumer}`, { limit: limit + 1, after: key, now });
    const files = await Promise.all(page.items.map(({ id }) => scope.items.get(fileKey(String(id)))));
    for (const item of files) {
      if (item !== undefined && (!purpose || item.purpose === purpose)) data.push(fileView(asFile(item)));
    }
    key = String(page.items.at(-1)?.listKey);
    if (!page.hasMore || data.length > limit) return { body: listOf(data.slice(0, limit), data.length > limit) };
  }
}

/** Gone at once for its owner; the table and the bucket forget it when its time is over. */
async function remove(scope: JobsScope): Promise<JsonAnswer> {
  const { id } = await ownFile(scope);
  await scope.items.change(fileKey(id), {
    when: { attribute: 'id', is: '=', value: id },
    set: { ttl: 1 },
    remove: ['list', 'listKey'],
  });
  return { body: { id, object: 'file', deleted: true } };
}

async function content(scope: JobsScope): Promise<FileAnswer> {
  return { contentType: 'application/jsonl', bytes: bytesOf(await ownFile(scope), scope.blobs) };
}
