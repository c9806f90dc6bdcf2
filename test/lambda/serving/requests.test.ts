import { afterEach, describe, expect, test } from 'vitest';
import {
  type ConfigOverrides,
  deploy,
  HELLO,
  KEY_ID,
  model,
  openAiBackend,
  servingConfig,
  staticBackend,
} from '../support/serving.ts';
import { type Answerer, answerText, Upstream } from '../support/upstream.ts';

const upstreams: Upstream[] = [];
async function upstream(answer: Answerer): Promise<Upstream> {
  const started = await Upstream.start(answer);
  upstreams.push(started);
  return started;
}
afterEach(async () => {
  await Promise.all(upstreams.splice(0).map((each) => each.stop()));
});

const staticModel = (name: string) => model([staticBackend()], { name });
const tiers = [{ name: 'free', allowedModels: ['small'], maxOutputTokens: 50 }, { name: 'gold' }];
const env = { LLM_CONSUMERS: `${KEY_ID}=app:free,goldkey=web:gold` };
const twoTiers = () => deploy(servingConfig([staticModel('small'), staticModel('org/large')], { tiers }), env);
const single = (overrides: ConfigOverrides = {}) => deploy(servingConfig([staticModel('chat')], overrides));

describe('routes', () => {
  test('health needs no key and says nothing of the deployment', async () => {
    const { status, json } = await twoTiers().call('GET', '/health', { apiKeyId: null });
    expect(status).toBe(200);
    expect(json).toEqual({ status: 'ok' });
  });

  test('the models list has what the tier includes', async () => {
    const { call } = twoTiers();
    expect((await call('GET', '/v1/models')).json).toEqual({
      object: 'list',
      data: [{ id: 'small', object: 'model', created: 1_700_000_000, owned_by: 'tests' }],
    });
    expect((await call('GET', '/v1/models', { apiKeyId: 'goldkey' })).json.data).toHaveLength(2);
  });

  test.each(['org/large', 'org%2Flarge'])('a model with a slash is found as %s', async (name) => {
    const { status, json } = await twoTiers().call('GET', `/v1/models/${name}`, { apiKeyId: 'goldkey' });
    expect(status).toBe(200);
    expect(json).toMatchObject({ id: 'org/large', object: 'model' });
  });

  test("a model that doesn't exist is 404, one of another tier 403", async () => {
    const { call } = twoTiers();
    expect((await call('GET', '/v1/models/none')).json.error.code).toBe('model_not_found');
    expect((await call('GET', '/v1/models/%E0%A4%A')).status).toBe(404);
    expect((await call('GET', '/v1/models/org/large')).status).toBe(403);
  });

  test.each([
    ['GET', '/v1/chat/completions', 405],
    ['POST', '/v1/models', 405],
    ['POST', '/v1/embeddings', 404],
    ['GET', '/', 404],
    ['GET', '/v1/models/', 404],
  ])('%s %s is %i in the OpenAI shape', async (method, path, expected) => {
    const { status, headers, json } = await single().call(method, path);
    expect(status).toBe(expected);
    expect(json.error.type).toBe('invalid_request_error');
    if (expected === 405) expect(headers.allow).toMatch(/^(GET|POST)$/);
  });
});

describe('who asks', () => {
  test('without a key is refused with 401', async () => {
    const { status, json } = await single().chat(HELLO, { apiKeyId: null });
    expect(status).toBe(401);
    expect(json.error).toMatchObject({ type: 'authentication_error', code: 'invalid_api_key' });
  });

  test('with an undeclared key belongs to the only tier', async () => {
    const { chat, requestLog } = single();
    expect((await chat(HELLO, { apiKeyId: 'console-key' })).status).toBe(200);
    expect(requestLog()[0]).toMatchObject({ consumer: 'console-key', tier: 'standard' });
  });

  test('with an undeclared key and several tiers is refused with 403', async () => {
    const { status, json } = await twoTiers().chat({ ...HELLO, model: 'small' }, { apiKeyId: 'console-key' });
    expect(status).toBe(403);
    expect(json.error).toMatchObject({ type: 'permission_error', code: 'key_not_registered' });
  });

  test("for a model of another tier is refused with 403, for one that doesn't exist with 404", async () => {
    const { chat } = twoTiers();
    expect((await chat({ ...HELLO, model: 'org/large' })).json.error.code).toBe('model_not_allowed');
    const { status, json } = await chat({ ...HELLO, model: 'gpt-9' });
    expect(status).toBe(404);
    expect(json.error).toEqual({
      message: 'The model `gpt-9` does not exist or you do not have access to it.',
      type: 'invalid_request_error',
      param: 'model',
      code: 'model_not_found',
    });
  });
});

