import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import type { RoutingConfig, RoutingRuleConfig } from '../../../lib/private/serving-config.ts';
import { deploy, KEY_ID, model, openAiBackend, PRICE, servingConfig, staticBackend } from '../support/serving.ts';
import { answerStatus, answerText, Upstream } from '../support/upstream.ts';

const upstreams: Upstream[] = [];
afterEach(async () => {
  await Promise.all(upstreams.splice(0).map((each) => each.stop()));
});

const policy = (overrides: Partial<RoutingConfig> = {}): RoutingConfig => ({
  cheap: 'cheap',
  clientPriority: true,
  simple: { maxPromptTokens: 100, maxTurns: 2, tools: false, jsonSchema: false, images: false, reasoning: false },
  rules: [],
  ...overrides,
});
const user = (content: unknown) => ({ role: 'user', content });
const assistant = (content: string) => ({ role: 'assistant', content });
const ask = (content: unknown, more: object = {}) => ({ model: 'chat', messages: [user(content)], ...more });

/** Two backends, the good one before the cheap one, in front of servers that say who they are. */
async function deployed(routing: RoutingConfig, cheapOverrides: object = {}, configOverrides: object = {}) {
  const [good, cheap] = await Promise.all([Upstream.start(answerText('good')), Upstream.start(answerText('cheap'))]);
  upstreams.push(good, cheap);
  const backends = [
    openAiBackend(good.url, { id: 'good' }),
    openAiBackend(cheap.url, { id: 'cheap', ...cheapOverrides }),
    staticBackend(),
  ];
  const gateway = deploy(servingConfig([model(backends, { routing })], configOverrides));
  const routeOf = async (body: object, headers: Record<string, string> = {}) => {
    const answer = await gateway.chat({ stream: true, ...body }, { headers });
    return { route: answer.headers['x-llm-route'], backend: answer.headers['x-llm-backend'] };
  };
  return { ...gateway, good, cheap, routeOf };
}

const WEATHER = [{ type: 'function', function: { name: 'weather' } }];
const SCHEMA = { type: 'json_schema', json_schema: { name: 'a', schema: { type: 'object' } } };

describe('a request', () => {
  test.each<[string, object, string]>([
    ['that is short', ask('hello'), 'cheap;reason=simple'],
    ['with a long prompt', ask('word '.repeat(100)), 'standard;reason=long-prompt'],
    [
      'deep in a conversation',
      { model: 'chat', messages: [user('a'), assistant('b'), user('c'), assistant('d'), user('e')] },
      'standard;reason=long-conversation',
    ],
    ['with tools', ask('hello', { tools: WEATHER }), 'standard;reason=tools'],
    [
      'with calls of tools behind it',
      {
        model: 'chat',
        messages: [
          user('a'),
          { role: 'assistant', tool_calls: [{ id: 'x', type: 'function', function: { name: 'f', arguments: '{}' } }] },
          { role: 'tool', tool_call_id: 'x', content: '5' },
        ],
      },
      'standard;reason=tools',
    ],
    ['for JSON by a schema', ask('hello', { response_format: SCHEMA }), 'standard;reason=json-schema'],
    ['for any JSON', ask('hello', { response_format: { type: 'json_object' } }), 'cheap;reason=simple'],
    [
      'with an image',
      ask([{ type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } }]),
      'standard;reason=images',
    ],
    ['that asks for thought', ask('hello', { reasoning_effort: 'high' }), 'standard;reason=reasoning'],
    ['that asks for little thought', ask('hello', { reasoning_effort: 'low' }), 'cheap;reason=simple'],
  ])('%s', async (_, body, route) => {
    const { routeOf } = await deployed(policy());
    const backend = route.startsWith('cheap') ? 'cheap' : 'good';
    expect(await routeOf(body)).toEqual({ route, backend });
  });

  test('of each of these kinds can be simple where the policy says so', async () => {
    const simple = { maxPromptTokens: 500, maxTurns: 9, tools: true, jsonSchema: true, images: true, reasoning: true };
    const { routeOf } = await deployed(policy({ simple }));
    const image = { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } };
    const everything = ask([image], { tools: WEATHER, response_format: SCHEMA, reasoning_effort: 'high' });
    expect((await routeOf(everything)).route).toBe('cheap;reason=simple');
  });

  test('is never simple at a limit of 0', async () => {
    const { routeOf } = await deployed(policy({ simple: { ...policy().simple, maxPromptTokens: 0 } }));
    expect((await routeOf(ask('hello'))).route).toBe('standard;reason=long-prompt');
    expect((await routeOf(ask('hello'), { 'x-llm-priority': 'low' })).route).toBe('cheap;reason=priority');
  });
});

