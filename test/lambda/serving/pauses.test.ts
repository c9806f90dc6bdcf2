import { PutItemCommand } from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createCache } from '../../../lambda/cache/index.ts';
import { openLedger } from '../../../lambda/usage/index.ts';
import { PAUSES_KEY, type PauseKind, pause, pausesIn, resume } from '../../../lambda/usage/pauses.ts';
import { LedgerTable } from '../../../lambda/usage/table.ts';
import { startValkeyServer, type ValkeyServer } from '../../../local/valkey/server.ts';
import { cacheConfig, POLICY } from '../cache/gateway.ts';
import { budgetedTier, ledgerConfig, ledgerOf } from '../support/ledger.ts';
import type { ConfigOverrides } from '../support/serving.ts';
import { deploy, HELLO, model, openAiBackend, servingConfig, staticBackend, textOf } from '../support/serving.ts';
import { answerText, chunk, sleep, Upstream } from '../support/upstream.ts';
import { createLedgerTable, startDynamoDb, type TestDynamoDb } from '../usage/fixture.ts';

let dynamoDb: TestDynamoDb;
let up: Upstream;
let table: LedgerTable;
beforeAll(async () => {
  dynamoDb = await startDynamoDb();
});
afterAll(() => dynamoDb.close());
beforeEach(async () => {
  up = await Upstream.start(answerText('four tokens of text'));
  table = new LedgerTable(await createLedgerTable(dynamoDb.client), 30_000);
  return () => up.stop();
});

function serve(overrides: ConfigOverrides = {}, first = model([openAiBackend(up.url)], { aliases: ['gpt'] })) {
  const models = [first, model([staticBackend('cheap')], { name: 'cheap' })];
  const consumers = [{ name: 'alice', team: 'red' }];
  const config = servingConfig(models, { ...ledgerConfig, consumers, teams: [{ name: 'red' }], ...overrides });
  return deploy(config, { LEDGER: table.name, LLM_CONSUMERS: `key123=alice:${config.tiers[0]?.name}` });
}

const pauseNow = (kind: PauseKind, name: string, more: { until?: number; reason?: string } = {}) =>
  pause(table, { kind, name }, { since: Date.now(), by: 'operator', ...more });

describe('a paused', () => {
  test.each([
    ['consumer', 'alice', null],
    ['team', 'red', null],
    ['model', 'chat', 'model'],
  ] as const)("%s gets OpenAI's permission error, which says what, since when and why", async (kind, name, param) => {
    await pauseNow(kind, name, { reason: 'under review' });
    const app = serve({ tiers: [budgetedTier({ monthlyBudgetUsd: 1 })] });
    for (const body of [HELLO, { ...HELLO, stream: true }, { ...HELLO, model: 'gpt' }]) {
      const answer = await app.chat(body);
      expect(answer.status).toBe(403);
      expect(answer.json.error).toMatchObject({ type: 'permission_error', code: `${kind}_paused`, param });
      expect(answer.json.error.message).toMatch(
        /is paused by the operator since 20.+Z, until it is resumed: under review$/,
      );
      expect(answer.headers).toMatchObject({ 'x-should-retry': 'false' });
      expect(answer.headers['retry-after']).toBeUndefined();
    }
    expect(up.requests).toEqual([]);
    expect(app.requestLog()[0]).toMatchObject({ error_code: `${kind}_paused`, ClientErrors: 1, consumer: 'alice' });
    // Nothing was reserved.
    expect(await ledgerOf(dynamoDb.client, table.name, 'alice')).toEqual({ cost: 0, spent: 0, reserved: 0 });
  });

  test('model leaves the others alone, and a consumer its usage and its list of models', async () => {
    await pauseNow('model', 'chat');
    expect((await serve().chat({ ...HELLO, model: 'cheap' })).status).toBe(200);
    await pauseNow('consumer', 'alice');
    expect((await serve().call('GET', '/v1/models')).status).toBe(200);
    expect((await serve().call('GET', '/v1/usage')).status).toBe(200);
  });

  test('consumer is told when its time is over', async () => {
    await pauseNow('consumer', 'alice', { until: Date.now() + 90_000 });
    const answer = await serve().chat(HELLO);
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(60);
    expect(answer.json.error.message).toMatch(/, until 20\S+Z\.$/);
  });

  test('model is answered again when it is resumed', async () => {
    await pauseNow('model', 'chat');
    expect((await serve().chat(HELLO)).status).toBe(403);
    await resume(table, { kind: 'model', name: 'chat' }, Date.now());
    expect((await serve().chat(HELLO)).status).toBe(200);
  });

  test('model is no way out of a budget', async () => {
    await pauseNow('model', 'cheap');
    const limits = { monthlyBudgetUsd: 0.0001, onExceeded: 'downgrade', downgradeTo: 'cheap' } as const;
    const answer = await serve({ tiers: [budgetedTier(limits)] }).chat(HELLO);
    expect(answer.json.error).toMatchObject({ code: 'model_paused', message: expect.stringContaining('`cheap`') });
  });

  test('consumer reads one item for many requests', async () => {
    await pauseNow('consumer', 'alice');
    const app = serve();
    const answers = await Promise.all(Array.from({ length: 20 }, () => app.chat(HELLO)));
    expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(403));
  });
});

