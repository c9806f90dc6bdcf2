import { Redis } from 'iovalkey';
import OpenAI from 'openai';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { CachePolicyConfig, SemanticCacheConfig, ServingConfig } from '../../../lib/private/serving-config.ts';
import { withVectorSearch } from '../../../local/valkey/search-proxy.ts';
import { startValkeyServer, type ValkeyServer } from '../../../local/valkey/server.ts';
import { VectorSearch } from '../../../local/valkey/vector-search.ts';
import { model, openAiBackend, servingConfig } from '../support/serving.ts';
import { answerText, chunk, DONE, ROLE, sse, Upstream, usageChunk } from '../support/upstream.ts';
import { EmbeddingServer } from './embedding-server.ts';
import { eventually } from './eventually.ts';
import { type CacheGateway, cacheConfig, POLICY, startCacheGateway } from './gateway.ts';

let valkey: ValkeyServer;
let up: Upstream;
let embeddings: EmbeddingServer;
const gateways: CacheGateway[] = [];

beforeAll(async () => {
  valkey = await withVectorSearch(await startValkeyServer());
  up = await Upstream.start(answerText('An answer of five words'));
  embeddings = await EmbeddingServer.start();
});
afterAll(async () => {
  await Promise.all([valkey.close(), up.stop(), embeddings.stop()]);
});
beforeEach(() => {
  up.answer = answerText('An answer of five words');
  up.requests.length = 0;
  embeddings.reset();
});
afterEach(async () => {
  await Promise.all(gateways.splice(0).map((gateway) => gateway.close()));
});

let deployments = 0;

interface Options {
  readonly semantic?: Partial<SemanticCacheConfig>;
  readonly policy?: Partial<CachePolicyConfig>;
  readonly config?: Partial<ServingConfig>;
  readonly deployment?: string;
  readonly env?: Record<string, string>;
  readonly endpoint?: string;
}

async function start(options: Options = {}): Promise<CacheGateway> {
  deployments += 1;
  const policy = { ...POLICY, ...options.policy, semantic: embeddings.semantic(options.semantic) };
  const deployment = options.deployment ?? `semantic-${deployments}`;
  const cache = cacheConfig(options.endpoint ?? valkey.url, { deployment, policy });
  const gateway = await startCacheGateway(
    servingConfig([model([openAiBackend(up.url)])], { ...options.config, cache } as never),
    options.env,
  );
  gateways.push(gateway);
  return gateway;
}

interface Answer {
  readonly text: string;
  readonly cache: string | null;
  readonly score: string | null;
  readonly age: string | null;
  readonly usage: Record<string, number> | undefined;
}

type More = Partial<OpenAI.ChatCompletionCreateParams> & {
  key?: string;
  headers?: Record<string, string>;
  [field: string]: unknown;
};

async function ask(gateway: CacheGateway, content: unknown, more: More = {}): Promise<Answer> {
  const { key = 'alice', headers = {}, ...body } = more;
  const client = new OpenAI({ baseURL: gateway.url, apiKey: key, maxRetries: 0, timeout: 20_000 });
  const request = { model: 'chat', messages: [{ role: 'user', content }], ...body };
  const { data, response } = await client.chat.completions.create(request as never, { headers }).withResponse();
  let text = '';
  let usage: unknown;
  if (body.stream === true) {
    for await (const part of data as unknown as AsyncIterable<OpenAI.ChatCompletionChunk>) {
      text += part.choices[0]?.delta.content ?? '';
      usage = part.usage ?? usage;
    }
  } else {
    text = (data as OpenAI.ChatCompletion).choices[0]?.message.content ?? '';
    usage = (data as OpenAI.ChatCompletion).usage;
  }
  const of = (name: string) => response.headers.get(name);
  return {
    ...{ text, cache: of('x-llm-cache'), score: of('x-llm-cache-score'), age: of('age') },
    usage: usage as Answer['usage'],
  };
}

async function settled(gateway: CacheGateway, count: number): Promise<void> {
  await eventually(() => expect(gateway.requests().length).toBeGreaterThanOrEqual(count));
}

/** Asked once, kept, and ready to be found. */
async function primed(gateway: CacheGateway, content: unknown, more: More = {}): Promise<Answer> {
  const before = gateway.requests().length;
  const answer = await ask(gateway, content, more);
  await settled(gateway, before + 1);
  return answer;
}