describe('x-llm-priority', () => {
  test('says what quality is worth to the client', async () => {
    const { routeOf } = await deployed(policy());
    const of = async (body: object, priority: string) => (await routeOf(body, { 'X-LLM-Priority': priority })).route;
    const long = ask('word '.repeat(100));
    expect(await of(ask('hello'), 'high')).toBe('standard;reason=priority');
    expect(await of(long, 'LOW')).toBe('cheap;reason=priority');
    expect(await of(ask('hello'), 'normal')).toBe('cheap;reason=simple');
    expect(await of(long, 'normal')).toBe('standard;reason=long-prompt');
  });

  test('is heeded only where the policy says so', async () => {
    const { routeOf } = await deployed(policy({ clientPriority: false }));
    expect((await routeOf(ask('hello'), { 'x-llm-priority': 'high' })).route).toBe('cheap;reason=simple');
  });

  test('with another value is refused by name, whatever the model', async () => {
    const { chat } = deploy(servingConfig([model([staticBackend()])]));
    const answer = await chat(ask('hello'), { headers: { 'x-llm-priority': 'urgent\r\nx: y' } });
    expect(answer.status).toBe(400);
    expect(answer.json.error).toMatchObject({ param: 'x-llm-priority', code: 'invalid_value' });
  });
});

describe('a rule', () => {
  const rule = (more: Partial<RoutingRuleConfig>): RoutingRuleConfig => ({ name: 'own', route: 'standard', ...more });

  test('comes before the client’s word and before what the request looks like; the first that applies decides', async () => {
    const rules = [
      rule({ name: 'law', patterns: ['\\bcontract'] }),
      rule({ name: 'all', route: 'cheap', patterns: ['.'] }),
    ];
    const { routeOf } = await deployed(policy({ rules }));
    const of = async (text: string, headers = {}) => (await routeOf(ask(text), headers)).route;
    expect(await of('Read this CONTRACT', { 'x-llm-priority': 'low' })).toBe('standard;reason=rule;rule=law');
    expect(await of('word '.repeat(300), { 'x-llm-priority': 'high' })).toBe('cheap;reason=rule;rule=all');
  });

  test.each<[string, Partial<RoutingRuleConfig>, object, Record<string, string>]>([
    ['feature, in the header', { features: ['search'] }, {}, { 'x-llm-feature': 'search' }],
    ['feature, in the body', { features: ['search'] }, { metadata: { feature: 'search' } }, {}],
    ['metadata', { metadata: [{ key: 'env', values: ['test', 'dev'] }] }, { metadata: { env: 'dev' } }, {}],
  ])('applies by %s', async (_, conditions, body, headers) => {
    const { routeOf } = await deployed(policy({ rules: [rule(conditions)] }));
    expect((await routeOf(ask('hello', body), headers)).route).toBe('standard;reason=rule;rule=own');
    expect((await routeOf(ask('hello'))).route).toBe('cheap;reason=simple');
    expect((await routeOf(ask('hello', { metadata: { env: 'live', feature: 'x' } }))).route).toBe(
      'cheap;reason=simple',
    );
  });

  test('applies by tier and by consumer', async () => {
    for (const [conditions, applies] of [
      [{ tiers: ['standard'] }, true],
      [{ tiers: ['gold'] }, false],
      [{ consumers: [KEY_ID] }, true],
      [{ consumers: ['bob'] }, false],
      // All conditions have to be met.
      [{ consumers: [KEY_ID], tiers: ['gold'] }, false],
    ] as const) {
      const { routeOf } = await deployed(policy({ rules: [rule(conditions)] }));
      expect((await routeOf(ask('hello'))).route?.includes('rule=own') ?? false).toBe(applies);
    }
  });

  test('with a pattern holds a processor up for no hostile text', async () => {
    const { routeOf } = await deployed(policy({ rules: [rule({ patterns: ['a.*b.*c'] })] }));
    const start = performance.now();
    await routeOf(ask('ab'.repeat(400_000)));
    expect(performance.now() - start).toBeLessThan(2000);
  });
});

