import OpenAI from 'openai';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { encodeEntry } from '../../../lambda/cache/entry.ts';
import type {
  CacheConfig,
  CachePolicyConfig,
  ModelConfig,
  ServingConfig,
} from '../../../lib/private/serving-config.ts';
import { startValkeyServer, type ValkeyServer } from '../../../local/valkey/server.ts';
import { model, openAiBackend, servingConfig, staticBackend } from '../support/serving.ts';
import { answerText, chunk, DONE, ROLE, sse, Upstream, usageChunk } from '../support/upstream.ts';
import { eventually } from './eventually.ts';
import { type CacheGateway, cacheConfig, POLICY, startCacheGateway } from './gateway.ts';

let valkey: ValkeyServer;
let up: Upstream;
const gateways: CacheGateway[] = [];

beforeAll(async () => {
  valkey = await startValkeyServer();
  up = await Upstream.start(answerText('An answer of five words'));
});
afterAll(async () => {
  await Promise.all([valkey.close(), up.stop()]);
});
beforeEach(() => {
  up.answer = answerText('An answer of five words');
  up.requests.length = 0;
});
afterEach(async () => {
  await Promise.all(gateways.splice(0).map((gateway) => gateway.close()));
});

interface Options {
  readonly policy?: Partial<CachePolicyConfig>;
  readonly model?: Partial<ModelConfig>;
  readonly config?: Partial<ServingConfig>;
  readonly cache?: Partial<CacheConfig>;
}

let deployments = 0;

/** A deployment of its own: nothing is in its cache. */
async function start(options: Options = {}): Promise<CacheGateway> {
  deployments += 1;
  const cache = { ...cacheConfig(valkey.url, { deployment: `d${deployments}`, ...options.cache }) };
  const config = servingConfig([model([openAiBackend(up.url)], options.model)], {
    ...options.config,
    cache: { ...cache, policy: { ...POLICY, ...options.policy } },
  } as never);
  const gateway = await startCacheGateway(config);
  gateways.push(gateway);
  return gateway;
}

interface Answer {
  readonly text: string;
  readonly cache: string | null;
  readonly age: string | null;
  readonly usage: Record<string, unknown> | undefined;
}

type Body = Partial<OpenAI.ChatCompletionCreateParams>;

async function ask(
  gateway: CacheGateway,
  { key = 'alice', headers = {}, ...body }: { key?: string; headers?: Record<string, string> } & Body = {},
): Promise<Answer> {
  const client = new OpenAI({ baseURL: gateway.url, apiKey: key, maxRetries: 0, timeout: 10_000 });
  const request = { model: 'chat', messages: [{ role: 'user' as const, content: 'hello' }], ...body };
  let text = '';
  let usage: unknown;
  const result = await client.chat.completions.create(request as never, { headers }).withResponse();
  const { response } = result;
  if (body.stream === true) {
    for await (const part of result.data as unknown as AsyncIterable<OpenAI.ChatCompletionChunk>) {
      text += part.choices[0]?.delta.content ?? '';
      usage = part.usage ?? usage;
    }
  } else {
    const data = result.data as OpenAI.ChatCompletion;
    text = data.choices[0]?.message.content ?? '';
    usage = data.usage;
  }
  return {
    text,
    cache: response.headers.get('x-llm-cache'),
    age: response.headers.get('age'),
    usage: usage as Record<string, unknown> | undefined,
  };
}

/** The answer is in the cache a moment after the client has it. */
async function kept(gateway: CacheGateway, count = 1): Promise<void> {
  await eventually(() => expect(gateway.requests().length).toBeGreaterThanOrEqual(count));
}

