import { connect } from 'node:net';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { Invoke } from '../../../local/apigateway/authorizer.ts';
import { RestApi } from '../../../local/apigateway/rest-api.ts';
import { stageMetrics } from '../../../local/apigateway/stage-metrics.ts';
import { MetricStore } from '../../../local/cloudwatch/metric-store.ts';
import { FunctionError, RequestTooLargeError, ThrottledError } from '../../../local/lambda/invocation.ts';
import { buffered, definition, echo, lambda, method, NULS, send, start, streaming } from './api.ts';

describe('routing', () => {
  const routes = definition({
    'GET /': method(),
    'GET /v1/models': method(),
    'GET /v1/models/{model}': method(),
    'GET /v1/models/special': method(),
    'ANY /files/{path+}': method(),
    'POST /v1/chat/completions': method(),
  });

  test.each([
    ['GET', '/', '/', null],
    ['GET', '/v1/models', '/v1/models', null],
    ['GET', '/v1/models/', '/v1/models', null],
    ['GET', '/v1/models/gpt', '/v1/models/{model}', { model: 'gpt' }],
    ['GET', '/v1/models/a%2Fb%20c', '/v1/models/{model}', { model: 'a/b c' }],
    ['GET', '/v1/models/special', '/v1/models/special', null],
    ['DELETE', '/files/a/b/c.txt', '/files/{path+}', { path: 'a/b/c.txt' }],
  ])('%s %s goes to %s', async (verb, path, resource, pathParameters) => {
    const { url } = await start(routes);
    const { status, body } = await send(url, { method: verb, path });
    expect(status).toBe(200);
    expect(JSON.parse(body)).toMatchObject({ resource, pathParameters, httpMethod: verb });
  });

  test.each([
    ['GET', '/nowhere'],
    ['POST', '/v1/models'],
    ['GET', '/v1/models/a/b'],
    ['GET', '/prod/v1/models'],
  ])('%s %s is answered as API Gateway does: 403', async (verb, path) => {
    const { url, events } = await start(routes);
    const { status, headers, body } = await send(url, { method: verb, path });
    expect(status).toBe(403);
    expect(JSON.parse(body)).toEqual({ message: 'Missing Authentication Token' });
    expect(headers['x-amzn-errortype']).toBe('MissingAuthenticationTokenException');
    expect(events).toEqual([]);
  });
});

test.each([
  ['//evil.example/v1', '//evil.example/v1'],
  ['/%', '/%'],
  ['/a?b=%E0%A4%A&c', '/a'],
  ['http://other.example/a', '/a'],
  ['/..', '/..'],
])('the odd target %s is a path like any other', async (target, path) => {
  const { url } = await start(definition({ 'GET /{path+}': method() }));
  const { status, body } = await send(url, { path: target });
  expect({ status, path: JSON.parse(body).path }).toEqual({ status: 200, path });
});

test("a function gets the proxy event, with headers in the client's spelling", async () => {
  const { url, events } = await start(
    definition(
      { 'POST /v1/{name}': method() },
      { stage: { name: 'prod', variables: { a: 'b' }, accessLogFormat: undefined, methodThrottles: [] } },
    ),
  );
  const { headers } = await send(`${url}/v1/x?a=1&a=2&b=%20c`, {
    method: 'POST',
    headers: { 'X-Custom': 'Value', 'User-Agent': 'tester', 'Content-Type': 'application/json' },
    body: '{"žluť":1}',
  });
  expect(events[0]).toMatchObject({
    resource: '/v1/{name}',
    path: '/v1/x',
    httpMethod: 'POST',
    headers: { 'X-Custom': 'Value', 'User-Agent': 'tester', 'X-Forwarded-Proto': 'http' },
    multiValueHeaders: { 'X-Custom': ['Value'] },
    queryStringParameters: { a: '2', b: ' c' },
    multiValueQueryStringParameters: { a: ['1', '2'], b: [' c'] },
    pathParameters: { name: 'x' },
    stageVariables: { a: 'b' },
    body: '{"žluť":1}',
    isBase64Encoded: false,
    requestContext: {
      accountId: '111122223333',
      apiId: 'api1234567',
      stage: 'prod',
      path: '/prod/v1/x',
      resourcePath: '/v1/{name}',
      httpMethod: 'POST',
      protocol: 'HTTP/1.1',
      requestId: headers['x-amzn-requestid'],
      identity: { sourceIp: '127.0.0.1', userAgent: 'tester' },
      requestTime: expect.stringMatching(/^\d{2}\/[A-Z][a-z]{2}\/\d{4}:\d{2}:\d{2}:\d{2} \+0000$/),
      requestTimeEpoch: expect.any(Number),
    },
  });
});

