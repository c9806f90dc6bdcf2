import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { DynamoDBClient, GetItemCommand } from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { main } from '../../bin/llm/main.ts';
import { type Item, monthOf, reservationsIn, spentIn } from '../../lambda/usage/account.ts';
import { createTextModel, startOpenAiServer } from '../../local/model/index.ts';
import { type LocalRun, startLocal } from '../../local/run.ts';

const MINUTES = 60_000;
/** Reservations end that soon here: nobody waits a quarter of an hour for a test. */
const RESERVATION_MS = 3000;
/** Of a prompt of a few words and 40 tokens, at 1 and 2 USD a million. */
const ONE_RESERVATION_USD = 0.0002;
/** Requests of one process. */
const CONCURRENCY = 16;

const folder = mkdtempSync(join(tmpdir(), 'ledger-'));
const lines: Array<Record<string, unknown>> = [];
let run: LocalRun;
let upstream: Awaited<ReturnType<typeof startOpenAiServer>>;
let dynamoDb: DynamoDBClient;

beforeAll(async () => {
  const model = await createTextModel({ tokensPerSecond: 400, timeToFirstTokenMs: 20 });
  upstream = await startOpenAiServer({ model });
  await promisify(execFile)(process.execPath, [fileURLToPath(new URL('./ledger-app.ts', import.meta.url))], {
    env: { ...process.env, CDK_OUTDIR: folder, E2E_UPSTREAM_URL: `${upstream.url}/v1` },
  });
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('serving-config.json')) continue;
    const config = JSON.parse(readFileSync(join(folder, name), 'utf8'));
    // And DynamoDB, the gateway, the model and fifty clients share this machine's two cores.
    Object.assign(config.ledger, { reservationMs: RESERVATION_MS, timeoutMs: 20_000 });
    writeFileSync(join(folder, name), JSON.stringify(config));
  }
  run = await startLocal({
    ...{ assembly: folder, model, stateFolder: join(folder, 'state') },
    // Several processes, each with many requests at once.
    compute: { kind: 'managed-instances', concurrency: CONCURRENCY },
    log: (_, line) => {
      if (line.startsWith('{')) lines.push(JSON.parse(line) as Record<string, unknown>);
    },
  });
  Object.assign(process.env, { AWS_ENDPOINT_URL_DYNAMODB: run.dynamoDbUrl, AWS_REGION: 'us-east-1' });
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'local', AWS_SECRET_ACCESS_KEY: 'local' });
  dynamoDb = new DynamoDBClient({});
}, 2 * MINUTES);

afterAll(async () => {
  dynamoDb?.destroy();
  await run?.close();
  await upstream?.close();
  rmSync(folder, { recursive: true, force: true });
});

interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

const agent = new Agent({ keepAlive: true, maxSockets: 50 });

/** A chat completion; status 0 when the connection broke. */
function chat(consumer: string, prompt: string, body: object = {}): Promise<Reply> {
  const text = JSON.stringify({ model: 'chat', messages: [{ role: 'user', content: prompt }], ...body });
  return new Promise((resolve) => {
    const headers = { authorization: `Bearer ${run.keys[consumer]}`, 'content-type': 'application/json' };
    const call = request(`${run.url}/chat/completions`, { method: 'POST', agent, headers }, async (response) => {
      const chunks: Buffer[] = [];
      try {
        for await (const chunk of response) chunks.push(chunk as Buffer);
      } catch {
        // Its process was killed.
      }
      const answer = Buffer.concat(chunks).toString('utf8');
      resolve({ status: response.statusCode ?? 0, headers: response.headers, body: answer });
    });
    call.on('error', () => resolve({ status: 0, headers: {}, body: '' }));
    call.end(text);
  });
}

/** Runs them over as many connections as the agent has. */
const flood = (consumer: string, count: number, body: object = {}): Promise<Reply[]> =>
  Promise.all(Array.from({ length: count }, (_, index) => chat(consumer, `What about ${index}?`, body)));

async function account(name: string): Promise<Item | undefined> {
  const key = { pk: { S: `account#${name}` }, sk: { S: monthOf(Date.now()) } };
  const get = new GetItemCommand({ TableName: run.ledgerTable, Key: key, ConsistentRead: true });
  return (await dynamoDb.send(get)).Item;
}