const FIRST = 'How do I reset my password?';
const SIMILAR = 'Please tell me how I can reset my password';

describe.each([true, false])('a similar request (streamed: %s)', (stream) => {
  test('gets the answer, marked with its score', async () => {
    const gateway = await start();
    expect(await primed(gateway, FIRST, { stream })).toMatchObject({ cache: 'miss', score: null });
    up.answer = answerText('another answer');
    const usage = stream ? { stream_options: { include_usage: true } } : {};
    const answer = await ask(gateway, SIMILAR, { stream, ...usage });
    expect(answer).toMatchObject({ text: 'An answer of five words', cache: 'semantic' });
    expect(Number(answer.score)).toBeGreaterThanOrEqual(0.9);
    expect(answer.age).toMatch(/^\d+$/);
    expect(answer.usage?.cost_usd).toBeCloseTo(0.00001, 10);
    expect(answer.usage?.saved_usd).toBeGreaterThan(0);
    expect(up.requests).toHaveLength(1);
    await settled(gateway, 2);
    expect(gateway.requests()[1]).toMatchObject({
      ...{ cache: 'semantic', cache_score: Number(answer.score), CacheHits: 1, CacheMisses: 0 },
      ...{ SemanticHits: 1, SemanticErrors: 0, SemanticScore: Number(answer.score) },
      ...{ CostUsd: 0.00001, embedding_tokens: 10, attempts: 0 },
    });
  });
});

test('the same request is answered without an embedding, and not marked', async () => {
  const gateway = await start();
  await primed(gateway, FIRST);
  expect(await ask(gateway, FIRST)).toMatchObject({ cache: 'hit', score: null });
  expect(embeddings.texts).toEqual([FIRST]);
});

test('an answer that was found for a similar request is not kept as its own', async () => {
  const gateway = await start();
  await primed(gateway, FIRST);
  expect((await primed(gateway, SIMILAR)).cache).toBe('semantic');
  expect((await ask(gateway, SIMILAR)).cache).toBe('semantic');
});

test('where a policy has no semantic part, nothing is embedded', async () => {
  deployments += 1;
  const cache = cacheConfig(valkey.url, { deployment: `semantic-${deployments}` });
  const gateway = await startCacheGateway(servingConfig([model([openAiBackend(up.url)])], { cache } as never));
  gateways.push(gateway);
  await primed(gateway, FIRST);
  expect((await primed(gateway, SIMILAR)).cache).toBe('miss');
  expect(embeddings.texts).toEqual([]);
  expect(gateway.requests()[1]).not.toHaveProperty('SemanticHits');
});

describe('what tells two requests apart, however near their vectors are', () => {
  test.each([
    ['What is 15 percent of 240?', 'What is 25 percent of 240?'],
    ['Which foods are safe to eat?', 'Which foods are not safe to eat?'],
    ['What is the population of Spain?', 'What is the population of Portugal?'],
    ['what is the population of spain', 'what is the population of portugal'],
    ['Flights from Madrid to Oslo please', 'Flights from Oslo to Madrid please'],
    ["Translate 'good morning' to French", "Translate 'good evening' to French"],
    ['What does `git reset --soft` do?', 'What does `git reset --hard` do?'],
    ['How do I enable the alarm?', 'How do I disable the alarm?'],
    ['What happened in March here?', 'What happened in April here?'],
    ['When was the radio invented?', 'Who invented the radio?'],
    ['Side effects of aspirin', 'Side effects of aspirin in children'],
    ['Can a dog chase a cat?', 'Can a cat chase a dog?'],
  ])('%s / %s', async (a, b) => {
    embeddings.same = [a, b];
    const gateway = await start();
    await primed(gateway, a);
    expect(await primed(gateway, b)).toMatchObject({ cache: 'miss', score: null });
  });

  test('without guards, the vectors decide', async () => {
    const [a, b] = ['What is 15 percent of 240?', 'What is 25 percent of 240?'];
    embeddings.same = [a, b];
    const gateway = await start({ semantic: { guards: 'none' } });
    await primed(gateway, a);
    expect(await ask(gateway, b)).toMatchObject({ cache: 'semantic', score: '1.000' });
  });

  test('below the threshold it is a miss, whose score the log has', async () => {
    const gateway = await start({ semantic: { threshold: 1, guards: 'none' } });
    await primed(gateway, FIRST);
    expect((await primed(gateway, SIMILAR)).cache).toBe('miss');
    expect(gateway.requests()[1]).toMatchObject({ SemanticHits: 0, cache_score: expect.any(Number) });
  });
});

