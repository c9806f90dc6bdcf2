import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import OpenAI, { toFile } from 'openai';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { main } from '../../bin/llm/main.ts';
import { createTextModel } from '../../local/model/index.ts';
import { type LocalRun, startLocal } from '../../local/run.ts';
import { startFaultyUpstream } from './faulty-upstream.ts';
import { Receiver } from './receiver.ts';

const patience = { timeout: 30_000, interval: 50 };

let folder: string;
let run: LocalRun;
let receiver: Receiver;
let faulty: Awaited<ReturnType<typeof startFaultyUpstream>>;
const lines: string[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'e2e-jobs-'));
  faulty = await startFaultyUpstream();
  receiver = await Receiver.start();
  await promisify(execFile)(process.execPath, [fileURLToPath(new URL('./jobs-app.ts', import.meta.url))], {
    env: { ...process.env, CDK_OUTDIR: folder, E2E_FAULTY_URL: faulty.url },
  });
  run = await startLocal({
    assembly: folder,
    stateFolder: join(folder, 'state'),
    model: await createTextModel({ tokensPerSecond: 400, timeToFirstTokenMs: 20 }),
    log: (label, line) => lines.push(`${label} ${line}`),
  });
});

afterAll(async () => {
  await run?.close();
  await Promise.all([receiver?.close(), faulty?.close()]);
  await rm(folder, { recursive: true, force: true });
});

interface JobView {
  readonly id: string;
  readonly status: string;
  readonly [field: string]: unknown;
}

interface Answer<T> {
  readonly status: number;
  readonly headers: Headers;
  readonly body: T;
}

async function call<T = JobView>(
  method: string,
  path: string,
  options: { body?: object; as?: string; headers?: Record<string, string> } = {},
): Promise<Answer<T>> {
  const response = await fetch(`${run.url}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${run.keys[options.as ?? 'alice']}`,
      'content-type': 'application/json',
      ...options.headers,
    },
    ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
  });
  return { status: response.status, headers: response.headers, body: (await response.json()) as T };
}

const ask = (content: string, more: object = {}) => ({
  model: 'chat',
  messages: [{ role: 'user', content }],
  max_completion_tokens: 20,
  ...more,
});

const submit = async (body: object, as = 'alice'): Promise<JobView> => {
  const { status, body: job } = await call('POST', '/jobs', { body, as });
  expect(status, JSON.stringify(job)).toBe(202);
  return job;
};

const ended = (id: string, status = 'succeeded', as = 'alice'): Promise<JobView> =>
  vi.waitFor(async () => {
    const { body } = await call('GET', `/jobs/${id}`, { as });
    expect(body).toMatchObject({ status });
    return body;
  }, patience);

