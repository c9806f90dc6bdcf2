import { afterEach, describe, expect, test } from 'vitest';
import { deploy, HELLO, model, openAiBackend, servingConfig, staticBackend, textOf } from '../support/serving.ts';
import { type Answerer, answerStatus, answerText, chunk, DONE, ROLE, sse, Upstream } from '../support/upstream.ts';

const upstreams: Upstream[] = [];
async function upstream(answer: Answerer): Promise<Upstream> {
  const started = await Upstream.start(answer);
  upstreams.push(started);
  return started;
}
afterEach(async () => {
  await Promise.all(upstreams.splice(0).map((each) => each.stop()));
});

const STREAM = { ...HELLO, stream: true };
const DEADLINES = { connectMs: 300, firstTokenMs: 200, betweenTokensMs: 200 };
const refused = openAiBackend('http://127.0.0.1:9/v1');

/** Ways to fail before the first token, with the kind that the log names. */
const failing: ReadonlyArray<readonly [string, Answerer, string]> = [
  ['401', answerStatus(401, { error: 'Unauthorized' }), 'auth'],
  ['404', answerStatus(404), 'not-found'],
  ['408', answerStatus(408), 'timeout'],
  ['429', answerStatus(429), 'throttled'],
  ['500', answerStatus(500, '<html>oops</html>'), 'server'],
  ['502 of a proxy', answerStatus(502, '<html>Bad Gateway</html>'), 'server'],
  ['503', answerStatus(503, ''), 'overloaded'],
  ['529', answerStatus(529), 'overloaded'],
  ['a redirect', answerStatus(302, '', { location: 'http://127.0.0.1:9/' }), 'protocol'],
  ['no answer', () => {}, 'timeout'],
  ['a role and nothing more', (response) => void sse(response).write(ROLE), 'timeout'],
  ['a role and the end', (response) => void sse(response).end(ROLE + DONE), 'protocol'],
  ['nothing but [DONE]', (response) => void sse(response).end(DONE), 'protocol'],
  ['an empty stream', (response) => void sse(response).end(), 'protocol'],
  ['a closed connection', (response) => void response.destroy(), 'connection'],
  [
    'an error event first',
    (response) => void sse(response).end(`data: {"error":{"message":"x","code":503}}\n\n${DONE}`),
    'overloaded',
  ],
  [
    'an HTML page under 200',
    (response) => void response.writeHead(200, { 'content-type': 'text/html' }).end('<p>hi'),
    'protocol',
  ],
  [
    'an error object under 200',
    (response) => void response.writeHead(200, { 'content-type': 'application/json' }).end('{"error":{"message":"x"}}'),
    'server',
  ],
  ['an event that is no JSON', (response) => void sse(response).end('data: hello\n\n'), 'protocol'],
  [
    'an unknown content encoding',
    (response) =>
      void response.writeHead(200, { 'content-type': 'text/event-stream', 'content-encoding': 'x-odd' }).end('?'),
    'protocol',
  ],
];

describe('the next backend answers a stream when the first', () => {
  test.each(failing)('gives %s', async (_, answer, kind) => {
    const first = await upstream(answer);
    const second = await upstream(answerText('from the second'));
    const backends = [openAiBackend(first.url, { deadlines: DEADLINES }), openAiBackend(second.url, { id: 'second' })];
    const { chat, log, requestLog } = deploy(servingConfig([model(backends)]));
    const { status, headers, events } = await chat(STREAM);
    expect(status).toBe(200);
    expect(headers).toMatchObject({ 'x-llm-backend': 'second', 'x-llm-fallbacks': '1' });
    expect(textOf(events)).toBe('from the second');
    expect(requestLog()[0]).toMatchObject({
      backend: 'second',
      Fallbacks: 1,
      Errors: 0,
      attempts: 2,
      failures: [{ backend: 'first', kind }],
    });
    expect(log.filter((line) => line.message === 'backend failed')).toMatchObject([
      { backend: 'first', kind, BackendErrors: 1 },
    ]);
  });

  test('has an address that is none', async () => {
    const second = await upstream(answerText('from the second'));
    const backends = [openAiBackend('not an address'), openAiBackend(second.url, { id: 'second' })];
    const { chat, log } = deploy(servingConfig([model(backends)]));
    expect(textOf((await chat(STREAM)).events)).toBe('from the second');
    expect(log[0]).toMatchObject({ kind: 'server', cause: 'ERR_INVALID_URL' });
  });

  test('cannot be reached', async () => {
    const second = await upstream(answerText('from the second'));
    const { chat, log } = deploy(servingConfig([model([refused, openAiBackend(second.url, { id: 'second' })])]));
    expect(textOf((await chat(STREAM)).events)).toBe('from the second');
    expect(log[0]).toMatchObject({ kind: 'connection', cause: 'ECONNREFUSED' });
  });
});