describe('all else has to be the same', () => {
  const system = (content: string) => ({ role: 'system' as const, content });
  const user = (content: string) => ({ role: 'user' as const, content });
  const tool = { type: 'function', function: { name: 'look', parameters: { type: 'object' } } };

  test.each([
    [
      'the system prompt',
      { messages: [system('Be brief.'), user(FIRST)] },
      { messages: [system('Be long.'), user(SIMILAR)] },
    ],
    [
      'a system prompt that is missing',
      { messages: [system('Be brief.'), user(FIRST)] },
      { messages: [user(SIMILAR)] },
    ],
    ['the temperature', { temperature: 0 }, { temperature: 1 }],
    ['the limit of tokens', { max_tokens: 10 }, { max_tokens: 1000 }],
    ['a stop sequence', {}, { stop: ['x'] }],
    ["a field of the backend's own", {}, { top_k: 3 }],
    ["the message's own fields", {}, { messages: [{ role: 'user', content: SIMILAR, name: 'bob' }] }],
  ])('%s', async (_, first, second) => {
    const gateway = await start();
    await primed(gateway, FIRST, first as More);
    expect((await ask(gateway, SIMILAR, first as More & { messages?: never })).cache).toBe(
      'messages' in first ? 'hit' : 'semantic',
    );
    expect((await ask(gateway, SIMILAR, second as More)).cache).toBe('miss');
  });

  test('earlier messages, where conversations qualify', async () => {
    const gateway = await start({ semantic: { maxTurns: 2 } });
    const talk = (before: string, last: string) => ({
      messages: [user(before), { role: 'assistant' as const, content: 'Yes.' }, user(last)],
    });
    await primed(gateway, '', talk('I lost my phone', FIRST));
    expect((await ask(gateway, '', talk('I lost my phone', SIMILAR))).cache).toBe('semantic');
    expect((await ask(gateway, '', talk('I lost my laptop', SIMILAR))).cache).toBe('miss');
  });

  test.each([
    ['a seed', { seed: 1 }],
    ['log probabilities', { logprobs: true }],
    ['tools', { tools: [tool] }],
    ['JSON', { response_format: { type: 'json_object' } }],
    [
      'an image',
      {
        messages: [
          {
            role: 'user',
            content: [
              { type: 'text', text: FIRST },
              { type: 'image_url', image_url: { url: 'data:image/png;base64,AA' } },
            ],
          },
        ],
      },
    ],
    ['a second turn', { messages: [user('I lost my phone'), { role: 'assistant', content: 'Yes.' }, user(FIRST)] }],
    ['a short text', { messages: [user('yes')] }],
    ['a long text', { messages: [user(`${FIRST} ${'more '.repeat(200)}`)] }],
    ['another script', { messages: [user('パスワードをリセットするにはどうすればよいですか')] }],
    ['what the client wants alone', { headers: { 'x-llm-cache-match': 'exact' } }],
    ['what it misspells', { headers: { 'x-llm-cache-match': 'exakt' } }],
    ['no-cache', { headers: { 'cache-control': 'no-cache' } }],
  ])('a request with %s is compared with none', async (_, more) => {
    const gateway = await start();
    expect((await ask(gateway, FIRST, more as More)).cache).toBe('miss');
    expect(embeddings.texts).toEqual([]);
  });

  test('tools and JSON qualify where the policy says so, the same ones', async () => {
    const gateway = await start({ semantic: { tools: true, structuredOutput: true } });
    const more = { tools: [tool], response_format: { type: 'json_object' } } as unknown as More;
    up.answer = answerText('{"a":1}');
    await primed(gateway, FIRST, more);
    expect((await ask(gateway, SIMILAR, more)).cache).toBe('semantic');
    expect((await ask(gateway, SIMILAR, { ...more, tools: [] })).cache).toBe('miss');
  });
});

