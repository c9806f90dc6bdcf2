import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type LocalFunction, startFunction } from '../../../local/lambda/local-function.ts';
import { HELLO, KEY_ID, model, openAiBackend, servingConfig } from '../support/serving.ts';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const STREAMS = 6;
const CHUNKS = 8;
const PACE_MS = 150;

let folder: string;
let fn: LocalFunction;

const upstream = createServer(async (request, response) => {
  for await (const _ of request);
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const chunk = { id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 0, model: 'm' };
  for (let i = 0; i < CHUNKS; i++) {
    const choices = [{ index: 0, delta: { content: ` ${i}` }, finish_reason: i === CHUNKS - 1 ? 'stop' : null }];
    response.write(`data: ${JSON.stringify({ ...chunk, choices })}\n\n`);
    await sleep(PACE_MS);
  }
  response.end('data: [DONE]\n\n');
});

beforeAll(async () => {
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve));
  folder = await mkdtemp(join(tmpdir(), 'many-streams-'));
  await cp(join(ROOT, 'assets/handlers/api'), folder, { recursive: true });
  const baseUrl = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`;
  await writeFile(
    join(folder, 'serving-config.json'),
    JSON.stringify(servingConfig([model([openAiBackend(baseUrl)])])),
  );
  fn = startFunction({
    codeDir: folder,
    handler: 'index.handler',
    concurrency: STREAMS,
    // All on one worker thread: the case in which the runtime would let them wait for each other.
    environment: { AWS_LAMBDA_NODEJS_WORKER_COUNT: '1' },
  });
});

afterAll(async () => {
  await fn.close();
  upstream.close();
  upstream.closeAllConnections();
  await rm(folder, { recursive: true });
});

test('on one worker of a Managed Instances environment, all streams flow at once', async () => {
  await streamed();
  const streams = await Promise.all(Array.from({ length: STREAMS }, streamed));
  const lastStart = Math.max(...streams.map(({ firstTokenAt }) => firstTokenAt));
  const firstEnd = Math.min(...streams.map(({ endAt }) => endAt));
  expect(lastStart).toBeLessThan(firstEnd);
  expect(fn.pids).toHaveLength(1);
});

async function streamed(): Promise<{ firstTokenAt: number; endAt: number }> {
  const { body } = await fn.invokeStreaming({
    httpMethod: 'POST',
    resource: '/v1/chat/completions',
    path: '/v1/chat/completions',
    headers: { 'content-type': 'application/json' },
    requestContext: { requestId: 'r', identity: { apiKeyId: KEY_ID } },
    body: JSON.stringify({ ...HELLO, stream: true }),
  });
  let firstTokenAt: number | undefined;
  let text = '';
  for await (const piece of body) {
    text += piece;
    if (text.includes('"content":" 0"')) firstTokenAt ??= performance.now();
  }
  if (firstTokenAt === undefined || !text.includes('[DONE]')) throw new Error(`not a whole stream: ${text}`);
  return { firstTokenAt, endAt: performance.now() };
}