async function usageOf(consumer: string): Promise<{ requests: number; cost_usd: number }> {
  const out: string[] = [];
  const args = ['usage', '--format', 'json', '--by', 'consumer', '--consumer', consumer];
  const io = { out: (text: string) => void out.push(text), err: (text: string) => void out.push(text) };
  const status = await main([...args, '--table', run.ledgerTable ?? ''], io);
  expect(`${status} ${status === 0 ? '' : out.join('')}`).toBe('0 ');
  return JSON.parse(out.join('')).rows[0] ?? { requests: 0, cost_usd: 0 };
}

const billed = (consumer: string): number[] =>
  lines
    .filter((line) => line.message === 'chat completion' && line.consumer === consumer)
    .flatMap((line) => (typeof line.CostUsd === 'number' ? [line.CostUsd] : []));

const sum = (numbers: readonly number[]): number => numbers.reduce((all, each) => all + each, 0);

test(
  'a flood of 2,000 requests from 50 connections spends a budget of a cent, and no more',
  async () => {
    const replies = await flood('flood', 2000);
    const statuses = new Set(replies.map(({ status }) => status));
    expect(statuses).toEqual(new Set([200, 429]));
    const answered = replies.filter(({ status }) => status === 200).length;
    await expect.poll(() => billed('flood').length, { timeout: 10_000 }).toBe(answered);
    const handlers = new Set(lines.map((line) => String(line.pid ?? '')));
    expect(run.pids.length + handlers.size).toBeGreaterThan(3);

    const spent = sum(billed('flood'));
    expect(spent).toBeLessThanOrEqual(0.01);
    // What is left is too little for one more request.
    expect(spent).toBeGreaterThan(0.01 - ONE_RESERVATION_USD);
    const item = await account('consumer:flood');
    expect(spentIn(item, 'c:flood') / 1e9).toBeCloseTo(spent, 9);
    expect(sum(reservationsIn(item).map(({ nano }) => nano))).toBe(0);

    const usage = await usageOf('flood');
    expect(usage.requests).toBe(answered);
    expect(usage.cost_usd).toBeCloseTo(spent, 6);

    const thresholds = lines.filter((line) => line.message === 'budget threshold' && line.consumer === 'flood');
    expect(thresholds.map((line) => line.threshold_percent).sort()).toEqual([100, 50, 80]);
    const refused = replies.find(({ status }) => status === 429);
    expect(JSON.parse(refused?.body ?? '')).toMatchObject({
      error: { type: 'insufficient_quota', code: 'insufficient_quota' },
    });
    expect(refused?.headers).toMatchObject({ 'x-should-retry': 'false' });
    expect(Number(refused?.headers['retry-after'])).toBeGreaterThan(0);
  },
  4 * MINUTES,
);

test(
  'processes killed in mid-request lose no money and make none: their reservations are given back',
  async () => {
    const handlerPids = () => run.pids;
    let over = false;
    let kills = 0;
    const killing = (async () => {
      while (!over) {
        const pids = handlerPids();
        const pid = pids[Math.floor(Math.random() * pids.length)];
        if (pid !== undefined && billed('killed').length > 0) {
          process.kill(pid, 'SIGKILL');
          kills += 1;
        }
        await new Promise((resolve) => setTimeout(resolve, 400));
      }
    })();
    const replies = await flood('killed', 400, { stream: true });
    over = true;
    await killing;
    expect(kills).toBeGreaterThan(0);
    expect(replies.some(({ status, body }) => status !== 200 || !body.includes('[DONE]'))).toBe(true);

    // Somebody has to want the money for it to be given back: then all of it is there.
    const held = async (): Promise<number> => {
      const item = await account('team:all');
      return sum(
        reservationsIn(item)
          .filter(({ purse }) => purse === 'c:killed')
          .map(({ nano }) => nano),
      );
    };
    expect(await held()).toBeGreaterThan(0);
    const spentNow = async () => spentIn(await account('team:all'), 'c:killed') / 1e9;
    // A process that dies between the ledger and its log lines has told only the ledger, for as many requests as it had;
    // those that live tell both, but not in the same moment.
    await expect
      .poll(async () => (await spentNow()) - sum(billed('killed')))
      .toBeLessThan(kills * CONCURRENCY * ONE_RESERVATION_USD);
    const spent = await spentNow();
    expect(spent).toBeGreaterThanOrEqual(sum(billed('killed')) - 1e-9);
    expect((await usageOf('killed')).cost_usd).toBeCloseTo(spent, 9);
    expect(spentIn(await account('team:all'), 't:all') / 1e9).toBeCloseTo(spent, 9);
  },
  4 * MINUTES,
);

