import { describe, expect, test, vi } from 'vitest';
import type { Invoke } from '../../../local/apigateway/authorizer.ts';
import { evaluatePolicy } from '../../../local/apigateway/policy.ts';
import { TokenBucket } from '../../../local/apigateway/token-bucket.ts';
import { periodStart, UsagePlans } from '../../../local/apigateway/usage-plans.ts';
import { FunctionError } from '../../../local/lambda/invocation.ts';
import { authorizer, buffered, definition, echo, KEY, method, type Running, send, start } from './api.ts';

const ALLOW_ALL = {
  Version: '2012-10-17',
  Statement: [{ Action: 'execute-api:Invoke', Effect: 'Allow', Resource: '*' }],
};

/** The authorizer's function answers with `answer`, the other one echoes. */
function authorizedBy(answer: unknown): Invoke & { calls: unknown[] } {
  const calls: unknown[] = [];
  const invoke: Invoke = async (arn, event) => {
    if (arn !== 'arn:authorizer') return echo(arn, event);
    calls.push(event);
    if (answer instanceof Error) throw answer;
    return buffered(answer);
  };
  return Object.assign(invoke, { calls });
}

const bearer = (token: string): { headers: Record<string, string> } => ({ headers: { authorization: token } });

describe('a REQUEST authorizer', () => {
  const api = definition({ 'GET /a': method({ authorizer: authorizer() }) });

  test('gets the request, and its context reaches the function as strings', async () => {
    const invoke = authorizedBy({
      principalId: 'user',
      policyDocument: ALLOW_ALL,
      context: { tier: 'gold', n: 3, on: true },
    });
    const { url } = await start(api, invoke);
    const { status, body } = await send(`${url}/a?x=1`, bearer('Bearer abc'));
    expect(status).toBe(200);
    expect(JSON.parse(body).requestContext.authorizer).toEqual({
      principalId: 'user',
      tier: 'gold',
      n: '3',
      on: 'true',
    });
    expect(invoke.calls[0]).toMatchObject({
      type: 'REQUEST',
      methodArn: 'arn:aws:execute-api:eu-west-1:111122223333:api1234567/prod/GET/a',
      resource: '/a',
      path: '/a',
      httpMethod: 'GET',
      headers: { authorization: 'Bearer abc' },
      queryStringParameters: { x: '1' },
      requestContext: { apiId: 'api1234567', stage: 'prod' },
    });
    expect(invoke.calls[0]).not.toHaveProperty('body');
  });

  test('is not asked without its identity source: 401', async () => {
    const invoke = authorizedBy({ principalId: 'user', policyDocument: ALLOW_ALL });
    const { url } = await start(api, invoke);
    const { status, headers, body } = await send(`${url}/a`);
    expect({ status, body: JSON.parse(body) }).toEqual({ status: 401, body: { message: 'Unauthorized' } });
    expect(headers['x-amzn-errortype']).toBe('UnauthorizedException');
    expect(invoke.calls).toEqual([]);
  });

  test.each<[string, unknown, number, string | null]>([
    ["fails with 'Unauthorized'", new FunctionError('Error', 'Unauthorized'), 401, 'Unauthorized'],
    ['fails otherwise', new FunctionError('Error', 'boom'), 500, null],
    ['gives no policy', { principalId: 'u' }, 500, null],
    ['gives no principal', { policyDocument: ALLOW_ALL }, 500, null],
    ['gives a broken policy', { principalId: 'u', policyDocument: { Statement: [{ Effect: 'Maybe' }] } }, 500, null],
    ['gives a nested context', { principalId: 'u', policyDocument: ALLOW_ALL, context: { a: {} } }, 500, null],
    [
      'allows another method',
      {
        principalId: 'u',
        policyDocument: {
          Statement: [{ Action: '*', Effect: 'Allow', Resource: 'arn:aws:execute-api:*/prod/POST/*' }],
        },
      },
      403,
      'User is not authorized to access this resource',
    ],
    [
      'denies',
      { principalId: 'u', policyDocument: { Statement: [{ Action: '*', Effect: 'Deny', Resource: '*' }] } },
      403,
      'User is not authorized to access this resource with an explicit deny in an identity-based policy',
    ],
  ])('that %s', async (_, answer, status, message) => {
    const { url } = await start(api, authorizedBy(answer));
    const response = await send(`${url}/a`, bearer('x'));
    expect({ status: response.status, body: JSON.parse(response.body) }).toEqual({ status, body: { message } });
  });

  test('is asked once for an identity while its answer is kept, and again afterwards', async () => {
    const invoke = authorizedBy({ principalId: 'user', policyDocument: ALLOW_ALL });
    const methods = {
      'GET /a': method({ authorizer: authorizer({ cacheSeconds: 1 }) }),
      'GET /b': method({ authorizer: authorizer({ cacheSeconds: 1 }) }),
    };
    const { url } = await start(definition(methods), invoke);
    await send(`${url}/a`, bearer('x'));
    await send(`${url}/b`, bearer('x'));
    expect(invoke.calls).toHaveLength(1);
    await send(`${url}/a`, bearer('y'));
    expect(invoke.calls).toHaveLength(2);
    await new Promise((resolve) => setTimeout(resolve, 1100));
    await send(`${url}/a`, bearer('x'));
    expect(invoke.calls).toHaveLength(3);
  });

  test("is asked for another method's policy from its cache", async () => {
    const onlyA = { Statement: [{ Action: '*', Effect: 'Allow', Resource: '*/GET/a' }] };
    const invoke = authorizedBy({ principalId: 'user', policyDocument: onlyA });
    const cached = method({ authorizer: authorizer({ cacheSeconds: 300 }) });
    const { url } = await start(definition({ 'GET /a': cached, 'GET /b': cached }), invoke);
    expect((await send(`${url}/a`, bearer('x'))).status).toBe(200);
    expect((await send(`${url}/b`, bearer('x'))).status).toBe(403);
  });
});