describe('a job', () => {
  test('is taken at once, run, and told about: its result, what it used and cost', async () => {
    const { status, headers, body } = await call('POST', '/jobs', {
      body: ask('Say hello', { metadata: { order: '7' } }),
    });
    expect(status).toBe(202);
    expect(headers.get('location')).toMatch(new RegExp(`/v1/jobs/${body.id}$`));
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
    expect(body).toMatchObject({ object: 'job', status: 'queued', model: 'chat', metadata: { order: '7' } });
    const done = await ended(body.id);
    expect(done).toMatchObject({
      result: { object: 'chat.completion', choices: [{ message: { role: 'assistant' }, finish_reason: 'length' }] },
      attempts: 1,
      backend: 'bedrock-amazon-nova-lite-v1-0',
    });
    const { usage, result } = done as unknown as { usage: Record<string, number>; result: { usage: object } };
    expect(usage.completion_tokens).toBe(20);
    expect(usage.cost_usd).toBeGreaterThan(0);
    expect(result.usage).toMatchObject({ completion_tokens: 20, cost_usd: usage.cost_usd });
  });

  test('has a result of the kind that was asked for: a tool call', async () => {
    const tools = [
      {
        type: 'function',
        function: { name: 'look_up', parameters: { type: 'object', properties: { q: { type: 'string' } } } },
      },
    ];
    const { id } = await submit(ask('Look it up', { tools, tool_choice: 'required', max_completion_tokens: 200 }));
    const { result } = (await ended(id)) as unknown as { result: { choices: [{ message: { tool_calls: object[] } }] } };
    expect(result.choices[0].message.tool_calls).toEqual([
      { id: expect.any(String), type: 'function', function: { name: 'look_up', arguments: expect.any(String) } },
    ]);
  });

  test('with the same Idempotency-Key is the same job; with another request the key is refused', async () => {
    const headers = { 'idempotency-key': 'order-1' };
    const body = ask('Once');
    const [first, second] = await Promise.all([1, 2].map(() => call('POST', '/jobs', { body, headers })));
    expect(second?.body.id).toBe(first?.body.id);
    const other = await call('POST', '/jobs', { body: ask('Twice'), headers });
    expect(other).toMatchObject({ status: 422, body: { error: { code: 'idempotency_key_reused' } } });
    const later = await call('POST', '/jobs', { body: { ...body, expires_in: 3600 }, headers });
    expect(later).toMatchObject({ status: 422 });
    const bobs = await call('POST', '/jobs', { body, headers, as: 'bob' });
    expect(bobs.body.id).not.toBe(first?.body.id);
    await ended(String(first?.body.id));
  });

  test("of another consumer isn't there", async () => {
    const { id } = await submit(ask('Mine'));
    for (const method of ['GET', 'DELETE']) {
      expect(await call(method, `/jobs/${id}`, { as: 'bob' })).toMatchObject({
        status: 404,
        body: { error: { code: 'not_found' } },
      });
    }
    await ended(id);
  });

  test('is cancelled while it runs, and stays so', async () => {
    const { id } = await submit(ask('slow', { model: 'faulty', max_completion_tokens: 4000 }));
    await ended(id, 'running');
    expect((await call('DELETE', `/jobs/${id}`)).body.status).toBe('cancelled');
    expect(await ended(id, 'cancelled')).not.toHaveProperty('result');
  });

  test('that waits for its time is cancelled before it runs', async () => {
    const { id } = await submit(ask('Later', { not_before: Math.floor(Date.now() / 1000) + 600 }));
    expect((await call('DELETE', `/jobs/${id}`)).body).toMatchObject({ status: 'cancelled', attempts: 0 });
  });

  test('that the model refuses has failed, with its error', async () => {
    const { id } = await submit(ask('status 400', { model: 'faulty' }));
    const { error } = await ended(id, 'failed');
    expect(error).toMatchObject({ message: 'as you asked: 400', type: 'invalid_request_error' });
  });

  test('that the model is too busy for waits, and says what for', async () => {
    const { id } = await submit(ask('status 429', { model: 'faulty' }));
    await vi.waitFor(async () => {
      const { body, headers } = await call('GET', `/jobs/${id}`);
      expect(body).toMatchObject({ status: 'queued', waiting_for: 'backend_throttled', attempts: 0 });
      expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
    }, patience);
    await call('DELETE', `/jobs/${id}`);
  });

  test('longer than an item may be goes through S3', async () => {
    const { id } = await submit(ask('long '.repeat(60_000)));
    expect((await ended(id)).result).toMatchObject({ object: 'chat.completion' });
  });
});

test.each(['low', 'normal', 'high'])('may have a priority: %s', async (priority) => {
  const { id } = await submit(ask(`As ${priority} as it is`, { priority }));
  await ended(id);
});

describe('what is no job', () => {
  test.each<[string, object, number, string | null]>([
    ['no messages', { messages: [] }, 400, 'messages'],
    ['a model that is none', { model: 'nobody' }, 404, 'model'],
    ['an expiry of a minute less a second', { expires_in: 59 }, 400, 'expires_in'],
    ['a beginning after its end', { expires_in: 60, not_before: 4_000_000_000 }, 400, 'not_before'],
    ['a priority that is none', { priority: 'urgent' }, 400, 'priority'],
    ['a parameter that is ours to set', { cache_salt: 'mine' }, 400, 'cache_salt'],
    ['metadata that no item has room for', { metadata: { a: 'x'.repeat(500_000) } }, 400, 'metadata'],
    ['a webhook that is a text', { webhook: 'https://example.com' }, 400, 'webhook'],
    ['a webhook at a private address', { webhook: { url: 'https://10.0.0.1/' } }, 400, 'webhook.url'],
    ['a webhook by http', { webhook: { url: 'http://example.com/' } }, 400, 'webhook.url'],
  ])('%s', async (_, more, status, param) => {
    const answer = await call<{ error: object }>('POST', '/jobs', { body: ask('hello', more) });
    expect(answer).toMatchObject({ status, body: { error: { param } } });
  });

  test('a model that the tier may not use: 403', async () => {
    expect((await call('POST', '/jobs', { body: ask('hello'), as: 'carol' })).status).toBe(403);
  });

  test('without a key: 401', async () => {
    const response = await fetch(`${run.url}/jobs`, { method: 'POST', body: '{}' });
    expect(response.status).toBe(401);
    await response.body?.cancel();
  });
});