describe("no request finds another tenant's answer", () => {
  const tiers = [{ name: 'gold' }, { name: 'free' }];
  const env = { LLM_CONSUMERS: 'alice=alice:gold,bob=bob:gold,carol=carol:free' };

  test.each([
    ['consumer', 'miss', 'miss'],
    ['tier', 'semantic', 'miss'],
    ['global', 'semantic', 'semantic'],
  ] as const)('scope %s: another of the tier gets a %s, one of another tier a %s', async (scope, bob, carol) => {
    const gateway = await start({ policy: { scope }, config: { tiers } as never, env });
    await primed(gateway, FIRST);
    expect((await ask(gateway, SIMILAR, { key: 'bob' })).cache).toBe(bob);
    expect((await ask(gateway, SIMILAR, { key: 'carol' })).cache).toBe(carol);
  });

  test('in whatever way it tries', async () => {
    const gateway = await start({ config: { tiers } as never, env, semantic: { guards: 'none', threshold: 0.5 } });
    up.answer = answerText("Alice's secret");
    await primed(gateway, FIRST);
    up.answer = answerText('nothing');
    const bob = (content: unknown, more: More = {}) => ask(gateway, content, { key: 'bob', ...more });
    const tries = [
      bob(FIRST),
      bob(SIMILAR),
      bob(FIRST, { stream: true }),
      bob(`${FIRST} `),
      // Fields that name somebody.
      bob(SIMILAR, { user: 'alice' }),
      bob(SIMILAR, { safety_identifier: 'alice', prompt_cache_key: 'alice' }),
      bob(SIMILAR, { metadata: { consumer: 'alice', tier: 'gold' } }),
      bob(SIMILAR, { consumer: 'alice', owner: ['declared', 'alice'], scope: 'global', context: '*' }),
      // Headers that might.
      bob(SIMILAR, { headers: { 'x-llm-cache-match': 'semantic', 'x-llm-cache-scope': 'global' } }),
      bob(SIMILAR, { headers: { 'x-llm-consumer': 'alice', 'x-session-id': 'alice' } }),
      // Texts that a query or a key might take for something else.
      bob('*=>[KNN 1 @vector $v AS score]'),
      bob('}|@context:{*} reset my password'),
      bob('reset my password"]],"alice",["declared","alice"]'),
      ask(gateway, SIMILAR, { key: 'carol' }),
      ask(gateway, SIMILAR, { key: 'unknown-key' }).catch((): Answer => ({ text: '' }) as Answer),
    ];
    for (const answer of await Promise.all(tries)) {
      expect(answer.text).not.toContain('secret');
    }
    // It is there all the same, for whom it is.
    expect(await ask(gateway, SIMILAR)).toMatchObject({ text: "Alice's secret", cache: 'semantic' });
  });

  test('a search engine that ignores the filter changes nothing', async () => {
    const open = await withVectorSearch(await startValkeyServer(), unfiltered);
    const gateway = await start({ config: { tiers } as never, env, endpoint: open.url });
    up.answer = answerText("Alice's secret");
    await primed(gateway, 'How do I tune a harpsichord?');
    up.answer = answerText('nothing');
    const similar = 'Please tell me how I can tune a harpsichord';
    expect(await primed(gateway, similar, { key: 'bob' })).toMatchObject({ text: 'nothing', cache: 'miss' });
    expect(await ask(gateway, similar)).toMatchObject({ text: "Alice's secret", cache: 'semantic' });
    await open.close();
  });

  test('another deployment, version or order of backends has answers of its own', async () => {
    const gateway = await start({ deployment: 'one' });
    await primed(gateway, FIRST);
    expect((await ask(await start({ deployment: 'two' }), SIMILAR)).cache).toBe('miss');
    expect((await ask(await start({ deployment: 'one', policy: { version: '2' } }), SIMILAR)).cache).toBe('miss');
    expect((await ask(await start({ deployment: 'one' }), SIMILAR)).cache).toBe('semantic');
  });
});

/** A search that finds a key more, without fields, as RediSearch does when one expires meanwhile. */
function expiring(client: Redis): VectorSearch {
  const search = new VectorSearch(client);
  const run = search.run.bind(search);
  search.run = async (words) => {
    const reply = await run(words);
    if (!/^FT.SEARCH$/i.test(String(words[0])) || !Array.isArray(reply)) return reply;
    return [Number(reply[0]) + 1, 'llm:s:gone', null, ...reply.slice(1)];
  };
  return search;
}