test('an empty body is null, and a binary media type goes in base64', async () => {
  const { url, events } = await start(definition({ 'POST /': method() }, { binaryMediaTypes: ['image/png'] }));
  await send(url, { method: 'POST' });
  await send(url, { method: 'POST', headers: { 'content-type': 'image/png' }, body: Buffer.from([0, 255]) });
  expect(events[0]).toMatchObject({ body: null, isBase64Encoded: false });
  expect(events[1]).toMatchObject({ body: 'AP8=', isBase64Encoded: true });
});

describe('a whole answer', () => {
  const answering = async (answer: unknown) => start(definition({ 'GET /': method() }), async () => buffered(answer));

  test('has the status, headers and body that the function gave', async () => {
    const { url } = await answering({
      statusCode: 201,
      headers: { 'X-A': '1', 'content-type': 'text/plain', connection: 'x' },
      multiValueHeaders: { 'set-cookie': ['a=1', 'b=2'] },
      body: 'aMSN',
      isBase64Encoded: true,
    });
    const { status, headers, body } = await send(url);
    expect(status).toBe(201);
    expect(headers).toMatchObject({
      'x-a': '1',
      'content-type': 'text/plain',
      'set-cookie': ['a=1', 'b=2'],
      'x-amzn-remapped-connection': 'x',
      'content-length': '3',
    });
    expect(body).toBe('hč');
  });

  test.each([
    ['no object', 'text'],
    ['null', null],
    ['a body that is no string', { statusCode: 200, body: { a: 1 } }],
    ['an unknown key', { statusCode: 200, message: 'x' }],
    ['a bad status', { statusCode: 'fine' }],
    ['a header with a line break', { statusCode: 200, headers: { a: 'b\r\nc: d' } }],
  ])('that is malformed (%s) is a 502', async (_, answer) => {
    const { url } = await answering(answer);
    const { status, body } = await send(url);
    expect(status).toBe(502);
    expect(JSON.parse(body)).toEqual({ message: 'Internal server error' });
  });

  test('has no body for HEAD', async () => {
    const { url } = await start(definition({ 'HEAD /': method() }));
    expect(await send(url, { method: 'HEAD' })).toMatchObject({ status: 200, body: '' });
  });
});

test.each<[string, Error, number]>([
  ['fails', new FunctionError('Error', 'x'), 502],
  ['is throttled', new ThrottledError('x'), 500],
  ['gets too large an event', new RequestTooLargeError('x'), 413],
])('a function that %s gives the status that API Gateway gives it', async (_, error, status) => {
  const failing: Invoke = async () => {
    throw error;
  };
  const { url } = await start(definition({ 'GET /': method() }), failing);
  expect((await send(url)).status).toBe(status);
});

test.each(['BUFFERED', 'STREAM'] as const)('a %s integration that is late is a 504', async (responseTransferMode) => {
  const integration = lambda({ responseTransferMode, timeoutMs: 50 });
  const { url } = await start(definition({ 'GET /': method({ integration }) }), () => new Promise(() => {}));
  const { status, body } = await send(url);
  expect(status).toBe(504);
  expect(JSON.parse(body)).toEqual({ message: 'Endpoint request timed out' });
});

test('a body over 10 MB is a 413 that never reaches the function', async () => {
  const { url, events } = await start(definition({ 'POST /': method() }));
  const { status, body } = await send(url, { method: 'POST', body: Buffer.alloc(10 * 1024 * 1024 + 1, 'a') });
  expect(status).toBe(413);
  expect(JSON.parse(body)).toEqual({ message: 'Request Too Long' });
  expect(events).toEqual([]);
});

test('a client that leaves in mid-request costs nothing', async () => {
  const { url, events } = await start(definition({ 'POST /': method() }));
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  socket.write('POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf');
  await new Promise((resolve) => setTimeout(resolve, 50));
  socket.destroy();
  expect((await send(url, { method: 'POST', body: 'x' })).status).toBe(200);
  expect(events).toHaveLength(1);
});