describe('the next backend answers a whole request when the first', () => {
  test.each([
    ['gives 500', answerStatus(500), 'server'],
    ['closes the connection', (response) => void response.destroy(), 'connection'],
    [
      'breaks off',
      (response) => {
        response.writeHead(200, { 'content-type': 'application/json', 'content-length': '500' });
        response.write('{"id":"x","choi');
        setTimeout(() => response.destroy(), 20);
      },
      'connection',
    ],
    [
      'cuts its JSON',
      (response) => void response.writeHead(200, { 'content-type': 'application/json' }).end('{"id":"x","choi'),
      'protocol',
    ],
    [
      'has no choices',
      (response) => void response.writeHead(200, { 'content-type': 'application/json' }).end('{"id":"x","choices":[]}'),
      'protocol',
    ],
    ['streams', (response) => void sse(response).end(chunk({ content: 'x' }, 'stop') + DONE), 'protocol'],
    [
      'gives an error object under 200',
      (response) =>
        void response
          .writeHead(200, { 'content-type': 'application/json' })
          .end('{"object":"error","message":"x","code":503}'),
      'overloaded',
    ],
  ] as ReadonlyArray<readonly [string, Answerer, string]>)('%s', async (_, answer, kind) => {
    const first = await upstream(answer);
    const second = await upstream(answerText('from the second'));
    const { chat, requestLog } = deploy(
      servingConfig([model([openAiBackend(first.url), openAiBackend(second.url, { id: 'second' })])]),
    );
    const { status, headers, json } = await chat(HELLO);
    expect(status).toBe(200);
    expect(headers['x-llm-backend']).toBe('second');
    expect(json).toMatchObject({ choices: [{ message: { content: 'from the second' } }] });
    expect(requestLog()[0]).toMatchObject({ failures: [{ backend: 'first', kind }] });
  });
});