/** A search that takes every hash for one of the context that is asked for. */
function unfiltered(client: Redis): VectorSearch {
  const liar: { context: Buffer } = { context: Buffer.alloc(0) };
  const wrapped = {
    scanBuffer: (...args: [string]) => client.scanBuffer(...args),
    hmgetBuffer: async (key: Buffer, ...fields: string[]) => {
      const values = await client.hmgetBuffer(key, ...fields);
      return fields[1] === 'vector' ? [liar.context, values[1]] : values;
    },
  };
  const search = new VectorSearch(wrapped as never);
  const run = search.run.bind(search);
  search.run = (words) => {
    liar.context = Buffer.from(/\{(\w+)\}/.exec(String(words[2]))?.[1] ?? '');
    return run(words);
  };
  return search;
}

describe('age and expiry', () => {
  test('max-age holds for similar requests, too', async () => {
    const gateway = await start();
    await primed(gateway, FIRST);
    await eventually(async () => expect(Number((await ask(gateway, FIRST)).age)).toBeGreaterThanOrEqual(1), 5000);
    expect((await ask(gateway, SIMILAR, { headers: { 'cache-control': 'max-age=60' } })).cache).toBe('semantic');
    expect((await ask(gateway, SIMILAR, { headers: { 'cache-control': 'max-age=1' } })).cache).toBe('miss');
  });

  test('an answer is forgotten after its time', async () => {
    const gateway = await start({ policy: { ttlMs: 400 } });
    await primed(gateway, FIRST);
    await eventually(async () => expect((await ask(gateway, SIMILAR)).cache).toBe('miss'), 5000);
  });

  test('a newer answer to the first request is the one that is found', async () => {
    const gateway = await start();
    await primed(gateway, FIRST);
    up.answer = answerText('A newer one');
    await primed(gateway, FIRST, { headers: { 'cache-control': 'no-cache' } });
    expect(await ask(gateway, SIMILAR)).toMatchObject({ text: 'A newer one', cache: 'semantic' });
  });

  test('a truncated answer is not found', async () => {
    const gateway = await start();
    up.answer = (response) => {
      sse(response).end(`${ROLE}${chunk({ content: 'An' })}${chunk({}, 'length')}${usageChunk(1, 1)}${DONE}`);
    };
    await primed(gateway, FIRST, { stream: true });
    expect((await ask(gateway, SIMILAR, { stream: true })).cache).toBe('miss');
  });
});

describe('requests in flight', () => {
  test('those who ask the same at once get the same answer, for one embedding', async () => {
    const gateway = await start();
    await primed(gateway, FIRST);
    embeddings.delayMs = 300;
    const answers = await Promise.all(
      Array.from({ length: 6 }, (_, index) => ask(gateway, SIMILAR, { stream: index % 2 === 0 })),
    );
    for (const answer of answers) {
      expect(answer).toMatchObject({ text: 'An answer of five words', cache: 'semantic' });
      expect(Number(answer.score)).toBeGreaterThan(0.9);
    }
    expect(embeddings.texts.filter((text) => text === SIMILAR)).toHaveLength(1);
    expect(up.requests).toHaveLength(1);
    await settled(gateway, 7);
    const costs = gateway
      .requests()
      .slice(1)
      .map(({ CostUsd }) => CostUsd ?? 0) as number[];
    expect(costs.reduce((sum, cost) => sum + cost, 0)).toBeCloseTo(0.00001, 10);
  });

  test('in another process, too, unless it wants the exact one', async () => {
    const [one, two, three] = await Promise.all([
      start({ deployment: 'flight' }),
      start({ deployment: 'flight' }),
      start({ deployment: 'flight' }),
    ]);
    await primed(one, FIRST);
    embeddings.delayMs = 600;
    up.answer = answerText('another answer');
    const leading = ask(one, SIMILAR);
    await eventually(() => expect(embeddings.texts).toContain(SIMILAR));
    const [following, exact] = await Promise.all([
      ask(two, SIMILAR),
      ask(three, SIMILAR, { headers: { 'x-llm-cache-match': 'exact' } }),
    ]);
    expect(await leading).toMatchObject({ text: 'An answer of five words', cache: 'semantic' });
    expect(following).toMatchObject({ text: 'An answer of five words', cache: 'semantic' });
    expect(Number(following.score)).toBeGreaterThan(0.9);
    expect(exact).toMatchObject({ text: 'another answer', score: null });
  });
});

