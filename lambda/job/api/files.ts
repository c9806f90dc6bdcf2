import { randomBytes } from 'node:crypto';
import type { Readable } from 'node:stream';
import { GetObjectCommand } from '@aws-sdk/client-s3';
import { ApiError, invalidRequest } from '../../serving/errors.ts';
import { header } from '../../serving/gateway.ts';
import type { JsonAnswer } from '../../serving/router.ts';
import { asFile, fileKey, keepFile, type StoredFile } from '../batch/files.ts';
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
  const limit = config.limits.maxRequestBytes;
  if (Buffer.byteLength(body) > limit) {
    throw new ApiError(413, `File too large: the limit is ${limit} bytes.`, {
      type: 'invalid_request_error',
      code: 'request_too_large',
    });
  }
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

/** @throws ApiError 404 */
export async function ownFile(scope: JobsScope, id = scope.params.id ?? ''): Promise<StoredFile> {
  const item = await scope.items.get(fileKey(id));
  const file = item === undefined ? undefined : asFile(item);
  if (file === undefined || file.consumer !== scope.caller.consumer || file.ttl * 1000 <= scope.now()) {
    throw notFound('file', id);
  }
  return file;
}

const fileView = (file: StoredFile) => ({
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
  const key = last === undefined ? undefined : String(last.listKey);
  const { items, hasMore } = await scope.items.list(`file#${scope.caller.consumer}`, limit, key);
  // The index holds but a part of an item.
  const files = await Promise.all(items.map(({ id }) => scope.items.get(fileKey(String(id)))));
  const now = scope.now() / 1000;
  const data = files.flatMap((item) => (item === undefined || asFile(item).ttl <= now ? [] : [fileView(asFile(item))]));
  return { body: listOf(data, hasMore) };
}

/** Gone at once for its owner; the table and the bucket forget it when its time is over. */
async function remove(scope: JobsScope): Promise<JsonAnswer> {
  const { id } = await ownFile(scope);
  await scope.items.change(fileKey(id), { when: { attribute: 'id', is: '=', value: id }, set: { ttl: 1 } });
  return { body: { id, object: 'file', deleted: true } };
}

async function content(scope: JobsScope): Promise<FileAnswer> {
  const { key } = await ownFile(scope);
  const { bucket, client } = scope.blobs;
  const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
  return { contentType: 'application/jsonl', bytes: Body as Readable };
}