test('lists a consumer its own jobs, newest first, in pages', async () => {
  const ids: string[] = [];
  for (let i = 0; i < 5; i++) ids.unshift((await submit(ask(`Number ${i}`, { model: 'faulty' }), 'carol')).id);
  const found: string[] = [];
  let after = '';
  for (;;) {
    const page = await call<{ data: JobView[]; has_more: boolean; last_id: string }>(
      'GET',
      `/jobs?limit=2${after === '' ? '' : `&after=${after}`}`,
      { as: 'carol' },
    );
    expect(page.status).toBe(200);
    found.push(...page.body.data.map(({ id }) => id));
    if (!page.body.has_more) break;
    after = page.body.last_id;
  }
  expect(found).toEqual(ids);
});

describe('a webhook', () => {
  const secretOf = (as: string, method = 'GET') =>
    call<{ secret: string; previous_secret: string | null }>(method, '/webhooks/secret', { as });

  test('tells of the end, signed with the secret of the consumer', async () => {
    const { body: alice } = await secretOf('alice');
    const { body: bob } = await secretOf('bob');
    receiver.secrets = [bob.secret, alice.secret];
    const { id } = await submit(ask('Tell me', { webhook: { url: receiver.url } }));
    const [notice] = await vi.waitFor(() => {
      expect(receiver.of(id)).toHaveLength(1);
      return receiver.of(id);
    }, patience);
    expect(notice).toMatchObject({
      id: `msg_${id}`,
      verifiedWith: alice.secret,
      body: { type: 'job.succeeded', data: { id, status: 'succeeded', result: { object: 'chat.completion' } } },
    });
    await vi.waitFor(async () => {
      const { body } = await call('GET', `/jobs/${id}`);
      expect(body.webhook).toMatchObject({ status: 'delivered', attempts: [{ status: 204, error: null }] });
    }, patience);
  });

  test('that is not taken comes again, with the same id', async () => {
    receiver.statuses.push(500, 302);
    const { id } = await submit(ask('Again', { webhook: { url: receiver.url } }));
    await vi.waitFor(() => expect(receiver.of(id).length).toBeGreaterThanOrEqual(2), patience);
    expect(new Set(receiver.of(id).map((each) => each.id))).toEqual(new Set([`msg_${id}`]));
    const { body } = await call('GET', `/jobs/${id}`);
    expect(body.webhook).toMatchObject({
      status: 'due',
      attempts: expect.arrayContaining([{ at: expect.any(Number), status: 500, error: 'status 500' }]),
    });
  });

  test('is signed with the old secret too for a while after a rotation', async () => {
    const { body: before } = await secretOf('bob');
    const { body: after } = await secretOf('bob', 'POST');
    expect(after).toMatchObject({ previous_secret: before.secret });
    expect(after.secret).not.toBe(before.secret);
    // A second rotation within the overlap changes nothing: nobody could follow.
    expect((await secretOf('bob', 'POST')).body).toEqual(after);
    for (const secret of [before.secret, after.secret]) {
      receiver.secrets = [secret];
      const { id } = await submit(ask('Rotated', { webhook: { url: receiver.url } }), 'bob');
      await vi.waitFor(() => expect(receiver.of(id)[0]).toMatchObject({ verifiedWith: secret }), patience);
    }
  });
});

