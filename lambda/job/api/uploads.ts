import { createHash, randomBytes } from 'node:crypto';
import { invalidRequest } from '../../serving/errors.ts';
import { header } from '../../serving/gateway.ts';
import type { JsonAnswer } from '../../serving/router.ts';
import { bytesOf, keepFile, partKey, type StoredFile } from '../batch/files.ts';
import { all, type Change, type Item, type Value, where } from '../change.ts';
import { ttlOf } from '../run-job.ts';
import { fileView, requireSize } from './files.ts';
import { multipartParts } from './multipart.ts';
import { parseObject } from './parse-object.ts';
import { type JobsRoute, type JobsScope, notFound, seconds } from './scope.ts';

/** A file that is longer than a request may be, in parts: OpenAI's Uploads. */
export const UPLOAD_ROUTES: readonly JobsRoute[] = [
  { method: 'POST', path: '/v1/uploads', answer: create },
  { method: 'POST', path: '/v1/uploads/{id}/parts', answer: addPart },
  { method: 'POST', path: '/v1/uploads/{id}/complete', answer: complete },
  { method: 'POST', path: '/v1/uploads/{id}/cancel', answer: cancel },
];

/** OpenAI's, for a file of a batch. */
const MAX_BYTES = 200 * 1024 * 1024;
/** Their names stand in the file's item. */
const MAX_PARTS = 200;
/** OpenAI's. */
const OPEN_MS = 3_600_000;
/** What a decoder puts where a character was cut in two. */
const REPLACEMENT = '\uFFFD';

interface Upload {
  readonly id: string;
  readonly consumer: string;
  readonly filename: string;
  readonly purpose: 'batch';
  readonly bytes: number;
  readonly status: 'pending' | 'completed' | 'cancelled';
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly ttl: number;
  readonly partIds?: string;
}

const uploadKey = (id: string) => ({ pk: `upload#${id}`, sk: 'upload' });
const uploadPartKey = (id: string, part: string) => ({ pk: `upload#${id}`, sk: `part#${part}` });

/** Where its parts are kept, and where its file then is. */
const fileIdOf = (id: string): string => `file-${id.slice('upload_'.length)}`;
const keyOf = (id: string): string => `files/${fileIdOf(id)}`;

async function create(scope: JobsScope): Promise<JsonAnswer> {
  const { filename, purpose, bytes } = parseObject(scope);
  if (purpose !== 'batch') throw invalidRequest("Invalid 'purpose': expected 'batch'.", 'purpose', 'invalid_value');
  if (typeof filename !== 'string' || filename === '') {
    throw invalidRequest("Missing required parameter: 'filename'.", 'filename', 'missing_required_parameter');
  }
  if (typeof bytes !== 'number' || !Number.isInteger(bytes) || bytes < 1 || bytes > MAX_BYTES) {
    throw invalidRequest(
      `Invalid 'bytes': expected a whole number between 1 and ${MAX_BYTES}.`,
      'bytes',
      'invalid_value',
    );
  }
  const now = scope.now();
  const upload: Upload = {
    id: `upload_${randomBytes(16).toString('hex')}`,
    consumer: scope.caller.consumer,
    filename: filename.slice(0, 255),
    purpose,
    bytes,
    status: 'pending',
    createdAt: now,
    expiresAt: now + OPEN_MS,
    ttl: ttlOf(scope, now),
  };
  await scope.items.create(uploadKey(upload.id), upload as unknown as Item, now);
  return { body: uploadView(upload, now) };
}

async function addPart(scope: JobsScope): Promise<JsonAnswer> {
  const upload = await openUpload(scope);
  const { event, config } = scope;
  const body = event.body ?? '';
  requireSize(body, config.limits.maxRequestBytes, 'Part');
  const data = multipartParts(header(event, 'content-type'), body).find(({ name }) => name === 'data');
  if (data === undefined || data.text === '') {
    throw invalidRequest("Missing required parameter: 'data'.", 'data', 'missing_required_parameter');
  }
  if (data.text.startsWith(REPLACEMENT) || data.text.endsWith(REPLACEMENT)) {
    throw invalidRequest(
      "Invalid 'data': it begins or ends in the middle of a character; cut a file at the ends of its lines.",
      'data',
      'invalid_value',
    );
  }
  const name = randomBytes(12).toString('hex');
  const bytes = Buffer.byteLength(data.text);
  const now = scope.now();
  await scope.blobs.put(partKey(keyOf(upload.id), name), data.text);
  await scope.items.create(uploadPartKey(upload.id, name), { bytes, ttl: upload.ttl }, now);
  const id = `part_${name}`;
  return { body: { id, object: 'upload.part', created_at: seconds(now), upload_id: upload.id } };
}