describe('the end user and the feature', () => {
  test.each([
    [{ user: 'u1' }, {}, { user: 'u1', feature: 'none' }],
    [{ user: 'u1', safety_identifier: 's1' }, {}, { user: 's1' }],
    [
      { metadata: { feature: 'search' } },
      { 'x-llm-feature': 'other-one' },
      { feature: 'search', feature_name: 'search' },
    ],
    [{}, { 'X-LLM-Feature': 'search' }, { feature: 'search' }],
    [{}, { 'x-llm-feature': 'undeclared' }, { feature: 'other', feature_name: 'undeclared' }],
  ])('%j %j', async (fields, headers, logged) => {
    const { chat, requestLog } = single();
    expect((await chat({ ...HELLO, ...fields }, { headers })).status).toBe(200);
    expect(requestLog()[0]).toMatchObject(logged);
  });

  test.each(['has space', '', 'x'.repeat(65), 'új', '-x'])('a feature named %j is refused', async (feature) => {
    const { status, json } = await single().chat({ ...HELLO, metadata: { feature } });
    expect(status).toBe(400);
    expect(json.error.param).toBe('metadata.feature');
  });
});

describe('the request that the backend gets', () => {
  async function sent(body: object, backend: object = {}, overrides: object = {}, config: ConfigOverrides = {}) {
    const up = await upstream(answerText('x'));
    const { chat } = deploy(servingConfig([model([openAiBackend(up.url, backend)], overrides)], config));
    const { status, body: text } = await chat({ ...HELLO, ...body });
    if (status !== 200) throw new Error(text);
    return up.requests[0]?.body ?? {};
  }

  test('has the name that the backend gives the model', async () => {
    expect(await sent({}, { model: 'meta/llama' })).toMatchObject({ model: 'meta/llama' });
    expect(await sent({ model: 'alias' }, {}, { aliases: ['alias'] })).toMatchObject({ model: 'chat' });
  });

  test('keeps parameters that only the engine knows', async () => {
    expect(await sent({ top_k: 4, guided_json: { a: 1 } })).toMatchObject({ top_k: 4, guided_json: { a: 1 } });
  });

  test.each([
    ['as asked', { max_tokens: 10 }, {}, {}, 10],
    ['max_completion_tokens before max_tokens', { max_tokens: 10, max_completion_tokens: 20 }, {}, {}, 20],
    ["clamped to the model's", { max_tokens: 500 }, {}, { maxOutputTokens: 100 }, 100],
    ["clamped to the backend's", { max_tokens: 500 }, { maxOutputTokens: 90 }, { maxOutputTokens: 100 }, 90],
    ['set though not asked', {}, {}, { maxOutputTokens: 100 }, 100],
    ['not set without any maximum', {}, {}, {}, undefined],
    ['unless asked, leaving room for the prompt', {}, { contextWindow: 60 }, { maxOutputTokens: 100 }, 48],
  ])('has its limit of output tokens %s', async (_, body, backend, overrides, expected) => {
    const request = await sent(body, backend, overrides);
    expect(request.max_completion_tokens).toBe(expected);
    expect(request).not.toHaveProperty('max_tokens');
  });

  test("has its limit clamped to the tier's, in the parameter that the backend knows", async () => {
    const request = await sent(
      { max_tokens: 500 },
      { maxTokensParameter: 'max_tokens' },
      {},
      { tiers: [{ name: 't', maxOutputTokens: 70 }] },
    );
    expect(request.max_tokens).toBe(70);
    expect(request).not.toHaveProperty('max_completion_tokens');
  });

  test.each([
    [3, 23],
    [null, 70],
    [100, 1],
  ])("has the tier's limit for its choices together: with n %s each has %s", async (n, expected) => {
    const request = await sent({ n }, {}, { maxOutputTokens: 200 }, { tiers: [{ name: 't', maxOutputTokens: 70 }] });
    expect(request.max_completion_tokens).toBe(expected);
  });

  test.each(['auto', 'default', null])('may name the service tier %s, which is what it has anyway', async (tier) => {
    expect(await sent({ service_tier: tier })).toMatchObject({ service_tier: tier });
  });

  test.each(['flex', 'priority', 'scale', 'standard_only', 'x'])(
    'may not choose the service tier %s: it has another price',
    async (service_tier) => {
      const up = await upstream(answerText('x'));
      const { chat } = deploy(servingConfig([model([openAiBackend(up.url)])]));
      const { status, json } = await chat({ ...HELLO, service_tier });
      expect(status).toBe(400);
      expect(json.error).toMatchObject({ param: 'service_tier', code: 'unsupported_parameter' });
      expect(up.requests).toEqual([]);
    },
  );

  test('has metadata only when it is to be stored: OpenAI refuses it otherwise', async () => {
    expect(await sent({ metadata: { feature: 'search' } })).not.toHaveProperty('metadata');
    expect(await sent({ metadata: { a: 'b' }, store: true })).toMatchObject({ metadata: { a: 'b' } });
  });

  test('has the configured headers', async () => {
    const up = await upstream(answerText('x'));
    const { chat } = deploy(servingConfig([model([openAiBackend(up.url, { headers: { 'openai-project': 'p' } })])]));
    await chat(HELLO, { headers: { authorization: 'Bearer client-key', cookie: 'c' } });
    expect(up.requests[0]?.headers).toMatchObject({ 'openai-project': 'p' });
    expect(up.requests[0]?.headers).not.toHaveProperty('authorization');
    expect(up.requests[0]?.headers).not.toHaveProperty('cookie');
    expect(up.requests[0]?.path).toBe('/v1/chat/completions');
  });
});