test('a TOKEN authorizer gets the token, if it fits the validation expression', async () => {
  const invoke = authorizedBy({ principalId: 'user', policyDocument: ALLOW_ALL });
  const token = authorizer({ type: 'TOKEN', identityValidation: 'Bearer [a-z]+' });
  const { url } = await start(definition({ 'GET /': method({ authorizer: token }) }), invoke);
  expect((await send(url, bearer('Bearer abc'))).status).toBe(200);
  expect(invoke.calls).toEqual([
    {
      type: 'TOKEN',
      methodArn: 'arn:aws:execute-api:eu-west-1:111122223333:api1234567/prod/GET/',
      authorizationToken: 'Bearer abc',
    },
  ]);
  expect((await send(url, bearer('Bearer 123'))).status).toBe(401);
  expect(invoke.calls).toHaveLength(1);
});

describe("an authorizer's policy", () => {
  const arn = 'arn:aws:execute-api:eu-west-1:1:api/prod/GET/v1/models/x';
  const policy = (...statements: unknown[]) => ({ Statement: statements }) as never;
  const allow = { Effect: 'Allow', Action: 'execute-api:Invoke', Resource: '*' };

  test.each([
    ['a wildcard over slashes', policy({ ...allow, Resource: 'arn:aws:execute-api:*:*:api/prod/*' }), 'allow'],
    ['a question mark', policy({ ...allow, Resource: 'arn:aws:execute-api:*/GET/v1/models/?' }), 'allow'],
    ['a list', policy({ ...allow, Action: ['x', 'execute-api:*'], Resource: ['y', arn] }), 'allow'],
    ['the action in another case', policy({ ...allow, Action: 'Execute-API:invoke' }), 'allow'],
    ['a deny after an allow', policy(allow, { ...allow, Effect: 'Deny' }), 'explicit-deny'],
    ['a deny before an allow', policy({ ...allow, Effect: 'Deny' }, allow), 'explicit-deny'],
    ["a deny that doesn't apply", policy({ ...allow, Effect: 'Deny', Resource: 'arn:other' }, allow), 'allow'],
    ['another action', policy({ ...allow, Action: 's3:*' }), 'deny'],
    ["a dot, which isn't a wildcard", policy({ ...allow, Resource: arn.replace('/x', '/.') }), 'deny'],
    ['nothing', policy(), 'deny'],
  ])('with %s', (_, document, decision) => {
    expect(evaluatePolicy(document, arn)).toBe(decision);
  });

  test("with a condition is refused: what isn't evaluated must not allow", () => {
    expect(() => evaluatePolicy(policy({ ...allow, Condition: {} }), arn)).toThrow('conditions');
  });
});

