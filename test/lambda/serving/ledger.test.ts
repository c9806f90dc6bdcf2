import { PutItemCommand } from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { keyItem } from '../../../lambda/usage/keys.ts';
import { allRecords, budgetedTier, ledgerConfig, ledgerOf } from '../support/ledger.ts';
import type { ConfigOverrides } from '../support/serving.ts';
import { deploy, HELLO, model, openAiBackend, servingConfig, staticBackend } from '../support/serving.ts';
import { answerText, Upstream } from '../support/upstream.ts';
import { createLedgerTable, startDynamoDb, type TestDynamoDb } from '../usage/fixture.ts';

let dynamoDb: TestDynamoDb;
let up: Upstream;
let table: string;
beforeAll(async () => {
  dynamoDb = await startDynamoDb();
  up = await Upstream.start(answerText('four tokens of text'));
});
afterAll(async () => {
  await up.stop();
  await dynamoDb.close();
});
beforeEach(async () => {
  table = await createLedgerTable(dynamoDb.client);
});

const serve = (overrides: ConfigOverrides = {}, env: Record<string, string> = {}) => {
  const models = [model([openAiBackend(up.url)]), model([staticBackend('cheap')], { name: 'cheap' })];
  return deploy(servingConfig(models, { ...ledgerConfig, ...overrides }), { LEDGER: table, ...env });
};

describe('a tier with a budget', () => {
  test('is charged what an answer cost, by user and feature, and holds nothing back afterwards', async () => {
    const app = serve({ tiers: [budgetedTier({ monthlyBudgetUsd: 1 })] });
    const answer = await app.chat({ ...HELLO, user: 'u1', metadata: { feature: 'search' } });
    expect(answer.status).toBe(200);
    const cost = Math.round(Number(app.requestLog()[0]?.CostUsd) * 1e9);
    expect(cost).toBeGreaterThan(0);
    expect(await ledgerOf(dynamoDb.client, table)).toEqual({ cost, spent: cost, reserved: 0 });
    expect(await allRecords(dynamoDb.client, table)).toMatchObject([
      { consumer: 'key123', user: 'u1', feature: 'search', model: 'chat', bills: [{ backend: 'first' }] },
    ]);
  });

  test('that is too small for an answer refuses with insufficient_quota, and tells SDKs not to try again', async () => {
    const app = serve({ tiers: [budgetedTier({ monthlyBudgetUsd: 0.0001 })] });
    const answer = await app.chat(HELLO);
    expect(answer.status).toBe(429);
    expect(answer.json.error).toMatchObject({ type: 'insufficient_quota', code: 'insufficient_quota' });
    expect(answer.headers).toMatchObject({ 'x-should-retry': 'false', 'retry-after': expect.stringMatching(/^\d+$/) });
    expect(up.requests).toHaveLength(1);
  });

  test.each(['tools', 'functions', 'response_format'])('reserves for %s, however short the message', async (name) => {
    const app = serve({ tiers: [budgetedTier({ monthlyBudgetUsd: 0.001 })] });
    const schema = { type: 'object', description: 'x'.repeat(10_000) };
    const of = { name: 'f', parameters: schema };
    const values: Record<string, unknown> = {
      tools: [{ type: 'function', function: of }],
      functions: [of],
      response_format: { type: 'json_schema', json_schema: { name: 'f', schema } },
    };
    const answer = await app.chat({ ...HELLO, [name]: values[name] });
    expect([answer.status, answer.json.error.code]).toEqual([429, 'insufficient_quota']);
  });

  test('may go on with a cheaper model, whose name is told', async () => {
    const limits = { monthlyBudgetUsd: 0.0001, onExceeded: 'downgrade', downgradeTo: 'cheap' } as const;
    const app = serve({ tiers: [{ ...budgetedTier(limits), allowedModels: ['chat'] }] });
    const answer = await app.chat(HELLO);
    expect(answer.status).toBe(200);
    expect(answer.headers['x-llm-model']).toBe('cheap');
    expect(answer.body).toContain('cheap');
  });

  test('may go on and tell', async () => {
    const app = serve({ tiers: [budgetedTier({ monthlyBudgetUsd: 0.000001, onExceeded: 'notify' })] });
    for (const _ of [1, 2]) expect((await app.chat(HELLO)).status).toBe(200);
    const told = app.log.filter((line) => line.message === 'budget threshold');
    expect(told.map((line) => line.threshold_percent)).toEqual([50, 80, 100]);
    expect(told[0]).toMatchObject({ consumer: 'key123', budget_usd: 0.000001, BudgetThresholds: 1, tier: 'standard' });
  });

  test("may be its team's, too, and a consumer's own comes before its tier's", async () => {
    const app = serve(
      {
        tiers: [budgetedTier({ monthlyBudgetUsd: 0.0001 })],
        consumers: [{ name: 'alice', team: 'search', monthlyBudgetUsd: 5 }],
        teams: [{ name: 'search', monthlyBudgetUsd: 0.0003 }],
      },
      { LLM_CONSUMERS: 'key123=alice:standard' },
    );
    expect((await app.chat(HELLO)).status).toBe(200);
    expect((await app.chat({ ...HELLO, n: 4, max_tokens: 1000 })).status).toBe(200);
    const refused = await app.chat({ ...HELLO, messages: [{ role: 'user', content: 'long '.repeat(500) }] });
    expect(refused.json.error.message).toContain("The team's budget of $0.0003");
  });
});