describe('a whole answer', () => {
  test('has its cost in the usage', async () => {
    const up = await upstream(answerText('one two'));
    const { chat, requestLog } = deploy(servingConfig([model([openAiBackend(up.url)])]));
    const { status, headers, json } = await chat(HELLO);
    expect(status).toBe(200);
    expect(headers).toMatchObject({
      'content-type': 'application/json',
      'x-llm-backend': 'first',
      'x-llm-fallbacks': '0',
    });
    expect(json).toMatchObject({
      object: 'chat.completion',
      usage: { prompt_tokens: 10, completion_tokens: 2, cost_usd: 0.000014 },
    });
    expect(requestLog()[0]).toMatchObject({
      CostUsd: 0.000014,
      stream: false,
      finish_reason: 'stop',
      usage_estimated: false,
    });
  });

  test('that takes too long is 504, with the advice to stream', async () => {
    const up = await upstream(() => {});
    const { chat } = deploy(servingConfig([model([openAiBackend(up.url)])], { limits: { wholeAnswerTimeoutMs: 100 } }));
    const { status, json } = await chat(HELLO);
    expect(status).toBe(504);
    expect(json.error.message).toContain("'stream: true'");
    await expect.poll(() => up.abandoned).toBe(1);
  });

  test('to a stream request becomes a stream', async () => {
    const toolCalls = [{ id: 'c1', type: 'function', function: { name: 'f', arguments: '{}' } }];
    const up = await upstream((response) => {
      response.writeHead(200, { 'content-type': 'application/json; charset=utf-8' });
      response.end(
        JSON.stringify({
          id: 'w',
          object: 'chat.completion',
          created: 1,
          model: 'm',
          choices: [
            {
              index: 0,
              message: { role: 'assistant', content: null, tool_calls: toolCalls },
              finish_reason: 'tool_calls',
            },
          ],
          usage: { prompt_tokens: 1, completion_tokens: 2 },
        }),
      );
    });
    const { chat } = deploy(servingConfig([model([openAiBackend(up.url)])]));
    const { events } = await chat({ ...HELLO, stream: true, stream_options: { include_usage: true } });
    expect(events).toMatchObject([
      {
        object: 'chat.completion.chunk',
        choices: [{ delta: { role: 'assistant', tool_calls: [{ index: 0, id: 'c1' }] }, finish_reason: null }],
      },
      { choices: [{ delta: {}, finish_reason: 'tool_calls' }] },
      { choices: [], usage: { prompt_tokens: 1, completion_tokens: 2, cost_usd: 0.000005 } },
      '[DONE]',
    ]);
  });

  test.each(['gzip', 'br', 'deflate'] as const)('that comes as %s although nobody asked is read', async (encoding) => {
    const zlib = await import('node:zlib');
    const compress = { gzip: zlib.gzipSync, br: zlib.brotliCompressSync, deflate: zlib.deflateSync }[encoding];
    const body = {
      id: 'x',
      choices: [{ index: 0, message: { role: 'assistant', content: 'squeezed' }, finish_reason: 'stop' }],
    };
    const up = await upstream((response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': encoding });
      response.end(compress(JSON.stringify(body)));
    });
    const { json } = await deploy(servingConfig([model([openAiBackend(up.url)])])).chat(HELLO);
    expect(json).toMatchObject({ choices: [{ message: { content: 'squeezed' } }] });
  });
});

describe('the request id', () => {
  test.each(['abc-123', 'A.b_c:d'])('%s is kept', async (id) => {
    expect((await single().chat(HELLO, { headers: { 'X-Request-ID': id } })).headers['x-request-id']).toBe(id);
  });

  test.each(['a b', 'x\r\nset-cookie: a', '', 'x'.repeat(129), 'ü'])('%j is replaced', async (id) => {
    const { headers } = await single().chat(HELLO, { headers: { 'x-request-id': id } });
    expect(headers['x-request-id']).toBe('11111111-2222-3333-4444-555555555555');
  });

  test('is on errors too', async () => {
    const { headers } = await single().chat('{', { headers: { 'x-request-id': 'mine' } });
    expect(headers['x-request-id']).toBe('mine');
  });
});