describe('an API key', () => {
  const keyed = (overrides: Parameters<typeof definition>[1] = {}, invoke?: Invoke): Promise<Running> =>
    start(
      definition({ 'GET /a': method({ apiKeyRequired: true }), 'GET /b': method({ apiKeyRequired: true }) }, overrides),
      invoke,
    );
  const withKey = (key: string) => ({ headers: { 'X-API-Key': key } });

  test('in x-api-key opens the method, and the function knows its id', async () => {
    const { url } = await keyed();
    const { status, body } = await send(`${url}/a`, withKey(KEY));
    expect(status).toBe(200);
    expect(JSON.parse(body).requestContext.identity).toMatchObject({ apiKeyId: 'key1', apiKey: KEY });
  });

  test.each([
    ['unknown', 'u'.repeat(40)],
    ['disabled', 'd'.repeat(40)],
    ['without a plan', 'p'.repeat(40)],
    ['empty', ''],
  ])('that is %s is a 403', async (_, key) => {
    const { url, events } = await keyed();
    const { status, headers, body } = await send(`${url}/a`, withKey(key));
    expect({ status, body: JSON.parse(body) }).toEqual({ status: 403, body: { message: 'Forbidden' } });
    expect(headers['x-amzn-errortype']).toBe('ForbiddenException');
    expect(events).toEqual([]);
  });

  describe('from the authorizer', () => {
    const api = definition(
      { 'GET /a': method({ apiKeyRequired: true, authorizer: authorizer() }) },
      { apiKeySource: 'AUTHORIZER' },
    );
    const verdict = { principalId: 'u', policyDocument: ALLOW_ALL };

    test.each([
      ['its usageIdentifierKey opens the method', { ...verdict, usageIdentifierKey: KEY }, 200],
      ['an unknown usageIdentifierKey is a 403', { ...verdict, usageIdentifierKey: 'u'.repeat(40) }, 403],
      ['no usageIdentifierKey is a 403, even with a key in x-api-key', verdict, 403],
    ])('%s', async (_, answer, status) => {
      const { url } = await start(api, authorizedBy(answer));
      const headers = { authorization: 'x', 'x-api-key': KEY };
      expect((await send(`${url}/a`, { headers })).status).toBe(status);
    });
  });

  const plan = { id: 'plan', throttle: undefined, quota: undefined, methodThrottles: {}, keyIds: ['key1'] };

  test("beyond its plan's burst is a 429", async () => {
    const { url, events } = await keyed({ usagePlans: [{ ...plan, throttle: { rateLimit: 0.1, burstLimit: 2 } }] });
    const answers = [];
    for (let i = 0; i < 3; i++) answers.push(await send(`${url}/a`, withKey(KEY)));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 429]);
    expect(JSON.parse(answers[2]?.body ?? '')).toEqual({ message: 'Too Many Requests' });
    expect(answers[2]?.headers['x-amzn-errortype']).toBe('TooManyRequestsException');
    expect(events).toHaveLength(2);
  });

  test('has a bucket of its own for a method with a throttle in the plan', async () => {
    const { url } = await keyed({
      usagePlans: [{ ...plan, methodThrottles: { '/a/GET': { rateLimit: 0.1, burstLimit: 1 } } }],
    });
    expect((await send(`${url}/a`, withKey(KEY))).status).toBe(200);
    expect((await send(`${url}/a`, withKey(KEY))).status).toBe(429);
    expect((await send(`${url}/b`, withKey(KEY))).status).toBe(200);
  });

  test('beyond its quota is a 429', async () => {
    const { url } = await keyed({ usagePlans: [{ ...plan, quota: { limit: 2, period: 'DAY', offset: 0 } }] });
    const answers = [];
    for (let i = 0; i < 3; i++) answers.push(await send(`${url}/a`, withKey(KEY)));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 429]);
    expect(JSON.parse(answers[2]?.body ?? '')).toEqual({ message: 'Limit Exceeded' });
  });

  test('has its quota back in the next period', () => {
    let now = Date.UTC(2026, 10, 22, 23, 59);
    const key = { id: 'key1', name: 'n', value: KEY, enabled: true };
    const quota = { limit: 2, period: 'DAY', offset: 1 } as const;
    const plans = new UsagePlans({ apiKeys: [key], usagePlans: [{ ...plan, quota }] }, () => now);
    expect([plans.use(key, '/', 'GET'), plans.use(key, '/', 'GET')]).toEqual([undefined, 'QUOTA_EXCEEDED']);
    now += 120_000;
    expect([1, 2, 3].map(() => plans.use(key, '/', 'GET'))).toEqual([undefined, undefined, 'QUOTA_EXCEEDED']);
  });
});