describe('a streamed answer', () => {
  const stream = (
    chunks: ReadonlyArray<string | Buffer | Error>,
    gapMs = 0,
    timeoutMs = 29_000,
    idleTimeoutMs = 300_000,
  ) =>
    start(
      definition(
        { 'GET /': method({ integration: lambda({ responseTransferMode: 'STREAM', timeoutMs }) }) },
        { idleTimeoutMs },
      ),
      async () => streaming(chunks, gapMs),
    );

  const HEAD = '{"statusCode":201,"headers":{"content-type":"text/event-stream","x-a":"1"},"cookies":["a=1","b=2"]}';

  test('has the status, headers and cookies of its prelude', async () => {
    const { url } = await stream([`${HEAD}${NULS}data: 1\n\n`, 'data: 2\n\n']);
    const { status, headers, body, aborted } = await send(url);
    expect({ status, body, aborted }).toEqual({ status: 201, body: 'data: 1\n\ndata: 2\n\n', aborted: false });
    expect(headers).toMatchObject({
      'content-type': 'text/event-stream',
      'x-a': '1',
      'set-cookie': ['a=1', 'b=2'],
      'transfer-encoding': 'chunked',
    });
  });

  test('has the same prelude wherever the bytes are cut', async () => {
    const whole = Buffer.from(`${HEAD}${NULS}\0body`);
    for (let cut = 1; cut < whole.length; cut += 5) {
      const { url } = await stream([whole.subarray(0, cut), whole.subarray(cut)]);
      expect(await send(url)).toMatchObject({ status: 201, body: '\0body', aborted: false });
    }
    const { url } = await stream([...whole].map((byte) => Buffer.from([byte])));
    expect(await send(url)).toMatchObject({ status: 201, body: '\0body', aborted: false });
  });

  test('sends its head before the first chunk of the body, and each chunk as it comes', async () => {
    const { url } = await stream([`${HEAD}${NULS}`, 'one', 'two'], 150);
    const response = await fetch(url);
    const headAt = Date.now();
    const arrivals: number[] = [];
    for await (const _ of response.body ?? []) arrivals.push(Date.now() - headAt);
    expect(arrivals).toHaveLength(2);
    expect(arrivals[0]).toBeGreaterThan(100);
    expect((arrivals[1] ?? 0) - (arrivals[0] ?? 0)).toBeGreaterThan(100);
  });

  test.each<[string, Array<string | Buffer | Error>]>([
    ['has no delimiter', ['{"statusCode":200}']],
    ['is empty', []],
    ['has a delimiter beyond 16 KB', [`{"a":"${'x'.repeat(17_000)}"}${NULS}`]],
    ['never has a delimiter', [Buffer.alloc(20_000, 'x'), Buffer.alloc(20_000, 'x')]],
    ['begins with what is no JSON', [`hello${NULS}`]],
    ['breaks before its prelude', ['{"statusCode":', new FunctionError('Error', 'x')]],
    ['has a bad status', [`{"statusCode":99}${NULS}`]],
  ])('that %s is a 502', async (_, chunks) => {
    const { url } = await stream(chunks);
    const { status, body } = await send(url);
    expect(status).toBe(502);
    expect(JSON.parse(body)).toEqual({ message: 'Internal server error' });
  });

  test('that breaks after its prelude is cut: the client sees that it is not whole', async () => {
    const { url } = await stream([`${HEAD}${NULS}half`, new FunctionError('Error', 'x')], 20);
    expect(await send(url)).toMatchObject({ status: 201, body: 'half', aborted: true });
  });

  test('that outlasts the integration timeout is cut', async () => {
    const { url } = await stream([`${HEAD}${NULS}a`, ...Array.from({ length: 50 }, () => 'b')], 50, 300);
    expect(await send(url)).toMatchObject({ status: 201, aborted: true });
  });

  test('that is silent for too long is cut', async () => {
    const { url } = await stream([`${HEAD}${NULS}a`, 'b'], 200, 29_000, 300);
    expect(await send(url)).toMatchObject({ status: 201, body: 'ab', aborted: false });
    const { url: silent } = await stream([`${HEAD}${NULS}a`, 'b'], 400, 29_000, 300);
    expect((await send(silent)).status).toBe(504);
  });

  test('is read to its end when the client leaves: the function is not interrupted', async () => {
    const answer = streaming([`${HEAD}${NULS}a`, ...Array.from({ length: 20 }, () => 'b')], 20);
    const ended = vi.fn();
    answer.body.on('end', ended);
    const integration = lambda({ responseTransferMode: 'STREAM' });
    const { url } = await start(definition({ 'GET /': method({ integration }) }), async () => answer);
    const controller = new AbortController();
    const response = await fetch(url, { signal: controller.signal });
    controller.abort();
    await response.text().catch(() => {});
    await vi.waitFor(() => expect(ended).toHaveBeenCalled());
  });
});