describe('a request whose model is paused while it runs', () => {
  let second: Upstream;
  let time: { now: number };
  beforeEach(async () => {
    second = await Upstream.start(answerText('from the second'));
    time = { now: Date.now() };
    return () => second.stop();
  });

  /** By the test's clock, as far as pauses go. */
  function serveBoth() {
    const ledger = openLedger({ ...ledgerConfig.ledger, table: table.name }, { now: () => time.now });
    const both = model([openAiBackend(up.url), openAiBackend(second.url, { id: 'second' })]);
    return deploy(servingConfig([both], ledgerConfig), { LEDGER: table.name }, { ledger });
  }

  async function pauseMeanwhile(): Promise<void> {
    await pauseNow('model', 'chat');
    time.now += 60_000;
  }

  test('fails over to nobody', async () => {
    up.answer = async (response) => {
      await pauseMeanwhile();
      response.writeHead(500).end();
    };
    const answer = await serveBoth().chat(HELLO);
    expect([answer.status, answer.json.error.code]).toEqual([403, 'model_paused']);
    expect(second.requests).toEqual([]);
  });

  test('gets its answer from the backend that it has', async () => {
    up.answer = async (response, ...rest) => {
      await pauseMeanwhile();
      await answerText('to the end')(response, ...rest);
    };
    const app = serveBoth();
    const answer = await app.chat(HELLO);
    expect([answer.status, answer.body]).toEqual([200, expect.stringContaining('to the end')]);
    expect((await app.chat(HELLO)).status).toBe(403);
  });

  test('is not resumed when its stream breaks off', async () => {
    up.answer = async (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(chunk({ role: 'assistant', content: 'The beginning' }));
      await sleep(50);
      await pauseMeanwhile();
      response.destroy();
    };
    const app = serveBoth();
    const { events } = await app.chat({ ...HELLO, stream: true });
    expect(textOf(events)).toBe('The beginning');
    expect(events.at(-2)).toMatchObject({ error: { code: 'model_paused' } });
    expect(second.requests).toEqual([]);
    // What there was of it has to be paid for.
    expect(app.requestLog()[0]).toMatchObject({ error_code: 'model_paused', usage_estimated: true });
  });
});