describe.each([true, false])('an identical request (streamed: %s)', (stream) => {
  test('is answered from the cache, at no cost, with what that saved', async () => {
    const gateway = await start();
    const first = await ask(gateway, { stream });
    expect(first).toMatchObject({ text: 'An answer of five words', cache: 'miss', age: null });
    await kept(gateway);
    const usage = stream ? { stream_options: { include_usage: true } } : {};
    const second = await ask(gateway, { stream, ...usage });
    expect(second).toMatchObject({ text: first.text, cache: 'hit', age: expect.stringMatching(/^\d+$/) });
    expect(second.usage).toMatchObject({ prompt_tokens: 10, completion_tokens: 5, cost_usd: 0 });
    expect(second.usage?.saved_usd).toBeGreaterThan(0);
    expect(up.requests).toHaveLength(1);
    await kept(gateway, 2);
    const [miss, hit] = gateway.requests();
    expect(miss).toMatchObject({ cache: 'miss', CacheMisses: 1, CacheHits: 0 });
    expect(hit).toMatchObject({ cache: 'hit', CacheHits: 1, SavedUsd: miss?.CostUsd, attempts: 0, backend: 'first' });
    expect(hit).not.toHaveProperty('CostUsd');
  });

  test('in the other form gets the same answer in that form', async () => {
    const gateway = await start();
    await ask(gateway, { stream });
    await kept(gateway);
    const other = await ask(gateway, {
      stream: !stream,
      ...(stream ? {} : { stream_options: { include_usage: true } }),
    });
    expect(other).toMatchObject({ text: 'An answer of five words', cache: 'hit' });
    expect(other.usage).toMatchObject({ completion_tokens: 5, cost_usd: 0 });
  });
});

describe('Cache-Control of a request', () => {
  test('no-cache asks anew and keeps the new answer', async () => {
    const gateway = await start();
    await ask(gateway);
    await kept(gateway);
    up.answer = answerText('A newer one');
    const fresh = await ask(gateway, { headers: { 'cache-control': 'no-cache' } });
    expect(fresh).toMatchObject({ text: 'A newer one', cache: 'miss' });
    await kept(gateway, 2);
    expect(await ask(gateway)).toMatchObject({ text: 'A newer one', cache: 'hit' });
  });

  test('no-store neither reads nor keeps', async () => {
    const gateway = await start();
    const headers = { 'cache-control': 'No-Store' };
    expect((await ask(gateway, { headers })).cache).toBe('bypass');
    await kept(gateway);
    expect((await ask(gateway)).cache).toBe('miss');
    await kept(gateway, 2);
    expect((await ask(gateway, { headers })).cache).toBe('bypass');
    expect(up.requests).toHaveLength(3);
  });

  test('max-age refuses what is older', async () => {
    const gateway = await start();
    await ask(gateway);
    await kept(gateway);
    expect((await ask(gateway, { headers: { 'cache-control': 'max-age=60' } })).cache).toBe('hit');
    expect((await ask(gateway, { headers: { 'cache-control': 'max-age=0' } })).cache).toBe('miss');
    await eventually(async () => {
      const answer = await ask(gateway);
      expect(Number(answer.age)).toBeGreaterThanOrEqual(1);
    }, 5000);
    expect((await ask(gateway, { headers: { 'cache-control': 'max-age=1' } })).cache).toBe('miss');
  });
});

test('an answer is forgotten after its time', async () => {
  const gateway = await start({ policy: { ttlMs: 300 } });
  await ask(gateway);
  await kept(gateway);
  expect((await ask(gateway)).cache).toBe('hit');
  await eventually(async () => expect((await ask(gateway)).cache).toBe('miss'), 3000);
});