describe('the OpenAI SDK', () => {
  const client = () => new OpenAI({ baseURL: run.url, apiKey: run.keys.alice, maxRetries: 0 });
  const line = (id: string, body: object) =>
    JSON.stringify({ custom_id: id, method: 'POST', url: '/v1/chat/completions', body });
  const upload = async (lines: readonly string[]) =>
    client().files.create({
      file: await toFile(Buffer.from(lines.join('\n')), 'requests.jsonl'),
      purpose: 'batch',
    });
  const start = async (lines: readonly string[]) =>
    client().batches.create({
      input_file_id: (await upload(lines)).id,
      endpoint: '/v1/chat/completions',
      completion_window: '24h',
      metadata: { night: 'run' },
    });
  const batchEnds = (id: string, status: string) =>
    vi.waitFor(async () => {
      const batch = await client().batches.retrieve(id);
      expect(batch).toMatchObject({ status });
      return batch;
    }, patience);
  const linesOf = async (id: string | null | undefined) =>
    (await (await client().files.content(String(id))).text())
      .trim()
      .split('\n')
      .map((text) => JSON.parse(text));

  test('runs a batch: a file of requests in, files of results and errors out', async () => {
    const batch = await start([
      ...Array.from({ length: 12 }, (_, i) => line(`ok-${i}`, ask(`Grüß Gott ${i}`))),
      line('bad', ask('status 400', { model: 'faulty' })),
      line('unknown', ask('hello', { model: 'nobody' })),
    ]);
    expect(batch).toMatchObject({ object: 'batch', status: 'validating', completion_window: '24h' });
    const done = await batchEnds(batch.id, 'completed');
    expect(done.request_counts).toEqual({ total: 14, completed: 12, failed: 2 });
    expect(done.metadata).toEqual({ night: 'run' });
    const output = await linesOf(done.output_file_id);
    expect(output.map(({ custom_id }) => custom_id)).toEqual(Array.from({ length: 12 }, (_, i) => `ok-${i}`));
    for (const { response, error } of output) {
      expect(error).toBeNull();
      expect(response).toMatchObject({
        status_code: 200,
        body: { object: 'chat.completion', usage: { completion_tokens: 20 } },
      });
    }
    const errors = await linesOf(done.error_file_id);
    expect(errors).toMatchObject([
      { custom_id: 'bad', response: { status_code: 400, body: { error: { message: 'as you asked: 400' } } } },
      { custom_id: 'unknown', response: { body: { error: { code: 'model_not_found' } } } },
    ]);
    const found: string[] = [];
    for await (const each of client().batches.list({ limit: 1 })) found.push(each.id);
    expect(found).toContain(batch.id);
  });

  test('is told what is wrong with a file, line by line', async () => {
    const batch = await start([line('a', ask('x')), 'no json', line('a', ask('y'))]);
    const { errors } = await batchEnds(batch.id, 'failed');
    expect(errors?.data).toMatchObject([
      { code: 'invalid_json_line', line: 2 },
      { code: 'duplicate_custom_id', line: 3 },
    ]);
  });

  test('cancels a batch', async () => {
    const slow = ask('Write a very long story', { max_completion_tokens: 4000 });
    const batch = await start(Array.from({ length: 30 }, (_, i) => line(`slow-${i}`, slow)));
    await batchEnds(batch.id, 'in_progress');
    expect((await client().batches.cancel(batch.id)).status).toBe('cancelling');
    const { request_counts } = await batchEnds(batch.id, 'cancelled');
    expect(request_counts?.total).toBe(30);
  });

  test('runs a batch of a file that was uploaded in parts', async () => {
    const text = Array.from({ length: 4 }, (_, i) => `${line(`part-${i}`, ask(`Straße ${i}`))}\n`);
    const bytes = Buffer.byteLength(text.join(''));
    const upload = await client().uploads.create({
      filename: 'long.jsonl',
      purpose: 'batch',
      bytes,
      mime_type: 'application/jsonl',
    });
    expect(upload).toMatchObject({ object: 'upload', status: 'pending', bytes });
    const partIds: string[] = [];
    // In any order: it is their completion that says it.
    for (const part of [text.slice(2), text.slice(0, 2)]) {
      const data = await toFile(Buffer.from(part.join('')), 'part');
      partIds.unshift((await client().uploads.parts.create(upload.id, { data })).id);
    }
    await expect(client().uploads.complete(upload.id, { part_ids: partIds.slice(1) })).rejects.toMatchObject({
      status: 400,
      param: 'part_ids',
    });
    const md5 = createHash('md5').update(text.join('')).digest('hex');
    await expect(
      client().uploads.complete(upload.id, { part_ids: partIds, md5: md5.replace(/./, 'x') }),
    ).rejects.toMatchObject({ status: 400, param: 'md5' });
    const { status, file } = await client().uploads.complete(upload.id, { part_ids: partIds, md5 });
    expect({ status, file }).toMatchObject({ status: 'completed', file: { object: 'file', bytes, purpose: 'batch' } });
    expect(await (await client().files.content(String(file?.id))).text()).toBe(text.join(''));
    await expect(
      client().uploads.parts.create(upload.id, { data: await toFile(Buffer.from('x'), 'part') }),
    ).rejects.toMatchObject({ status: 400, code: 'upload_not_pending' });
    const batch = await client().batches.create({
      input_file_id: String(file?.id),
      endpoint: '/v1/chat/completions',
      completion_window: '24h',
    });
    const done = await batchEnds(batch.id, 'completed');
    expect((await linesOf(done.output_file_id)).map(({ custom_id }) => custom_id)).toEqual(
      Array.from({ length: 4 }, (_, i) => `part-${i}`),
    );
  });

  test('cancels an upload, and is told of a part that was cut within a character', async () => {
    const { id } = await client().uploads.create({
      filename: 'long.jsonl',
      purpose: 'batch',
      bytes: 10,
      mime_type: 'application/jsonl',
    });
    const data = await toFile(Buffer.from('ß').subarray(0, 1), 'part');
    await expect(client().uploads.parts.create(id, { data })).rejects.toMatchObject({ status: 400, param: 'data' });
    expect(await client().uploads.cancel(id)).toMatchObject({ status: 'cancelled' });
    await expect(client().uploads.complete(id, { part_ids: ['part_x'] })).rejects.toMatchObject({ status: 400 });
  });

  test.each<[string, unknown]>([
    ['a list', ['a']],
    ['a number for a value', { a: 1 }],
    ['a value that is too long', { a: 'x'.repeat(513) }],
    ['too many pairs', Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`k${i}`, 'v']))],
  ])('is told that metadata of a batch is wrong: %s', async (_, metadata) => {
    const { id } = await upload([line('a', ask('x'))]);
    await expect(
      client().batches.create({
        input_file_id: id,
        endpoint: '/v1/chat/completions',
        completion_window: '24h',
        metadata: metadata as Record<string, string>,
      }),
    ).rejects.toMatchObject({ status: 400, param: 'metadata' });
  });

  test('lists files past those that were deleted, and by their purpose', async () => {
    const carol = new OpenAI({ baseURL: run.url, apiKey: run.keys.carol, maxRetries: 0 });
    const files = [];
    for (let i = 0; i < 4; i++) {
      const file = await toFile(Buffer.from(line(`${i}`, ask('x'))), `${i}.jsonl`);
      files.push(await carol.files.create({ file, purpose: 'batch' }));
    }
    // The newest ones would be the first page.
    for (const { id } of files.slice(1)) await carol.files.delete(id);
    const page = await carol.files.list({ limit: 1 });
    expect(page.data.map(({ id }) => id)).toEqual([files[0]?.id]);
    expect((await carol.files.list({ purpose: 'batch_output' })).data).toEqual([]);
  });

  test('keeps its files to itself, and deletes them', async () => {
    const file = await upload([line('a', ask('x'))]);
    expect(file).toMatchObject({ object: 'file', filename: 'requests.jsonl', purpose: 'batch' });
    const bob = new OpenAI({ baseURL: run.url, apiKey: run.keys.bob, maxRetries: 0 });
    await expect(bob.files.retrieve(file.id)).rejects.toBeInstanceOf(OpenAI.NotFoundError);
    await expect(bob.files.content(file.id)).rejects.toBeInstanceOf(OpenAI.NotFoundError);
    expect(await client().files.delete(file.id)).toMatchObject({ deleted: true });
    await expect(client().files.retrieve(file.id)).rejects.toBeInstanceOf(OpenAI.NotFoundError);
  });

  const responseEnds = (id: string, status: string) =>
    vi.waitFor(async () => {
      const response = await client().responses.retrieve(id);
      expect(response).toMatchObject({ status });
      return response;
    }, patience);

  test('answers in the background', async () => {
    const response = await client().responses.create({
      model: 'chat',
      background: true,
      instructions: 'Be brief.',
      input: [{ role: 'user', content: [{ type: 'input_text', text: 'Say hello' }] }],
      max_output_tokens: 3000,
      metadata: { a: 'b' },
    });
    expect(response).toMatchObject({
      object: 'response',
      status: 'queued',
      background: true,
      instructions: 'Be brief.',
    });
    const done = await responseEnds(response.id, 'completed');
    expect(done.output_text).toMatch(/\S/);
    expect(done.usage?.output_tokens).toBeGreaterThan(0);
    expect(done).toMatchObject({ metadata: { a: 'b' }, error: null });
    // It is a response, not a job.
    expect((await call('GET', `/jobs/${response.id}`)).status).toBe(404);
  });

  test('calls a function in the background, and says when an answer was cut', async () => {
    const tools: OpenAI.Responses.Tool[] = [
      {
        type: 'function',
        name: 'look_up',
        strict: true,
        parameters: { type: 'object', properties: { q: { type: 'string' } } },
      },
    ];
    const request = { model: 'chat', background: true, input: 'Look it up' } as const;
    const called = await client().responses.create({
      ...request,
      tools,
      tool_choice: 'required',
      max_output_tokens: 500,
    });
    const cut = await client().responses.create({ ...request, max_output_tokens: 16 });
    expect((await responseEnds(called.id, 'completed')).output).toMatchObject([
      { type: 'function_call', name: 'look_up', arguments: expect.stringMatching(/^{/) },
    ]);
    expect(await responseEnds(cut.id, 'incomplete')).toMatchObject({
      incomplete_details: { reason: 'max_output_tokens' },
    });
  });

  test('repeats instructions that are longer than an item may be', async () => {
    const instructions = 'Be brief. '.repeat(50_000);
    const { id } = await client().responses.create({
      model: 'chat',
      background: true,
      instructions,
      input: 'hello',
      max_output_tokens: 16,
    });
    expect((await client().responses.retrieve(id)).instructions).toBe(instructions);
    await client().responses.cancel(id);
  });

  test('cancels a background response', async () => {
    const { id } = await client().responses.create({ model: 'chat', background: true, input: 'A very long story' });
    expect((await client().responses.cancel(id)).status).toBe('cancelled');
  });

  test('is told which of its parameters have no counterpart', async () => {
    const input = 'hello';
    await expect(client().responses.create({ model: 'chat', input })).rejects.toMatchObject({
      status: 400,
      param: 'background',
    });
    await expect(client().responses.retrieve('resp_1', { stream: true })).rejects.toMatchObject({
      status: 400,
      param: 'stream',
    });
    await expect(
      client().responses.create({ model: 'chat', input, background: true, stream: true }),
    ).rejects.toMatchObject({ status: 400, param: 'stream' });
    await expect(
      client().responses.create({ model: 'chat', input, background: true, previous_response_id: 'resp_1' }),
    ).rejects.toMatchObject({ status: 400, param: 'previous_response_id' });
  });
});