describe('when the embedding or the search fails, the request goes on', () => {
  test('an embedding that refuses costs nothing; after three it is left alone', async () => {
    const gateway = await start();
    embeddings.status = 500;
    for (let count = 1; count <= 5; count++) {
      const text = `A question of its own about ${'x'.repeat(count)}`;
      expect((await primed(gateway, text)).cache).toBe('miss');
    }
    expect(embeddings.texts).toHaveLength(3);
    expect(gateway.requests()[0]).toMatchObject({ SemanticErrors: 1, SemanticHits: 0 });
    expect(gateway.requests()[0]).not.toHaveProperty('embedding_cost_usd');
    expect(gateway.requests()[4]).not.toHaveProperty('SemanticErrors');
  });

  test('one that is late is given up, and counted as paid for', async () => {
    const gateway = await start({ semantic: { timeoutMs: 50 } });
    embeddings.delayMs = 1500;
    expect((await primed(gateway, FIRST)).cache).toBe('miss');
    const [line] = gateway.requests();
    expect(line).toMatchObject({ SemanticErrors: 1, embedding_tokens: Math.ceil(FIRST.length / 4) });
    const embedded = gateway.log.find(({ message }) => message === 'prompt embedded');
    expect(embedded).toMatchObject({ backend: 'embedding-test', usage_estimated: true });
  });

  test('vectors of another size are no vectors', async () => {
    const gateway = await start();
    embeddings.dimensions = 32;
    expect((await primed(gateway, FIRST)).cache).toBe('miss');
    expect(gateway.requests()[0]).toMatchObject({ SemanticErrors: 1 });
  });

  test('one that expired while the search ran is passed over', async () => {
    const server = await withVectorSearch(await startValkeyServer(), expiring);
    const gateway = await start({ endpoint: server.url });
    await primed(gateway, FIRST);
    expect((await ask(gateway, SIMILAR)).cache).toBe('semantic');
    await server.close();
  });

  test('with a cache that can not search, nobody pays for an embedding', async () => {
    const plain = await startValkeyServer();
    const gateway = await start({ endpoint: plain.url });
    expect((await primed(gateway, FIRST)).cache).toBe('miss');
    expect((await ask(gateway, FIRST)).cache).toBe('hit');
    expect(embeddings.texts).toEqual([]);
    expect(gateway.requests()[0]).toMatchObject({ SemanticErrors: 1 });
    await plain.close();
  });
});

test('an answer that nobody can read is none, and nobody waits for it', async () => {
  const gateway = await start({ deployment: 'unreadable' });
  await primed(gateway, FIRST, { stream: true });
  const client = new Redis(valkey.url);
  const facts = { backend: 'first', estimated: false, costUsd: 0, isStream: true };
  const broken = `${Date.now()}p${JSON.stringify(facts)}\ndata: {broken\n\n`;
  const [, keys] = await client.scan('0', 'MATCH', 'llm:{*}:e', 'COUNT', 10_000);
  await Promise.all(keys.map((key) => client.set(key, broken, 'PX', 60_000)));
  client.disconnect();
  const answers = await Promise.all([ask(gateway, SIMILAR), ask(gateway, SIMILAR)]);
  expect(answers.map(({ text }) => text)).toEqual(Array(2).fill('An answer of five words'));
  expect(answers.map(({ cache }) => cache)).not.toContain('semantic');
});

test('what a miss cost includes the embedding, in each place where it stands', async () => {
  const gateway = await start();
  const answer = await primed(gateway, FIRST);
  const [line] = gateway.requests();
  const parts = gateway.log.filter(({ message }) => message === 'prompt embedded' || message === 'backend answered');
  const sum = parts.reduce((total, part) => total + Number(part.CostUsd), 0);
  expect(parts.map(({ backend }) => backend).sort()).toEqual(['embedding-test', 'first']);
  expect(Number(line?.CostUsd)).toBeCloseTo(sum, 10);
  expect(answer.usage?.cost_usd).toBeCloseTo(sum, 10);
  // The model's tokens are the model's.
  expect(line?.InputTokens).toBe(10);
});

test('no text of a prompt is kept beside its vector', async () => {
  const gateway = await start();
  await primed(gateway, 'Where is the xylophone of Bartholomew?');
  const client = new Redis(valkey.url);
  const [, keys] = await client.scan('0', 'MATCH', 'llm:s:*', 'COUNT', 1000);
  const kept = await Promise.all(keys.map(async (key) => `${key} ${JSON.stringify(await client.hgetall(key))}`));
  client.disconnect();
  expect(kept.length).toBeGreaterThan(0);
  expect(kept.join('\n')).not.toMatch(/xylophon|bartholomew/i);
});