describe('the cheap backend', () => {
  test("isn't asked first for what it can't do, however cheap the request", async () => {
    const { routeOf } = await deployed(policy(), { unsupportedParameters: ['seed'], contextWindow: 10 });
    expect(await routeOf(ask('hello', { seed: 1 }))).toEqual({ route: 'standard;reason=unsupported', backend: 'good' });
    expect(await routeOf(ask('word '.repeat(40)))).toEqual({
      route: 'standard;reason=context-window',
      backend: 'good',
    });
  });

  test('has the others as its fallback, and its breaker like any', async () => {
    const { routeOf, cheap, good, requestLog } = await deployed(policy());
    cheap.answer = answerStatus(500);
    for (let request = 0; request < 4; request += 1) {
      expect(await routeOf(ask('hello'))).toEqual({ route: 'cheap;reason=simple', backend: 'good' });
    }
    expect(cheap.requests).toHaveLength(3);
    expect(good.requests).toHaveLength(4);
    expect(requestLog()[3]).toMatchObject({ route: 'cheap', backend: 'good', skipped: ['cheap'], Fallbacks: 1 });
  });

  test('hands a bad answer on to the good one', async () => {
    const { chat, cheap, good } = await deployed(policy());
    cheap.answer = answerText('');
    good.answer = answerText('better');
    const answer = await chat(ask('hello'));
    expect(answer.headers).toMatchObject({ 'x-llm-route': 'cheap;reason=simple', 'x-llm-backend': 'good' });
    expect(answer.json).toMatchObject({ choices: [{ message: { content: 'better' } }] });
  });

  test('stands after fixed replies that stand before the models', async () => {
    const rules = {
      id: 'greeter',
      kind: 'rules',
      rules: [{ pattern: '^hello$', reply: 'Hi!' }],
      price: PRICE,
      deadlines: { connectMs: 500, firstTokenMs: 500, betweenTokensMs: 500 },
    } as const;
    const [good, cheap] = await Promise.all([Upstream.start(answerText('good')), Upstream.start(answerText('cheap'))]);
    upstreams.push(good, cheap);
    const backends = [rules, openAiBackend(good.url, { id: 'good' }), openAiBackend(cheap.url, { id: 'cheap' })];
    const { chat } = deploy(servingConfig([model(backends, { routing: policy() })]));
    expect((await chat(ask('hello'))).headers['x-llm-backend']).toBe('greeter');
    expect((await chat({ ...ask('hello you'), stream: true })).headers['x-llm-backend']).toBe('cheap');
  });
});

test('the log explains the decision, the metric counts it, and neither has a word of the prompt', async () => {
  const { routeOf, requestLog, lines } = await deployed(policy());
  await routeOf(ask('sesame'));
  await routeOf(ask('sesame', { tools: WEATHER }));
  expect(requestLog()).toMatchObject([
    { route: 'cheap', route_reason: 'simple', route_prompt_tokens: 6, RoutedToCheap: 1, Requests: 1 },
    { route: 'standard', route_reason: 'tools', RoutedToCheap: 0 },
  ]);
  expect(lines.join('')).not.toContain('sesame');
});

test('a model without a policy has neither header nor field', async () => {
  const { chat, requestLog } = deploy(servingConfig([model([staticBackend()])]));
  expect((await chat(ask('hello'))).headers).not.toHaveProperty('x-llm-route');
  expect(requestLog()[0]).not.toHaveProperty('RoutedToCheap');
});

describe('a conversation', () => {
  /** Turns as a user and a model might take them, some of which match a rule's pattern or carry an image. */
  const content = fc.oneof(
    fc.constantFrom('hi', 'a contract', 'thanks', 'word '.repeat(60), 'translate this'),
    fc.string({ unit: 'binary', maxLength: 200 }),
    fc.constant([{ type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } }]),
    fc.constant([{ type: 'text', text: 'a contract' }]),
  );
  const rule = fc.record({
    name: fc.constant('own'),
    route: fc.constantFrom('cheap' as const, 'standard' as const),
    patterns: fc.constantFrom(['contract'], ['translate|thanks'], ['^hi$']),
  });
  const simple = fc.record({
    maxPromptTokens: fc.integer({ min: 0, max: 200 }),
    maxTurns: fc.integer({ min: 1, max: 6 }),
    tools: fc.boolean(),
    jsonSchema: fc.boolean(),
    images: fc.boolean(),
    reasoning: fc.boolean(),
  });

  test('moves from the cheap backend to the good one at most once, and never back', async () => {
    const { decide } = await import('../../../lambda/routing/decide.ts');
    const candidates = ['good', 'cheap'].map((id) => ({
      config: { ...openAiBackend('http://127.0.0.1:9/v1', { id }), contextWindow: id === 'cheap' ? 300 : 10_000 },
      backend: {
        id,
        unsupportedParameter: () => undefined,
        stream: () => Promise.reject(),
        complete: () => Promise.reject(),
      },
    })) as unknown as Parameters<typeof decide>[1];
    let moved = 0;
    fc.assert(
      fc.property(
        fc.array(fc.tuple(content, fc.string()), { minLength: 1, maxLength: 8 }),
        fc.array(rule, { maxLength: 3 }),
        simple,
        fc.constantFrom(undefined, 'low' as const, 'normal' as const, 'high' as const),
        (turns, rules, limits, priority) => {
          const messages: object[] = [];
          const routes = turns.map(([said, answered]) => {
            messages.push(user(said));
            const request = { model: 'chat', messages: [...messages] } as unknown as Parameters<typeof decide>[2];
            messages.push(assistant(answered));
            const facts = { consumer: 'c', tier: 't', priority };
            return decide(policy({ rules, simple: limits }), candidates, request, facts).route;
          });
          expect(routes.join(' ')).toMatch(/^(cheap ?)*(standard ?)*$/);
          if (new Set(routes).size === 2) moved += 1;
        },
      ),
      { numRuns: 500 },
    );
    expect(moved).toBeGreaterThan(20);
  });
});