test("nothing of another consumer's is there, on any route", async () => {
  const alice = new OpenAI({ baseURL: run.url, apiKey: run.keys.alice, maxRetries: 0 });
  const request = { custom_id: 'a', method: 'POST', url: '/v1/chat/completions', body: ask('x', { model: 'nobody' }) };
  const file = await alice.files.create({
    file: await toFile(Buffer.from(JSON.stringify(request)), 'a.jsonl'),
    purpose: 'batch',
  });
  const batch = await alice.batches.create({
    input_file_id: file.id,
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
  });
  const response = await alice.responses.create({ model: 'chat', background: true, input: 'x' });
  const upload = await alice.uploads.create({ filename: 'a', purpose: 'batch', bytes: 1, mime_type: 'text/plain' });
  const { id: job } = await submit(ask('Mine'));
  const line = `line_${batch.id.slice('batch_'.length)}_0`;
  const batchOf = { input_file_id: file.id, endpoint: '/v1/chat/completions', completion_window: '24h' };
  for (const [method, path, body] of [
    ['GET', `/jobs/${job}`],
    ['DELETE', `/jobs/${job}`],
    ['GET', `/jobs?after=${job}`],
    ['GET', `/files/${file.id}`],
    ['GET', `/files/${file.id}/content`],
    ['DELETE', `/files/${file.id}`],
    ['GET', `/files?after=${file.id}`],
    ['POST', '/batches', batchOf],
    ['GET', `/batches/${batch.id}`],
    ['POST', `/batches/${batch.id}/cancel`, {}],
    ['GET', `/batches?after=${batch.id}`],
    ['POST', `/uploads/${upload.id}/complete`, { part_ids: ['part_a'] }],
    ['POST', `/uploads/${upload.id}/cancel`, {}],
    ['GET', `/responses/${response.id}`],
    ['POST', `/responses/${response.id}/cancel`, {}],
  ] as const) {
    const answer = await call(method, path, { as: 'bob', ...(body && { body }) });
    expect(answer, `${method} ${path}`).toMatchObject({ status: 404, body: { error: { code: 'not_found' } } });
  }
  // Nor are a consumer's own things what they are not.
  for (const path of [`/jobs/${line}`, `/jobs/${response.id}`, `/jobs?after=${line}`, `/responses/${job}`]) {
    expect((await call('GET', path)).status, path).toBe(404);
  }
  await call('DELETE', `/jobs/${job}`);
  await alice.responses.cancel(response.id);
});