async function complete(scope: JobsScope): Promise<JsonAnswer> {
  const upload = await ownUpload(scope);
  const { part_ids: partIds, md5 } = parseObject(scope);
  if (!Array.isArray(partIds) || partIds.length === 0 || partIds.length > MAX_PARTS) {
    throw invalidRequest(`Invalid 'part_ids': expected between 1 and ${MAX_PARTS} ids.`, 'part_ids', 'invalid_value');
  }
  const parts = JSON.stringify(partIds.map((id) => String(id).replace(/^part_/, '')));
  // A client that didn't hear the answer asks again.
  if (upload.status === 'completed' && upload.partIds === parts) return completed(upload, scope);
  requirePending(upload, scope);
  const bytes = await sizeOf(upload, JSON.parse(parts) as string[], scope);
  if (bytes !== upload.bytes) {
    throw invalidRequest(
      `The parts have ${bytes} bytes together, not the ${upload.bytes} that the upload was made for.`,
      'part_ids',
      'invalid_value',
    );
  }
  if (md5 != null && md5 !== (await md5Of(upload, parts, scope))) {
    throw invalidRequest("Invalid 'md5': the parts have another one.", 'md5', 'invalid_value');
  }
  const done = await scope.items.change(uploadKey(upload.id), turn('completed', { partIds: parts }));
  return completed(done === undefined ? await pendingNoMore(scope) : (done as unknown as Upload), scope);
}

async function sizeOf(upload: Upload, names: readonly string[], { items }: JobsScope): Promise<number> {
  const found = await items.getAll([...new Set(names)].map((name) => uploadPartKey(upload.id, name)));
  const sizes = new Map(found.map(({ sk, bytes }) => [String(sk).slice('part#'.length), Number(bytes)]));
  let sum = 0;
  for (const name of names) {
    const size = sizes.get(name);
    if (size === undefined) throw notFound('upload part', `part_${name}`);
    sum += size;
  }
  return sum;
}

async function md5Of({ id }: Upload, parts: string, { blobs }: JobsScope): Promise<string> {
  const hash = createHash('md5');
  for await (const chunk of bytesOf({ key: keyOf(id), parts }, blobs)) hash.update(chunk);
  return hash.digest('hex');
}

async function completed(upload: Upload, scope: JobsScope): Promise<JsonAnswer> {
  const file: StoredFile = {
    id: fileIdOf(upload.id),
    consumer: upload.consumer,
    filename: upload.filename,
    bytes: upload.bytes,
    purpose: upload.purpose,
    createdAt: upload.createdAt,
    key: keyOf(upload.id),
    parts: upload.partIds ?? '[]',
    ttl: upload.ttl,
  };
  await keepFile(file, scope.items);
  return { body: { ...uploadView(upload, scope.now()), file: fileView(file) } };
}

async function cancel(scope: JobsScope): Promise<JsonAnswer> {
  const upload = await openUpload(scope);
  const done = await scope.items.change(uploadKey(upload.id), turn('cancelled'));
  return {
    body: uploadView(done === undefined ? await pendingNoMore(scope) : (done as unknown as Upload), scope.now()),
  };
}

const turn = (status: Upload['status'], more: Readonly<Record<string, Value>> = {}): Change => ({
  when: all(where('status', '=', 'pending')),
  set: { ...more, status },
});

/** @throws ApiError 404 */
async function ownUpload(scope: JobsScope): Promise<Upload> {
  const id = scope.params.id ?? '';
  const upload = (await scope.items.get(uploadKey(id))) as unknown as Upload | undefined;
  if (upload === undefined || upload.consumer !== scope.caller.consumer || upload.ttl * 1000 <= scope.now()) {
    throw notFound('upload', id);
  }
  return upload;
}

/** @throws ApiError 404, or 400 for one that is over */
async function openUpload(scope: JobsScope): Promise<Upload> {
  const upload = await ownUpload(scope);
  requirePending(upload, scope);
  return upload;
}

function requirePending(upload: Upload, { now }: JobsScope): void {
  const status = statusOf(upload, now());
  if (status !== 'pending') throw invalidRequest(`The upload is ${status}.`, null, 'upload_not_pending');
}

/** It was ended by another call just now. @throws ApiError 400 */
async function pendingNoMore(scope: JobsScope): Promise<never> {
  const { status } = await ownUpload(scope);
  throw invalidRequest(`The upload is ${status}.`, null, 'upload_not_pending');
}

const statusOf = ({ status, expiresAt }: Upload, now: number): string =>
  status === 'pending' && expiresAt <= now ? 'expired' : status;

const uploadView = (upload: Upload, now: number) => ({
  id: upload.id,
  object: 'upload',
  bytes: upload.bytes,
  created_at: seconds(upload.createdAt),
  expires_at: seconds(upload.expiresAt),
  filename: upload.filename,
  purpose: upload.purpose,
  status: statusOf(upload, now),
  file: null as object | null,
});