describe('whose answers are whose', () => {
  const tiers = [{ name: 'gold' }, { name: 'free' }];
  const consumers = { LLM_CONSUMERS: 'alice=alice:gold,bob=bob:gold,carol=carol:free' };

  async function startScoped(scope: CachePolicyConfig['scope'], overrides: Options = {}): Promise<CacheGateway> {
    deployments += 1;
    const cache = cacheConfig(valkey.url, {
      deployment: `d${deployments}`,
      policy: { ...POLICY, scope },
      ...overrides.cache,
    });
    const config = servingConfig([model([openAiBackend(up.url)])], { tiers, cache, ...overrides.config } as never);
    const gateway = await startCacheGateway(config, consumers);
    gateways.push(gateway);
    return gateway;
  }

  test.each([
    ['consumer', 'miss', 'miss'],
    ['tier', 'hit', 'miss'],
    ['global', 'hit', 'hit'],
  ] as const)('scope %s: another of the tier gets a %s, one of another tier a %s', async (scope, bob, carol) => {
    const gateway = await startScoped(scope);
    await ask(gateway, { key: 'alice' });
    await kept(gateway);
    expect((await ask(gateway, { key: 'alice' })).cache).toBe('hit');
    expect((await ask(gateway, { key: 'bob' })).cache).toBe(bob);
    expect((await ask(gateway, { key: 'carol' })).cache).toBe(carol);
  });

  test("no request reads another tenant's answer", async () => {
    const gateway = await startScoped('consumer');
    up.answer = answerText("Alice's secret");
    await ask(gateway, { key: 'alice' });
    await kept(gateway);
    up.answer = answerText('nothing');
    const bob = (more: object) => ask(gateway, { key: 'bob', ...more });
    const tries: Array<Promise<Answer>> = [
      bob({}),
      bob({ stream: true }),
      // Fields that name somebody.
      bob({ user: 'alice' }),
      bob({ safety_identifier: 'alice' }),
      bob({ metadata: { consumer: 'alice', tier: 'gold', feature: 'search' } }),
      bob({ prompt_cache_key: 'alice' }),
      bob({ consumer: 'alice', owner: ['consumer', 'alice'], scope: 'global' }),
      // Headers that might.
      bob({ headers: { 'x-session-id': 'alice', 'x-llm-consumer': 'alice', 'x-llm-cache-scope': 'global' } }),
      bob({ headers: { 'cache-control': 'max-age=99999, only-if-cached, public' } }),
      bob({ headers: { 'x-api-key': 'alice', 'x-request-id': 'alice' } }),
      bob({ headers: { 'cache-control': 'max-stale=99999' } }),
      // A name or a prompt that looks like another key's parts.
      bob({ messages: [{ role: 'user', content: 'hello","consumer","alice' }] }),
      bob({ messages: [{ role: 'user', content: 'hello', name: 'alice' }] }),
      bob({ model: 'chat ' }).catch(() => ({ text: '', cache: null, age: null, usage: undefined })),
    ];
    for (const answer of await Promise.all(tries)) expect(answer.text).not.toContain('secret');
    // In flight: Bob's identical request isn't coalesced with Alice's either.
    up.answer = answerText('Alice again', { pauseMs: 100 });
    const fresh = { messages: [{ role: 'user' as const, content: 'another' }] };
    const before = up.requests.length;
    await Promise.all([ask(gateway, { key: 'alice', ...fresh }), ask(gateway, { key: 'bob', ...fresh })]);
    expect(up.requests.length - before).toBe(2);
  });

  test("a declared consumer and a key whose id is that consumer's name are two", async () => {
    const config = servingConfig([model([openAiBackend(up.url)])], {
      tiers: [{ name: 'gold' }],
      cache: cacheConfig(valkey.url, { deployment: `d${++deployments}` }),
    } as never);
    const gateway = await startCacheGateway(config, { LLM_CONSUMERS: 'key1=alice:gold' });
    gateways.push(gateway);
    await ask(gateway, { key: 'key1' });
    await kept(gateway);
    expect((await ask(gateway, { key: 'key1' })).cache).toBe('hit');
    expect((await ask(gateway, { key: 'alice' })).cache).toBe('miss');
    await kept(gateway, 3);
    expect(gateway.requests().map(({ consumer }) => consumer)).toEqual(['alice', 'alice', 'alice']);
  });

  test('deployments that share a cache share no answers', async () => {
    const [one, two] = [await startScoped('global'), await startScoped('global')];
    await ask(one, { key: 'alice' });
    await kept(one);
    expect((await ask(two, { key: 'alice' })).cache).toBe('miss');
  });
});