test.each([
  ['DAY', '2026-11-25'],
  ['WEEK', '2026-11-22'],
  ['MONTH', '2026-11-01'],
] as const)('a period of a %s begins at midnight, UTC', (period, start) => {
  const wednesday = Date.UTC(2026, 10, 25, 13, 5);
  expect(new Date(periodStart(wednesday, period)).toISOString()).toBe(`${start}T00:00:00.000Z`);
});

test('a token bucket refills at its rate and never holds more than its burst', () => {
  let now = 0;
  const bucket = new TokenBucket({ rateLimit: 2, burstLimit: 3 }, () => now);
  const takes = (count: number): boolean[] => Array.from({ length: count }, () => bucket.take());
  expect(takes(4)).toEqual([true, true, true, false]);
  now = 500;
  expect(takes(2)).toEqual([true, false]);
  now = 60_000;
  expect(takes(4)).toEqual([true, true, true, false]);
});

test("the stage's throttle limits each method by itself, and a method's own setting comes first", async () => {
  const throttle = (burstLimit: number) => ({ rateLimit: 0.1, burstLimit });
  const { url } = await start(
    definition(
      { 'GET /a': method(), 'GET /b': method(), 'GET /c': method() },
      {
        stage: {
          name: 'prod',
          variables: {},
          accessLogFormat: undefined,
          methodThrottles: [
            { httpMethod: '*', resourcePath: '*', throttle: throttle(1) },
            { httpMethod: 'GET', resourcePath: '/c', throttle: throttle(2) },
          ],
        },
      },
    ),
  );
  const statuses: number[] = [];
  for (const path of ['a', 'a', 'b', 'c', 'c', 'c']) statuses.push((await send(`${url}/${path}`)).status);
  expect(statuses).toEqual([200, 429, 200, 200, 200, 429]);
});