describe("the client's fault", () => {
  test.each([400, 413, 422])("%i isn't tried elsewhere, and says what the backend said", async (code) => {
    const error = { message: 'too many images', type: 'BadRequestError', param: 'messages', code: 'too_many' };
    const first = await upstream(answerStatus(code, { error }));
    const second = await upstream(answerText('x'));
    const { chat, requestLog } = deploy(
      servingConfig([model([openAiBackend(first.url), openAiBackend(second.url, { id: 'second' })])]),
    );
    const { status, json } = await chat(STREAM);
    expect(status).toBe(code);
    expect(json.error).toEqual({
      message: 'too many images',
      type: 'invalid_request_error',
      param: 'messages',
      code: 'too_many',
    });
    expect(second.requests).toHaveLength(0);
    expect(requestLog()[0]).toMatchObject({ ClientErrors: 1, Errors: 0 });
  });

  test.each([
    ['TGI', { error: 'Input validation error', error_type: 'validation' }, 'Input validation error'],
    ['FastAPI', { detail: 'bad field' }, 'bad field'],
    ['former vLLM', { object: 'error', message: 'bad', code: 400 }, 'bad'],
    ['HTML', '<html>no</html>', 'HTTP 400'],
  ])('in the words of %s', async (_, body, message) => {
    const up = await upstream(answerStatus(400, body));
    const { chat } = deploy(servingConfig([model([openAiBackend(up.url)])]));
    expect((await chat(HELLO)).json.error.message).toBe(message);
  });

  test("doesn't tell the backend's address", async () => {
    const up = await upstream(answerStatus(400, { error: { message: 'see http://10.0.0.7:8000/v1 for more' } }));
    const { chat } = deploy(servingConfig([model([openAiBackend(up.url)])]));
    expect((await chat(HELLO)).json.error.message).toBe('see [url] for more');
  });

  test.each([400, 401, 429])("doesn't tell, nor log, its hosts and keys in whatever field: %i", async (status) => {
    const secret = 'arn:aws:iam::123456789012:role/x 10.0.0.7:8000 sk-abcdef123456 db.corp.internal';
    const error = { message: `no: ${secret}`, param: secret, code: secret };
    const up = await upstream(answerStatus(status, { error }));
    for (const logContent of [false, true]) {
      const { chat, lines } = deploy(servingConfig([model([openAiBackend(up.url)])], { logContent }));
      const told = (await chat(HELLO)).body + lines.join('');
      expect(told).not.toMatch(/123456789012|10\.0\.0\.7|sk-abc|corp\.internal/);
      if (status === 400) expect(told).toContain('no: [arn] [address] [key] [address]');
    }
  });
});

describe('when every backend fails', () => {
  const statuses: ReadonlyArray<readonly [number[], number, string]> = [
    [[500], 502, 'server_error'],
    [[401], 502, 'server_error'],
    [[404], 502, 'server_error'],
    [[503], 503, 'server_error'],
    [[429], 429, 'rate_limit_error'],
    [[408], 504, 'server_error'],
    [[429, 500], 429, 'rate_limit_error'],
    [[500, 503, 401], 503, 'server_error'],
  ];
  test.each(statuses)('with %j the client gets %i', async (codes, expected, type) => {
    const secretive = { error: { message: 'Incorrect API key provided: sk-very-secret-key-of-the-operator' } };
    const backends = await Promise.all(
      codes.map(async (code, index) =>
        openAiBackend((await upstream(answerStatus(code, secretive))).url, { id: `b${index}` }),
      ),
    );
    const { chat, lines } = deploy(servingConfig([model(backends)]));
    const { status, json, headers, body } = await chat(STREAM);
    expect(status).toBe(expected);
    expect(json.error.type).toBe(type);
    expect(json.error.message).toContain('b0: ');
    expect(headers['content-type']).toBe('application/json');
    expect(body + lines.join('')).not.toContain('sk-very');
  });

  test("an account whose credit is used up is the operator's fault, although OpenAI says 429", async () => {
    const up = await upstream(answerStatus(429, { error: { message: 'quota', code: 'insufficient_quota' } }));
    const { chat, log } = deploy(servingConfig([model([openAiBackend(up.url)])]));
    expect((await chat(HELLO)).status).toBe(502);
    expect(log[0]).toMatchObject({ kind: 'auth', backend_code: 'insufficient_quota' });
  });

  test('Retry-After is the shortest of those told', async () => {
    const slow = await upstream(answerStatus(429, undefined, { 'retry-after': '60' }));
    const soon = await upstream(answerStatus(429, undefined, { 'retry-after-ms': '1500' }));
    const backends = [openAiBackend(slow.url), openAiBackend(soon.url, { id: 'second' })];
    expect((await deploy(servingConfig([model(backends)])).chat(HELLO)).headers['retry-after']).toBe('2');
  });

  test('Retry-After may be a date', async () => {
    const up = await upstream(
      answerStatus(503, undefined, { 'retry-after': new Date(Date.now() + 30_000).toUTCString() }),
    );
    const { headers } = await deploy(servingConfig([model([openAiBackend(up.url)])])).chat(HELLO);
    expect(Number(headers['retry-after'])).toBeGreaterThan(25);
  });

  test('a static reply is the last resort, streamed or whole', async () => {
    const { chat, requestLog } = deploy(servingConfig([model([refused, staticBackend()])]));
    const streamed = await chat({ ...STREAM, stream_options: { include_usage: true } });
    expect(textOf(streamed.events)).toBe('Please come back later.');
    expect(streamed.headers['x-llm-backend']).toBe('sorry');
    expect(streamed.events.at(-3)).toMatchObject({ choices: [{ finish_reason: 'stop' }] });
    expect(streamed.events.at(-2)).toMatchObject({ usage: { total_tokens: 0, cost_usd: 0 } });
    const whole = await chat(HELLO);
    expect(whole.json).toMatchObject({
      object: 'chat.completion',
      model: 'chat',
      choices: [{ message: { role: 'assistant', content: 'Please come back later.' }, finish_reason: 'stop' }],
      usage: { total_tokens: 0, cost_usd: 0 },
    });
    expect(requestLog()).toMatchObject([
      { CostUsd: 0, Fallbacks: 1 },
      { CostUsd: 0, Fallbacks: 1 },
    ]);
  });
});