describe('a consumer that is paused while another one follows its request', () => {
  let valkey: ValkeyServer;
  beforeAll(async () => {
    valkey = await startValkeyServer();
  });
  afterAll(() => valkey.close());

  /** Alice leads, bob follows, and the pauses are made while the backend fails. */
  async function follow(deployment: string, paused: readonly string[]) {
    const time = { now: Date.now() };
    const ledger = openLedger({ ...ledgerConfig.ledger, table: table.name }, { now: () => time.now });
    const policy = { ...POLICY, scope: 'global' as const };
    const cached = cacheConfig(valkey.url, { policy, deployment });
    const both = model([openAiBackend(up.url), staticBackend('second')]);
    const consumers = [{ name: 'alice' }, { name: 'bob' }];
    const config = { ...servingConfig([both], { ...ledgerConfig, consumers }), cache: cached };
    const cache = createCache(cached as Parameters<typeof createCache>[0], {});
    const tier = config.tiers[0]?.name;
    const env = { LEDGER: table.name, LLM_CONSUMERS: `key123=alice:${tier},key456=bob:${tier}` };
    const app = deploy(config, env, { ledger, cache });
    const { promise: isLeading, resolve: leads } = Promise.withResolvers<void>();
    up.answer = async (response) => {
      leads();
      await sleep(1500);
      for (const name of paused) await pauseNow('consumer', name, { reason: 'owes us money' });
      time.now += 60_000;
      up.answer = answerText('for bob');
      response.writeHead(500).end();
    };
    const leading = app.chat(HELLO, { apiKeyId: 'key123' });
    await isLeading;
    const [alices, bobs] = await Promise.all([leading, app.chat(HELLO, { apiKeyId: 'key456' })]);
    cache.close();
    expect([alices.status, alices.json.error.code]).toEqual([403, 'consumer_paused']);
    expect(bobs.body).not.toContain('alice');
    return bobs;
  }

  test('ends alone', async () => {
    const bobs = await follow('alone', ['alice']);
    expect([bobs.status, bobs.body]).toEqual([200, expect.stringContaining('for bob')]);
  });

  test('is not followed by one that is paused itself', async () => {
    const bobs = await follow('both', ['alice', 'bob']);
    expect([bobs.status, bobs.json.error.message]).toEqual([403, expect.stringContaining("'bob' is paused")]);
    expect(up.requests).toHaveLength(1);
  });
});

describe('while nobody knows what is paused', () => {
  const gone = { ledger: { ...ledgerConfig.ledger, timeoutMs: 300 } };

  test('a tier with a budget refuses, and says so in the log', async () => {
    table = new LedgerTable('no-such-table', 300);
    const app = serve({ ...gone, tiers: [budgetedTier({ monthlyBudgetUsd: 1 })] });
    const answer = await app.chat(HELLO);
    expect([answer.status, answer.json.error.code]).toEqual([503, 'ledger_unavailable']);
    expect(app.log.find(({ step }) => step === 'read pauses')).toMatchObject({ LedgerErrors: 1, consumer: 'alice' });
  });

  test('one without answers', async () => {
    table = new LedgerTable('no-such-table', 300);
    expect((await serve(gone).chat(HELLO)).status).toBe(200);
  });
});

describe('a hard limit of a tier', () => {
  const hard = (pauseMs?: number) => [
    {
      name: 'standard',
      limits: {
        onExceeded: 'block',
        thresholds: [100],
        hardLimits: { hourlyUsd: 0.00002, ...(pauseMs && { pauseMs }) },
      },
    } as const,
  ];

  test('pauses the consumer that crosses it, and says who and how much', async () => {
    const app = serve({ tiers: hard(60_000) });
    // 14 tokens at 1 and 2 USD a million are some 0.00002.
    for (let index = 0; index < 3; index++) await app.chat(HELLO);
    const [paused] = app.log.filter(({ message }) => message === 'consumer paused');
    expect(paused).toMatchObject({
      consumer: 'alice',
      per: 'hour',
      limit_usd: 0.00002,
      level: 'WARN',
      ConsumersPaused: 1,
    });
    expect(Number(paused?.spent_usd)).toBeGreaterThanOrEqual(0.00002);
    expect(pausesIn(await table.get(PAUSES_KEY), Date.now())).toMatchObject([
      {
        ...{ kind: 'consumer', name: 'alice', by: 'limit', reason: 'more than $0.00002 in one hour', told: false },
        detail: expect.stringMatching(/^spent \$0\.0000\d+ in the hour from 20\d\d-\d\d-\d\dT\d\d:00Z; the hard limit/),
        until: expect.any(Number),
      },
    ]);
    // In another process: this one may take what it knows for true for some seconds.
    const answer = await serve({ tiers: hard() }).chat(HELLO);
    expect(answer.json.error).toMatchObject({ code: 'consumer_paused' });
    expect(answer.json.error.message).toContain('is paused by its hard limit');
  });

  test('that could not pause says so', async () => {
    const app = serve({ tiers: hard() });
    await dynamoDb.client.send(
      new PutItemCommand({
        TableName: table.name,
        // An attribute of another type than a pause's.
        Item: { ...PAUSES_KEY, 'c:alice': { S: 'spoiled' } },
      }),
    );
    for (let index = 0; index < 3; index++) expect((await app.chat(HELLO)).status).toBe(200);
    expect(app.log.find(({ step }) => step === 'pause')).toMatchObject({ level: 'ERROR', LedgerErrors: 1 });
  });
});