describe('what is not kept', () => {
  const twice = async (gateway: CacheGateway, body: Body = {}) => {
    const first = await ask(gateway, body).catch(() => undefined);
    await kept(gateway, 1);
    const second = await ask(gateway, body).catch(() => undefined);
    return [first?.cache, second?.cache];
  };

  test.each([true, false])('a truncated answer (streamed: %s)', async (stream) => {
    up.answer = (response, { body }) => {
      if (body.stream === true) {
        sse(response).end(`${ROLE}${chunk({ content: 'An' })}${chunk({}, 'length')}${usageChunk(1, 1)}${DONE}`);
        return;
      }
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(
        JSON.stringify({
          id: 'x',
          object: 'chat.completion',
          created: 1,
          model: 'm',
          choices: [{ index: 0, message: { role: 'assistant', content: 'An' }, finish_reason: 'length' }],
        }),
      );
    };
    expect(await twice(await start(), { stream })).toEqual(['miss', 'miss']);
  });

  test('a streamed answer that is not the JSON that was asked for', async () => {
    const gateway = await start();
    expect(await twice(gateway, { stream: true, response_format: { type: 'json_object' } })).toEqual(['miss', 'miss']);
  });

  test('an error', async () => {
    const gateway = await start();
    up.answer = (response) => {
      response.writeHead(500).end('{}');
    };
    await expect(ask(gateway)).rejects.toThrow(/502/);
    up.answer = answerText('An answer');
    expect(await ask(gateway)).toMatchObject({ text: 'An answer', cache: 'miss' });
  });

  test('a fixed reply', async () => {
    const gateway = await start({ model: { backends: [openAiBackend('http://127.0.0.1:9/v1'), staticBackend()] } });
    expect(await twice(gateway)).toEqual(['miss', 'miss']);
  });

  test('a resumed stream', async () => {
    const next = await Upstream.start(answerText('and the rest'));
    up.answer = async (response) => {
      sse(response).write(`${ROLE}${chunk({ content: 'A beginning ' })}`);
      await new Promise((resolve) => setTimeout(resolve, 30));
      response.destroy();
    };
    const gateway = await start({
      model: { backends: [openAiBackend(up.url), openAiBackend(next.url, { id: 'next' })] },
    });
    expect(await ask(gateway, { stream: true })).toMatchObject({ text: 'A beginning and the rest', cache: 'miss' });
    await kept(gateway);
    expect((await ask(gateway, { stream: true })).cache).toBe('miss');
    await next.stop();
  });

  test('one that is larger than the policy allows', async () => {
    expect(await twice(await start({ policy: { maxAnswerBytes: 20 } }))).toEqual(['miss', 'miss']);
  });

  test.each([
    ['above the temperature', { maxTemperature: 0.5 }, { temperature: 0.7 }],
    ['without a temperature where only low ones qualify', { maxTemperature: 0 }, {}],
    ['without a seed', { requireSeed: true }, {}],
    ['with tools', { tools: false }, { tools: [{ type: 'function' as const, function: { name: 'f' } }] }],
    ['of a large request', { maxRequestBytes: 10 }, {}],
    ['where the model has it off', { enabled: false }, {}],
    ['that the provider is to store', {}, { store: true }],
  ])('one %s', async (_, policy, body) => {
    expect(await twice(await start({ policy }), body)).toEqual(['bypass', 'bypass']);
  });

  test('a seed makes up for a temperature', async () => {
    expect(await twice(await start({ policy: { maxTemperature: 0 } }), { temperature: 1, seed: 7 })).toEqual([
      'miss',
      'hit',
    ]);
  });
});