describe("what a backend can't do", () => {
  const picky = (url: string, unsupportedParameters: string[], id = 'first') =>
    openAiBackend(url, { unsupportedParameters, id });

  test('keeps the request away from it', async () => {
    const first = await upstream(answerText('first'));
    const second = await upstream(answerText('second'));
    const { chat } = deploy(
      servingConfig([model([picky(first.url, ['seed']), openAiBackend(second.url, { id: 'second' })])]),
    );
    expect((await chat({ ...HELLO, seed: 5 })).headers).toMatchObject({
      'x-llm-backend': 'second',
      'x-llm-fallbacks': '0',
    });
    expect((await chat(HELLO)).headers['x-llm-backend']).toBe('first');
  });

  test('is a 400 that names it and the backends, when none can', async () => {
    const { chat } = deploy(
      servingConfig([
        model([picky('http://127.0.0.1:9', ['seed', 'n']), picky('http://127.0.0.1:9', ['n'], 'second')]),
      ]),
    );
    const { status, json } = await chat({ ...HELLO, n: 2 });
    expect(status).toBe(400);
    expect(json.error).toMatchObject({ param: 'n', code: 'unsupported_parameter' });
    expect(json.error.message).toContain("first ('n'), second ('n')");
  });

  test("is a 400 even before a static reply: that is for models that fail, not for what they can't do", async () => {
    const { chat } = deploy(servingConfig([model([picky('http://127.0.0.1:9', ['n']), staticBackend()])]));
    expect((await chat({ ...HELLO, n: 2 })).status).toBe(400);
    expect((await chat(HELLO)).headers['x-llm-backend']).toBe('sorry');
  });

  test.each<object>([
    { n: 1 },
    { logprobs: false },
    { tools: [] },
    { response_format: { type: 'text' } },
    { parallel_tool_calls: true },
    { seed: null },
  ])('matters only when it is asked for: %j asks for nothing', async (fields) => {
    const up = await upstream(answerText('x'));
    const { chat } = deploy(servingConfig([model([picky(up.url, Object.keys(fields))])]));
    expect((await chat({ ...HELLO, ...fields })).status).toBe(200);
  });

  test('of what only says who asks, is left out', async () => {
    const up = await upstream(answerText('x'));
    const { chat } = deploy(servingConfig([model([picky(up.url, ['safety_identifier', 'user'])])]));
    expect((await chat({ ...HELLO, user: 'u', safety_identifier: 's' })).status).toBe(200);
    expect(up.requests[0]?.body).not.toHaveProperty('user');
    expect(up.requests[0]?.body).not.toHaveProperty('safety_identifier');
  });
});
