import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { HELLO, KEY_ID, model, openAiBackend, servingConfig } from '../support/serving.ts';
import { answerText, Upstream } from '../support/upstream.ts';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const run = promisify(execFile);

let asset: string;
let up: Upstream;

/** Runs the built bundle in a process of its own, with the global that Lambda's runtime gives it. */
const DRIVER = `
import { Writable } from 'node:stream';
globalThis.awslambda = {
  streamifyResponse: (handler) => Object.assign(handler, { streaming: true }),
  HttpResponseStream: { from: (stream, prelude) => Object.assign(stream, { prelude }) },
};
const started = performance.now();
const { handler } = await import(process.argv[2]);
const initMs = performance.now() - started;
const chunks = [];
const stream = new Writable({ write(chunk, _encoding, done) { chunks.push(chunk); done(); } });
const lines = [];
process.stdout.write = (line) => lines.push(line);
await handler(JSON.parse(process.argv[3]), stream, { getRemainingTimeInMillis: () => 60000 });
console.error(JSON.stringify({ streaming: handler.streaming, prelude: stream.prelude, body: Buffer.concat(chunks).toString(), lines, initMs }));
`;

beforeAll(async () => {
  await run(process.execPath, [join(ROOT, 'scripts/build.ts'), 'schemas', 'handlers'], { cwd: ROOT });
  up = await Upstream.start(answerText('Hello from the bundle'));
  asset = await mkdtemp(join(tmpdir(), 'api-'));
  await cp(join(ROOT, 'assets/handlers/api'), asset, { recursive: true });
  const config = servingConfig([model([openAiBackend('', { baseUrl: { env: 'BASE_URL' } })])]);
  await writeFile(join(asset, 'serving-config.json'), JSON.stringify(config));
  await writeFile(join(asset, 'driver.mjs'), DRIVER);
});

afterAll(async () => {
  await up.stop();
  await rm(asset, { recursive: true, force: true });
});

const drive = (env: Record<string, string>, body: object) =>
  run(
    process.execPath,
    [
      join(asset, 'driver.mjs'),
      join(asset, 'index.mjs'),
      JSON.stringify({
        httpMethod: 'POST',
        resource: '/v1/chat/completions',
        path: '/v1/chat/completions',
        headers: {},
        body: JSON.stringify(body),
        requestContext: { requestId: 'r', identity: { apiKeyId: KEY_ID } },
      }),
    ],
    { env: { PATH: process.env.PATH ?? '', ...env } },
  );

test('the built bundle answers a stream as Lambda would call it, and logs one line', async () => {
  const { stderr } = await drive({ BASE_URL: up.url }, { ...HELLO, stream: true });
  const result = JSON.parse(stderr);
  expect(result).toMatchObject({
    streaming: true,
    prelude: { statusCode: 200, headers: { 'x-llm-backend': 'first' } },
  });
  expect(result.body).toMatch(/data: \[DONE\]\n\n$/);
  expect(result.lines).toHaveLength(1);
  expect(JSON.parse(result.lines[0])).toMatchObject({ message: 'chat completion', status: 200 });
});

test('a variable that is missing fails the start, by its name', async () => {
  await expect(drive({}, HELLO)).rejects.toThrow('environment variable BASE_URL is missing');
});

test('what a start loads is small: no SDK, no schema library, no TLS', async () => {
  const entry = await readFile(join(asset, 'index.mjs'), 'utf8');
  expect(entry.length).toBeLessThan(120_000);
  const loaded = [...entry.matchAll(/(?:^|;)import[^(]*?from"([^"]+)"/g)].map(([, name]) => name ?? '');
  for (const name of loaded.filter((each) => each.startsWith('./'))) {
    expect((await readFile(join(asset, name), 'utf8')).length).toBeLessThan(20_000);
  }
  expect(loaded).not.toContain('node:https');
});