describe('CORS', () => {
  const cors = { allowOrigins: ['https://app.example'], exposeHeaders: ['x-request-id'] };
  const origin = (value: string) => ({ headers: { Origin: value } });

  test('is absent unless configured', async () => {
    expect((await single().chat(HELLO, origin('https://app.example'))).headers).not.toHaveProperty(
      'access-control-allow-origin',
    );
  });

  test('echoes an allowed origin, on errors as well', async () => {
    const { chat } = single({ cors });
    const expected = {
      'access-control-allow-origin': 'https://app.example',
      'access-control-expose-headers': 'x-request-id',
      vary: 'Origin',
    };
    expect((await chat(HELLO, origin('https://app.example'))).headers).toMatchObject(expected);
    expect((await chat('{', origin('https://app.example'))).headers).toMatchObject(expected);
    const other = (await chat(HELLO, origin('https://evil.example'))).headers;
    expect(other).not.toHaveProperty('access-control-allow-origin');
    expect(other).toMatchObject({ vary: 'Origin' });
  });

  test('lets any origin in with *', async () => {
    const { headers } = await single({ cors: { ...cors, allowOrigins: ['*'] } }).chat(
      HELLO,
      origin('https://any.example'),
    );
    expect(headers['access-control-allow-origin']).toBe('*');
  });
});

describe('the log', () => {
  const SECRET = 'the-prompt-that-nobody-may-read';

  test('has one line for a request, with its metrics, and no content', async () => {
    const up = await upstream(answerText(`${SECRET} indeed`));
    const { chat, log, lines } = deploy(servingConfig([model([openAiBackend(up.url)])]), {
      LLM_CONSUMERS: `${KEY_ID}=app:standard`,
    });
    await chat({ ...HELLO, stream: true, messages: [{ role: 'user', content: SECRET }] });
    expect(log).toHaveLength(1);
    expect(log[0]).toMatchObject({
      level: 'INFO',
      request_id: '11111111-2222-3333-4444-555555555555',
      consumer: 'app',
      tier: 'standard',
      model: 'chat',
      backend: 'first',
      feature: 'none',
      status: 200,
      stream: true,
      attempts: 1,
      Requests: 1,
      Errors: 0,
      ClientErrors: 0,
      InputTokens: 10,
      OutputTokens: 2,
    });
    expect(log[0]?.TimeToFirstToken).toBeGreaterThan(0);
    expect(log[0]?.Duration).toBeGreaterThan(0);
    expect(lines.join('')).not.toContain(SECRET);
    expect(lines.join('')).not.toContain('\n');
  });

  test('never has content, whatever goes wrong', async () => {
    const up = await upstream((response, { body }) => {
      response.writeHead(500, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ error: { message: `could not tokenize ${JSON.stringify(body)}` } }));
    });
    const { chat, lines } = deploy(servingConfig([model([openAiBackend(up.url)])]));
    const messages = [{ role: 'user', content: SECRET }];
    await chat({ ...HELLO, messages });
    await chat(`{"model":"chat","messages":[{"role":"user","content":"${SECRET}"}`);
    await chat({ ...HELLO, messages, temperature: SECRET });
    await chat({ ...HELLO, messages: [{ role: SECRET, content: SECRET }] });
    expect(lines.length).toBeGreaterThanOrEqual(5);
    expect(lines.join('')).not.toContain(SECRET);
  });

  test('has metrics whose names and dimensions are all fields of the line', async () => {
    const { chat, log } = single();
    await chat(HELLO);
    await chat({ ...HELLO, model: 'unknown-model-of-a-client' });
    for (const line of log as unknown as Array<Record<string, unknown>>) {
      const aws = line._aws as {
        Timestamp: number;
        CloudWatchMetrics: Array<{ Namespace: string; Dimensions: string[][]; Metrics: Array<{ Name: string }> }>;
      };
      expect(aws.CloudWatchMetrics.length).toBeGreaterThan(0);
      for (const { Namespace, Dimensions, Metrics } of aws.CloudWatchMetrics) {
        expect(Namespace).toBe('LlmServing');
        for (const name of Dimensions.flat()) expect(line[name]).toEqual(expect.any(String));
        for (const { Name } of Metrics) expect(line[Name]).toEqual(expect.any(Number));
      }
    }
    // What a client makes up must not become a metric to pay for.
    expect(log[1]).toMatchObject({ model: 'none', ClientErrors: 1, status: 404, error_code: 'model_not_found' });
  });
});