test(
  'a minute holds exactly its tokens, and each answer says what is left',
  async () => {
    // Not at the end of one.
    const left = MINUTES - (Date.now() % MINUTES);
    if (left < 15_000) await new Promise((resolve) => setTimeout(resolve, left));
    const replies = await flood('hasty', 60, { model: 'free', max_tokens: 40 });
    const answered = replies.filter(({ status }) => status === 200);
    expect(answered.length).toBeGreaterThan(10);
    const refused = replies.find(({ status }) => status === 429);
    if (refused !== undefined) {
      expect(JSON.parse(refused.body)).toMatchObject({ error: { type: 'tokens', code: 'rate_limit_exceeded' } });
      expect(Number(refused.headers['retry-after'])).toBeLessThanOrEqual(60);
    }
    for (const { headers } of answered) {
      expect(headers).toMatchObject({ 'x-ratelimit-limit-tokens': '1000' });
      expect(Number(headers['x-ratelimit-remaining-tokens'])).toBeLessThan(1000);
      expect(headers['x-ratelimit-reset-tokens']).toMatch(/^(\d+m)?[\d.]+(ms|s)$/);
    }
  },
  MINUTES,
);

test("the flood's alarms arrive, and say what, how much, since when, who and what to do", {
  timeout: 4 * MINUTES,
}, async () => {
  const told = (alarm: string) =>
    run.observability.messages.find(({ subject }) => subject.startsWith(`ALARM: ${alarm}: `));
  // CloudWatch's alarms are evaluated every minute.
  await expect.poll(() => told('BudgetThresholds'), { timeout: 3 * MINUTES, interval: 500 }).toBeDefined();
  await expect.poll(() => told('TierSpend-penny'), { timeout: 3 * MINUTES, interval: 500 }).toBeDefined();
  const { subject = '', body = '{}', recipients } = told('TierSpend-penny') ?? {};
  expect(recipients).toContain('email ops@example.com');
  const [, usd] = /: ([\d.]+), limit 0\.005$/.exec(subject) ?? [];
  // What it was when the alarm was evaluated, perhaps in the middle of the flood.
  expect(Number(usd)).toBeGreaterThanOrEqual(0.005);
  expect(Number(usd)).toBeLessThanOrEqual(sum(billed('flood')) + 1e-6);
  const message = JSON.parse(body) as Record<string, string>;
  expect(message).toMatchObject({ NewStateValue: 'ALARM', NewStateReason: `${usd}, limit 0.005` });
  expect(Math.abs(Date.parse(message.StateChangeTime ?? '') - Date.now())).toBeLessThan(60 * MINUTES);
  expect(message.AlarmDescription).toMatch(
    /^Answers to consumers of tier penny cost \$0\.005 or more within one day\./,
  );
  expect(message.AlarmDescription).toMatch(/\nWho: .+\nWhat to do: .+\nRunbook: https:/);
  // Each crossed threshold is told of in the log, by its name.
  const thresholds = lines.filter((line) => line.message === 'budget threshold' && line.consumer === 'flood');
  expect(thresholds.map((line) => line.threshold_percent)).toContain(100);
});

test('a consumer reads its own usage, and no other', async () => {
  const response = await fetch(`${run.url}/usage?group_by=day,model`, {
    headers: { authorization: `Bearer ${run.keys.flood}` },
  });
  const body = (await response.json()) as { data: Array<Record<string, unknown>>; total: { cost_usd: number } };
  expect(response.status).toBe(200);
  expect(body.data).toMatchObject([{ model: 'chat', day: new Date().toISOString().slice(0, 10) }]);
  expect(body.total.cost_usd).toBeCloseTo(sum(billed('flood')), 6);
  expect(body).toMatchObject({ budgets: [{ of: 'consumer', budget_usd: 0.01, reserved_usd: 0 }] });
});