describe('the access log', () => {
  test('has one line a request, as the stage formats it', async () => {
    const accessLogFormat =
      '{"id":"$context.requestId","status":$context.status,"path":"$context.resourcePath","mode":"$context.integration.responseTransferMode",' +
      '"first":"$context.integration.timeToFirstContent","len":$context.responseLength,"none":"$context.authorizer.x","key":"$context.identity.apiKeyId"}';
    const stage = { name: 'prod', variables: {}, accessLogFormat, methodThrottles: [] };
    const integration = lambda({ responseTransferMode: 'STREAM' });
    const { url, accessLog } = await start(
      definition({ 'GET /a': method({ integration }), 'GET /b': method({ apiKeyRequired: true }) }, { stage }),
      async () => streaming([`{}${NULS}12345`]),
    );
    const { headers } = await send(`${url}/a`);
    await send(`${url}/b`);
    await vi.waitFor(() => expect(accessLog).toHaveLength(2));
    expect(JSON.parse(accessLog[0] ?? '')).toEqual({
      id: headers['x-amzn-requestid'],
      status: 200,
      path: '/a',
      mode: 'STREAMED',
      first: expect.stringMatching(/^\d+$/),
      len: 5,
      none: '-',
      key: '-',
    });
    expect(JSON.parse(accessLog[1] ?? '')).toMatchObject({ status: 403, path: '/b', mode: '-' });
  });
});

test('a stage tells CloudWatch of each answer, by kinds of errors', async () => {
  const api = definition({ 'GET /a': method(), 'GET /b': method({ apiKeyRequired: true }) });
  const store = new MetricStore({ now: () => 1000 });
  const invoke: Invoke = async (_, event) =>
    buffered({
      statusCode: Number(
        (event as { queryStringParameters?: { status?: string } }).queryStringParameters?.status ?? 200,
      ),
    });
  const server = new RestApi({ api, invoke, answered: stageMetrics(api, store) });
  onTestFinished(() => server.close());
  const url = `http://127.0.0.1:${await server.listen(0)}`;
  for (const path of ['/a', '/a?status=404', '/a?status=500', '/b', '/nowhere']) await send(url + path);
  const dimensions = { ApiName: api.name, Stage: api.stage.name };
  const of = (name: string, statistic: string) =>
    store.statistic({ namespace: 'AWS/ApiGateway', name, dimensions }, statistic, 0, 2000);
  await vi.waitFor(() => expect(of('Count', 'Sum')).toBe(5));
  expect([of('4XXError', 'Sum'), of('5XXError', 'Sum'), of('5XXError', 'Average')]).toEqual([3, 1, 0.2]);
  expect(of('Latency', 'SampleCount')).toBe(5);
});

test('many requests at once are answered, each with its own answer', async () => {
  const { url } = await start(definition({ 'GET /{n}': method() }), echo);
  const answers = await Promise.all(Array.from({ length: 200 }, (_, n) => send(`${url}/${n}`)));
  expect(answers.map(({ body }) => Number(JSON.parse(body).pathParameters.n))).toEqual(
    Array.from({ length: 200 }, (_, n) => n),
  );
});

test.each([
  ['just under', 9_500, 200],
  ['over', 10_500, 431],
])("headers %s API Gateway's quota (%i bytes) get %i", async (_, bytes, status) => {
  const { url } = await start(definition({ 'GET /': method() }));
  expect((await send(url, { headers: { 'x-long': 'x'.repeat(bytes) } })).status).toBe(status);
});