describe('a tier with tokens a minute', () => {
  test("says what is left in OpenAI's headers, and when there will be more", async () => {
    const app = serve({ tiers: [budgetedTier({ tokensPerMinute: 150, requestsPerMinute: 100 })] });
    const first = await app.chat(HELLO);
    expect(first.headers).toMatchObject({
      'x-ratelimit-limit-tokens': '150',
      'x-ratelimit-remaining-tokens': expect.stringMatching(/^[34]\d$/),
      'x-ratelimit-limit-requests': '100',
      'x-ratelimit-remaining-requests': '99',
      'x-ratelimit-reset-tokens': expect.stringMatching(/^([\d.]+s|\d+ms)$/),
    });
    const tooLarge = await app.chat({ ...HELLO, messages: [{ role: 'user', content: 'x'.repeat(1000) }] });
    expect(tooLarge.status).toBe(429);
    expect(tooLarge.json.error).toMatchObject({ type: 'tokens', code: 'rate_limit_exceeded' });
    expect(tooLarge.json.error.message).toContain('Request too large');
  });
});

describe('while the ledger is out of reach', () => {
  const gone = { ledger: { ...ledgerConfig.ledger, timeoutMs: 300 } };

  test('a tier with a budget refuses, and says so in the log', async () => {
    table = 'no-such-table';
    const tiers = [budgetedTier({ monthlyBudgetUsd: 1 })];
    const app = serve({ ...gone, tiers }, { LLM_CONSUMERS: 'key123=alice:standard' });
    const answer = await app.chat(HELLO);
    expect(answer.status).toBe(503);
    expect(answer.json.error.code).toBe('ledger_unavailable');
    expect(answer.headers['retry-after']).toBe('2');
    const [line] = app.log.filter(({ message }) => message === 'ledger out of reach');
    expect(line).toMatchObject({ step: 'read pauses', LedgerErrors: 1, tier: 'standard', consumer: 'alice' });
  });

  test.each([
    ['one without limits', undefined],
    ['one that would rather answer', { monthlyBudgetUsd: 1, ledgerUnavailable: 'allow' } as const],
  ])('%s answers, and the failed settlement is logged with its cost', async (_, limits) => {
    table = 'no-such-table';
    const app = serve({ ...gone, tiers: [limits === undefined ? { name: 'standard' } : budgetedTier(limits)] });
    expect((await app.chat(HELLO)).status).toBe(200);
    const lines = app.log.filter(({ message }) => message === 'ledger out of reach');
    expect(lines.at(-1)).toMatchObject({ step: 'settle', cost_usd: expect.any(Number), consumer: 'key123' });
  });
});

describe('a key that was made after the deployment', () => {
  const tiers = [budgetedTier({ monthlyBudgetUsd: 1 }), { name: 'other' }];

  test('has the consumer, the tier and the budget that the ledger says', async () => {
    const entry = { keyId: 'new1', consumer: 'carol', tier: 'standard', monthlyBudgetUsd: 0.000001, createdAt: 0 };
    await dynamoDb.client.send(new PutItemCommand({ TableName: table, Item: keyItem(entry) }));
    const app = serve({ tiers });
    const answer = await app.chat(HELLO, { apiKeyId: 'new1' });
    expect(answer.status).toBe(429);
    expect(answer.json.error.message).toContain('$0.000001');
    expect(app.requestLog()[0]).toMatchObject({ consumer: 'carol', tier: 'standard' });
    expect((await app.call('GET', '/v1/models', { apiKeyId: 'new1' })).status).toBe(200);
  });

  test('is refused as before when nobody knows it', async () => {
    expect((await serve({ tiers }).chat(HELLO, { apiKeyId: 'unknown' })).status).toBe(403);
  });
});

describe('GET /v1/usage', () => {
  test("sums up the caller's own requests, and tells where its budget stands", async () => {
    const app = serve({ tiers: [budgetedTier({ monthlyBudgetUsd: 1 })] });
    for (const _ of [1, 2]) await app.chat({ ...HELLO, metadata: { feature: 'search' } });
    const spent = app.requestLog().reduce((sum, line) => sum + Number(line.CostUsd), 0);
    const answer = await app.call('GET', '/v1/usage');
    expect(answer.json).toMatchObject({
      object: 'list',
      data: [{ day: new Date().toISOString().slice(0, 10), model: 'chat', feature: 'search', requests: 2 }],
      total: { requests: 2, cost_usd: spent },
      budgets: [{ of: 'consumer', budget_usd: 1, spent_usd: spent, reserved_usd: 0 }],
    });
  });

  test.each([
    ['group_by', { group_by: 'consumer' }],
    ['start', { start: 'yesterday' }],
    ['end', { start: '2026-02-01', end: '2026-01-01' }],
    ['start', { start: '2026-01-01', end: '2026-12-01' }],
  ])('refuses a bad %s by name', async (param, queryStringParameters) => {
    const answer = await serve().call('GET', '/v1/usage', { queryStringParameters });
    expect([answer.status, answer.json.error.param]).toEqual([400, param]);
  });

  test('is not there without a ledger', async () => {
    const app = deploy(servingConfig([model([staticBackend()])]));
    expect((await app.call('GET', '/v1/usage')).status).toBe(404);
  });
});