describe('a request validator', () => {
  const schema = {
    type: 'object',
    required: ['model', 'messages'],
    properties: {
      model: { type: 'string' },
      messages: { type: 'array', minItems: 1 },
      n: { type: ['integer', 'null'], minimum: 0, exclusiveMinimum: true },
      other: { $ref: 'https://apigateway.amazonaws.com/restapis/api1234567/models/Other' },
    },
  };
  const api = definition(
    { 'POST /': method({ validateBody: true, requestModels: { 'application/json': 'Chat' } }) },
    {
      models: [
        { name: 'Chat', schema },
        { name: 'Other', schema: { type: 'string' } },
      ],
      gatewayResponses: [
        {
          type: 'BAD_REQUEST_BODY',
          statusCode: undefined,
          parameters: {},
          templates: {
            'application/json': '{"m":$context.error.messageString,"v":"$context.error.validationErrorString"}',
          },
        },
      ],
    },
  );
  const post = (url: string, body: string, contentType = 'application/json; charset=utf-8') =>
    send(url, { method: 'POST', body, headers: { 'content-type': contentType } });
  const GOOD = '{"model":"m","messages":[1],"n":1,"other":"x"}';

  test.each([
    ['other alphabets', 'ユーザー'],
    ['a line break', 'a\\nb'],
    ['20 KB', 'x'.repeat(20_000)],
  ])("answers with a header that a client can read when the validator's text holds %s", async (_, text) => {
    const { url, failures } = await start({
      ...api,
      models: [{ name: 'Chat', schema: { properties: { role: { enum: ['user'] } } } }],
      gatewayResponses: [
        {
          type: 'BAD_REQUEST_BODY',
          statusCode: undefined,
          parameters: { 'gatewayresponse.header.x-why': 'context.error.validationErrorString' },
          templates: {},
        },
      ],
    });
    const { status, headers } = await post(url, `{"role":"${text}"}`);
    expect(status).toBe(400);
    expect(headers['x-why']).toMatch(/^[\x20-\x7e]{20,1024}$/);
    expect(failures).toEqual([]);
  });

  test('still answers when its own response has a header that is none', async () => {
    const parameters = { 'gatewayresponse.header.bad name': "'x'" };
    const { url, failures } = await start({
      ...api,
      gatewayResponses: [{ type: 'BAD_REQUEST_BODY', statusCode: undefined, parameters, templates: {} }],
    });
    const { status, body } = await post(url, '{}');
    expect({ status, body: JSON.parse(body) }).toEqual({ status: 500, body: { message: 'Internal server error' } });
    expect(failures).toHaveLength(1);
  });

  test('reports no failure of its own, and no word of the body, when a client sends no JSON', async () => {
    const { url, failures } = await start(api);
    expect((await post(url, '{"secret prompt"')).status).toBe(400);
    expect(failures).toEqual([]);
  });

  test('lets through what fits its model', async () => {
    const { url } = await start(api);
    expect((await post(url, GOOD)).status).toBe(200);
  });

  test.each([
    ['is no JSON', '{"model":', 'Invalid JSON'],
    ['is empty', '', 'Invalid JSON'],
    ['lacks properties', '{"model":"m"}', 'object has missing required properties (["messages"])'],
    [
      'has a wrong type',
      '{"model":1,"messages":[1]}',
      'instance type (integer) does not match any allowed primitive type',
    ],
    ["breaks draft-04's exclusiveMinimum", '{"model":"m","messages":[1],"n":0}', '/n must be > 0'],
    ['breaks a model that is referred to', '{"model":"m","messages":[1],"other":1}', 'instance type (integer)'],
  ])('refuses a body that %s', async (_, body, message) => {
    const { url, events } = await start(api);
    const response = await post(url, body);
    expect(response.status).toBe(400);
    expect(response.body).toContain('{"m":"Invalid request body","v":"');
    expect(response.body).toContain(message);
    expect(events).toEqual([]);
  });

  test('takes a body without a content type for JSON, and validates no other content type', async () => {
    const { url } = await start(api);
    expect((await send(url, { method: 'POST', body: '{}' })).status).toBe(400);
    expect((await post(url, 'hello', 'text/plain')).status).toBe(200);
  });

  test('refuses a request that lacks parameters, and names them', async () => {
    const { url } = await start(
      definition({
        'GET /': method({
          validateParameters: true,
          requestParameters: {
            'method.request.querystring.q': true,
            'method.request.header.X-Needed': true,
            'method.request.querystring.optional': false,
          },
        }),
      }),
    );
    const { status, body } = await send(url);
    expect({ status, body: JSON.parse(body) }).toEqual({
      status: 400,
      body: { message: 'Missing required request parameters: [q, X-Needed]' },
    });
    expect((await send(`${url}/?q=1`, { headers: { 'x-needed': '1' } })).status).toBe(200);
  });
});