describe('operators', () => {
  /** Runs the command line in the environment that the run tells. */
  const llm = async (...args: string[]) => {
    let out = '';
    let err = '';
    const before = { ...process.env };
    Object.assign(process.env, run.jobs);
    try {
      const status = await main(['jobs', ...args], { out: (text) => (out += text), err: (text) => (err += text) });
      return { status, out, err };
    } finally {
      process.env = before;
    }
  };

  test('list and show jobs without their content', async () => {
    const { id } = await submit(ask('A secret plan'), 'bob');
    await ended(id, 'succeeded', 'bob');
    expect((await llm('list', '--consumer', 'bob', '--status', 'succeeded')).out).toContain(id);
    const { out } = await llm('show', id);
    expect(JSON.parse(out)).toMatchObject({ id, status: 'succeeded', consumer: 'bob' });
    expect(out).not.toContain('A secret plan');
    expect((await llm('show', id, '--content')).out).toContain('A secret plan');
  });

  test('retry a job that failed, and cancel it', async () => {
    const { id } = await submit(ask('status 400', { model: 'faulty' }));
    await ended(id, 'failed');
    expect(await llm('retry', id)).toMatchObject({ status: 0 });
    await ended(id, 'failed');
    expect(await llm('cancel', id)).toMatchObject({ status: 0, err: expect.stringContaining('failed') });
    const { id: fine } = await submit(ask('hello'));
    await ended(fine);
    expect(await llm('retry', fine)).toMatchObject({ status: 1, err: expect.stringContaining('succeeded') });
    const { out } = await llm('list', '--status', 'failed', '--json', '--limit', '1000');
    const line = out
      .trim()
      .split('\n')
      .map((text) => JSON.parse(text) as { id: string; kind: string })
      .find(({ kind }) => kind === 'line');
    expect(await llm('retry', String(line?.id))).toMatchObject({
      status: 1,
      err: expect.stringContaining('a line of batch_'),
    });
  });

  test('have what could not be delivered sent again, with the id that it had', async () => {
    receiver.statuses.push(410);
    const { id } = await submit(ask('Nobody there', { webhook: { url: receiver.url } }));
    await vi.waitFor(async () => {
      expect((await call('GET', `/jobs/${id}`)).body.webhook).toMatchObject({ status: 'dead' });
    }, patience);
    expect(await llm('redrive')).toMatchObject({ status: 0, err: expect.stringContaining('1 notifications') });
    await vi.waitFor(() => expect(receiver.of(id)).toHaveLength(2), patience);
    expect(new Set(receiver.of(id).map((each) => each.id))).toEqual(new Set([`msg_${id}`]));
  });

  test('are told what is wrong', async () => {
    expect(await llm('show', 'job_none')).toMatchObject({ status: 1, err: 'error: no job has the id job_none\n' });
    expect(await llm('frobnicate')).toMatchObject({ status: 2 });
  });
});

test('no line of the log holds a prompt, a secret or an address of a receiver', async () => {
  const { body } = await call<{ secret: string }>('GET', '/webhooks/secret');
  const text = lines.join('\n');
  expect(text).toContain('chat completion');
  for (const secret of ['Say hello', body.secret, '/hook']) expect(text).not.toContain(secret);
});
