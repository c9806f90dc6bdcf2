import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { deploy, HELLO, model, openAiBackend, servingConfig, textOf } from '../support/serving.ts';
import { type Answerer, answerStatus, answerText, chunk, DONE, sse, Upstream } from '../support/upstream.ts';

const closing: Array<() => Promise<unknown>> = [];
async function upstream(answer: Answerer): Promise<Upstream> {
  const started = await Upstream.start(answer);
  closing.push(() => started.stop());
  return started;
}
afterEach(async () => {
  await Promise.all(closing.splice(0).map((close) => close()));
});

test('a TLS handshake that never ends is given up after the time for connecting', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(async () => server.close());
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  const deadlines = { connectMs: 100, firstTokenMs: 5000, betweenTokensMs: 5000 };
  const { chat, requestLog, log } = deploy(servingConfig([model([openAiBackend(url, { deadlines })])]));
  expect((await chat({ ...HELLO, stream: true })).status).toBe(504);
  expect(log[0]).toMatchObject({ kind: 'timeout', reason: 'connecting took longer than 100 ms' });
  expect(requestLog()[0]?.Duration).toBeLessThan(1000);
});

test('a stream that comes compressed although nobody asked passes on token by token', async () => {
  const zlib = await import('node:zlib');
  const up = await upstream(async (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'content-encoding': 'gzip' });
    const gzip = zlib.createGzip();
    gzip.pipe(response);
    for (const word of ['one ', 'two ', 'three']) {
      gzip.write(chunk({ content: word }));
      await new Promise<void>((resolve) => gzip.flush(() => resolve()));
      await new Promise((resolve) => setTimeout(resolve, 60));
    }
    gzip.end(chunk({}, 'stop') + DONE);
  });
  const { events, stream } = await deploy(servingConfig([model([openAiBackend(up.url)])])).chat({
    ...HELLO,
    stream: true,
  });
  expect(textOf(events)).toBe('one two three');
  const at = stream.chunks.filter(({ bytes }) => bytes.includes('"content":"')).map((each) => each.at);
  expect((at[2] ?? 0) - (at[0] ?? 0)).toBeGreaterThan(80);
});

test('what is compressed badly breaks off, and is no crash', async () => {
  const up = await upstream((response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'content-encoding': 'gzip' });
    response.end('this is no gzip');
  });
  const { status } = await deploy(servingConfig([model([openAiBackend(up.url)])])).chat({ ...HELLO, stream: true });
  expect(status).toBe(502);
});

test('an event without end is given up', async () => {
  const up = await upstream((response) => {
    sse(response).write(chunk({ content: 'x' }));
    const block = Buffer.alloc(1024 * 1024, 'x');
    response.write('data: {"a":"');
    const more = () => {
      while (!response.destroyed && response.write(block));
      if (!response.destroyed) response.once('drain', more);
    };
    more();
  });
  const { chat, log } = deploy(servingConfig([model([openAiBackend(up.url)])]));
  const { events } = await chat({ ...HELLO, stream: true });
  expect(events.at(-1)).toBe('[DONE]');
  expect(log[0]).toMatchObject({ kind: 'protocol' });
});

describe('a key from Secrets Manager', () => {
  let secret = 'key-one';
  let reads = 0;
  beforeEach(async () => {
    secret = 'key-one';
    reads = 0;
    const server = createHttpServer((request, response) => {
      reads += 1;
      request.resume();
      response.writeHead(200, { 'content-type': 'application/x-amz-json-1.1' });
      response.end(JSON.stringify({ ARN: 'arn', Name: 'n', SecretString: secret, VersionId: 'v' }));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closing.push(async () => {
      server.closeAllConnections();
      server.close();
    });
    vi.stubEnv('AWS_ENDPOINT_URL_SECRETS_MANAGER', `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    vi.stubEnv('AWS_REGION', 'eu-west-1');
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'test');
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'test');
    // The client is made once a process: each test of this block gets one of its own.
    vi.resetModules();
  });
  afterEach(() => {
    vi.unstubAllEnvs();
    vi.restoreAllMocks();
  });

  async function deployWithSecret(url: string) {
    const { deploy: freshDeploy } = await import('../support/serving.ts');
    const auth = { type: 'secret', secretArn: { env: 'SECRET_ARN' } };
    const env = { SECRET_ARN: 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:k-abcdef' };
    return freshDeploy(servingConfig([model([openAiBackend(url, { auth })])]), env);
  }

  test('is sent, and read once', async () => {
    const up = await upstream(answerText('x'));
    const { chat } = await deployWithSecret(up.url);
    await chat(HELLO);
    await chat(HELLO);
    expect(up.requests.map(({ headers }) => headers.authorization)).toEqual(['Bearer key-one', 'Bearer key-one']);
    expect(reads).toBe(1);
  });

  test('is read again when it is refused: it was rotated', async () => {
    let accepted = 'Bearer key-one';
    const up = await upstream((response, request, incoming) =>
      (request.headers.authorization === accepted ? answerText('x') : answerStatus(401))(response, request, incoming),
    );
    const realNow = Date.now;
    let later = 0;
    vi.spyOn(Date, 'now').mockImplementation(() => realNow() + later);
    const { chat, requestLog } = await deployWithSecret(up.url);
    expect((await chat(HELLO)).status).toBe(200);
    // A secret that was only just read isn't read again.
    later = 60_000;
    secret = 'key-two';
    accepted = 'Bearer key-two';
    expect((await chat(HELLO)).status).toBe(200);
    expect(reads).toBe(2);
    expect(requestLog()).toMatchObject([{ attempts: 1 }, { attempts: 1 }]);
  });

  test('that stays wrong is tried twice, not for ever', async () => {
    const up = await upstream(answerStatus(401));
    const { chat, lines } = await deployWithSecret(up.url);
    expect((await chat(HELLO)).status).toBe(502);
    expect(up.requests).toHaveLength(2);
    expect(lines.join('')).not.toContain('key-one');
  });
});