describe('gateway responses', () => {
  const response = (type: string, overrides: Record<string, unknown> = {}) => ({
    type,
    statusCode: undefined,
    parameters: {},
    templates: {},
    ...overrides,
  });

  test('have the template, the headers and the status of their type', async () => {
    const { url } = await start(
      definition(
        { 'GET /': method({ apiKeyRequired: true }) },
        {
          gatewayResponses: [
            response('INVALID_API_KEY', {
              statusCode: 401,
              parameters: {
                'gatewayresponse.header.Access-Control-Allow-Origin': "'*'",
                'gatewayresponse.header.X-Origin': 'method.request.header.Origin',
                'gatewayresponse.header.X-Absent': 'method.request.header.Absent',
                'gatewayresponse.header.X-Request': 'context.requestId',
              },
              templates: {
                'application/json':
                  '{"error":{"message":$context.error.messageString,"type":"$context.error.responseType","id":"$context.requestId","x":$context.authorizer.x}}',
              },
            }),
            response('DEFAULT_4XX', { statusCode: 418 }),
          ],
        },
      ),
    );
    const { status, headers, body } = await send(url, { headers: { origin: 'https://a.example' } });
    const requestId = headers['x-amzn-requestid'];
    expect(status).toBe(401);
    expect(headers).toMatchObject({
      'access-control-allow-origin': '*',
      'x-origin': 'https://a.example',
      'x-request': requestId,
      'content-type': 'application/json',
    });
    expect(headers).not.toHaveProperty('x-absent');
    expect(JSON.parse(body)).toEqual({
      error: { message: 'Forbidden', type: 'INVALID_API_KEY', id: requestId, x: null },
    });
  });

  test('with an expression that is not known are refused at start', async () => {
    const parameters = { 'gatewayresponse.header.X': 'method.response.body' };
    const unknown = definition({}, { gatewayResponses: [response('THROTTLED', { parameters })] });
    await expect(async () => start(unknown)).rejects.toThrow('gateway response THROTTLED');
  });

  test('fall back to the default of their class', async () => {
    const failing: Invoke = async () => {
      throw new FunctionError('Error', 'x');
    };
    const defaults = [
      response('DEFAULT_4XX', { templates: { 'application/json': '{"class":4}' } }),
      response('DEFAULT_5XX', { templates: { 'application/json': '{"class":5}' } }),
    ];
    const { url } = await start(definition({ 'GET /': method() }, { gatewayResponses: defaults }), failing);
    expect(await send(`${url}/nowhere`)).toMatchObject({ status: 403, body: '{"class":4}' });
    expect(await send(url)).toMatchObject({ status: 502, body: '{"class":5}' });
  });
});

describe('a mock integration for CORS', () => {
  const preflight = (template?: string) =>
    definition({
      'OPTIONS /': method({
        integration: {
          type: 'MOCK',
          requestTemplates: { 'application/json': '{ statusCode: 204 }' },
          responses: [
            {
              statusCode: 204,
              selectionPattern: undefined,
              parameters: {
                'method.response.header.Access-Control-Allow-Origin': "'https://a.example'",
                'method.response.header.Access-Control-Allow-Methods': "'GET,POST'",
              },
              templates: template === undefined ? {} : { 'application/json': template },
            },
          ],
        },
      }),
    });

  test('answers with its headers and nothing else', async () => {
    const { url, events } = await start(preflight());
    const { status, headers, body } = await send(url, { method: 'OPTIONS' });
    expect({ status, body }).toEqual({ status: 204, body: '' });
    expect(headers).toMatchObject({
      'access-control-allow-origin': 'https://a.example',
      'access-control-allow-methods': 'GET,POST',
    });
    expect(events).toEqual([]);
  });

  test.each([
    ['https://b.example', 'https://b.example'],
    ['https://evil.example', 'https://a.example'],
  ])("for the origin %s allows %s, by the CDK's template for several origins", async (origin, allowed) => {
    const template = [
      '#set($origin = $input.params().header.get("Origin"))',
      '#if($origin == "")',
      '  #set($origin = $input.params().header.get("origin"))',
      '#end',
      '#if($origin == "https://b.example" || $origin.matches("https://c[.]example"))',
      '  #set($context.responseOverride.header.Access-Control-Allow-Origin = $origin)',
      '#end',
    ].join('\n');
    const { url } = await start(preflight(template));
    const { headers, body } = await send(url, { method: 'OPTIONS', headers: { origin } });
    expect(headers['access-control-allow-origin']).toBe(allowed);
    expect(body).toBe('');
  });

  test.each([
    '#foreach($a in $b)#end',
    '#if($a > 1)x#end',
    '#if($a == "b")x',
    '#set($a = $util.parseJson("1"))',
    '#end',
  ])('with a template beyond what is known (%s) is refused at start', async (template) => {
    await expect(async () => start(preflight(template))).rejects.toThrow();
  });
});

test('a failing authorizer says why on the console, not to the client', async () => {
  const failure = vi.fn();
  const { RestApi } = await import('../../../local/apigateway/rest-api.ts');
  const api = definition({ 'GET /': method({ authorizer: authorizer() }) });
  const server = new RestApi({ api, invoke: authorizedBy(new FunctionError('Error', 'boom')), failure });
  const url = `http://127.0.0.1:${await server.listen(0)}`;
  const { body } = await send(url, bearer('x'));
  await server.close();
  expect(body).not.toContain('boom');
  expect(failure).toHaveBeenCalledWith(expect.any(String), expect.objectContaining({ message: 'boom' }));
});