test('a stream is replayed event by event as it came', async () => {
  const events = [
    ROLE,
    chunk({ reasoning_content: 'hm, ' }),
    chunk({ reasoning_content: 'yes' }),
    chunk({ content: 'Gr' }),
    chunk({ content: 'üße 👋' }, null, { system_fingerprint: 'fp' }),
    chunk({ tool_calls: [{ index: 0, id: 'c1', type: 'function', function: { name: 'f', arguments: '' } }] }),
    chunk({ tool_calls: [{ index: 0, function: { arguments: '{"a":' } }] }),
    chunk({ tool_calls: [{ index: 0, function: { arguments: '1}' } }] }),
    chunk({ tool_calls: [{ index: 1, id: 'c2', type: 'function', function: { name: 'g', arguments: '{}' } }] }),
    chunk({}, 'tool_calls'),
  ];
  up.answer = (response) => {
    sse(response).end(`${events.join('')}${usageChunk(7, 9)}${DONE}`);
  };
  const gateway = await start();
  const raw = async () => {
    const response = await fetch(`${gateway.url}/chat/completions`, {
      method: 'POST',
      headers: { authorization: 'Bearer alice', 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'chat', stream: true, messages: [{ role: 'user', content: 'tools' }] }),
    });
    return { cache: response.headers.get('x-llm-cache'), body: await response.text() };
  };
  const first = await raw();
  expect(first).toEqual({ cache: 'miss', body: `${events.join('')}${DONE}` });
  await kept(gateway);
  expect(await raw()).toEqual({ cache: 'hit', body: first.body });
  const client = new OpenAI({ baseURL: gateway.url, apiKey: 'alice', maxRetries: 0 });
  const whole = await client.chat.completions.create({ model: 'chat', messages: [{ role: 'user', content: 'tools' }] });
  expect(whole.choices[0]).toMatchObject({
    finish_reason: 'tool_calls',
    message: {
      role: 'assistant',
      content: 'Grüße 👋',
      reasoning_content: 'hm, yes',
      tool_calls: [
        { id: 'c1', type: 'function', function: { name: 'f', arguments: '{"a":1}' } },
        { id: 'c2', type: 'function', function: { name: 'g', arguments: '{}' } },
      ],
    },
  });
  expect(whole.usage).toMatchObject({ prompt_tokens: 7, completion_tokens: 9, cost_usd: 0 });
});

test('a paced replay takes its time', async () => {
  const gateway = await start({ policy: { paceMs: 30 } });
  await ask(gateway, { stream: true });
  await kept(gateway);
  const start0 = performance.now();
  expect((await ask(gateway, { stream: true })).cache).toBe('hit');
  // Role, five words, end: six pauses.
  expect(performance.now() - start0).toBeGreaterThan(150);
});

test('a large answer is kept compressed and comes back as it was', async () => {
  const text = Array.from({ length: 5000 }, (_, index) => `word${index}`).join(' ');
  up.answer = (response) => {
    sse(response).end(`${ROLE}${chunk({ content: text })}${chunk({}, 'stop')}${usageChunk(1, 2)}${DONE}`);
  };
  const gateway = await start({ policy: { compressAboveBytes: 100 } });
  await ask(gateway, { stream: true });
  await kept(gateway);
  expect(await ask(gateway, { stream: true })).toMatchObject({ text, cache: 'hit' });
  const plain = await encodeEntry(
    0,
    FACTS,
    { events: [Buffer.from(text)] },
    { maxBytes: 1e6, compressAboveBytes: 1e6 },
  );
  const small = await encodeEntry(
    0,
    FACTS,
    { events: [Buffer.from(text)] },
    { maxBytes: 1e6, compressAboveBytes: 100 },
  );
  expect(small?.length).toBeLessThan((plain?.length ?? 0) / 2);
});

const FACTS = { backend: 'first', finishReason: 'stop', usage: undefined, estimated: false, costUsd: 0 };
