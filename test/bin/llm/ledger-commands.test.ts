import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { main } from '../../../bin/llm/main.ts';
import {
  createLedgerTable,
  openTestLedger,
  payer,
  startDynamoDb,
  type TestDynamoDb,
  used,
} from '../../lambda/usage/fixture.ts';

interface Key {
  readonly id: string;
  readonly value: string;
  readonly name: string;
  readonly description?: string;
  readonly tags?: Record<string, string>;
  enabled: boolean;
  plan?: string;
}

/** The few operations of API Gateway's REST-JSON protocol that the command uses. */
class ApiGatewayStandIn {
  readonly keys = new Map<string, Key>();
  plans = [
    { id: 'plan1', name: 'Standard', description: 'Tier standard', apiStages: [{ apiId: 'api1', stage: 'live' }] },
    { id: 'plan0', name: 'Paid', description: 'Tier paid', apiStages: [{ apiId: 'api1', stage: 'live' }] },
    { id: 'planX', name: 'Elsewhere', description: 'Tier else', apiStages: [{ apiId: 'api2', stage: 'live' }] },
  ];
  refusesPlanKeys = false;
  readonly server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = chunks.length === 0 ? {} : JSON.parse(Buffer.concat(chunks).toString() || '{}');
    const [status, answer] = this.answer(request.method ?? '', request.url ?? '', body);
    const error = status >= 400 ? { 'x-amzn-errortype': String(answer.type) } : {};
    response.writeHead(status, { 'content-type': 'application/json', ...error });
    response.end(JSON.stringify(answer));
  });

  answer(method: string, url: string, body: Record<string, never>): [number, Record<string, unknown>] {
    const [path = ''] = url.split('?');
    const id = /^\/apikeys\/(.+)$/.exec(path)?.[1] ?? '';
    const key = this.keys.get(id);
    if (method === 'GET' && path === '/usageplans') return [200, { item: this.plans }];
    if (method === 'GET' && path === '/apikeys') {
      return [200, { item: [...this.keys.values()].map(({ value: _, ...rest }) => rest) }];
    }
    if (method === 'POST' && path === '/apikeys') {
      const made = {
        id: `key${this.keys.size + 1}`,
        value: `value-${this.keys.size + 1}`,
        enabled: true,
        name: body.name ?? '',
      };
      this.keys.set(made.id, made);
      return [201, made];
    }
    const plan = /^\/usageplans\/(.+)\/keys$/.exec(path)?.[1];
    if (method === 'GET' && plan !== undefined) {
      const inPlan = [...this.keys.values()].filter((each) => each.plan === plan);
      return [200, { item: inPlan.map(({ id: keyId, name }) => ({ id: keyId, name, type: 'API_KEY' })) }];
    }
    if (method === 'POST' && plan !== undefined) {
      if (this.refusesPlanKeys) return [400, { type: 'BadRequestException', message: 'no more keys' }];
      const added = this.keys.get(body.keyId ?? '');
      if (added !== undefined) added.plan = plan;
      return [201, { id: body.keyId }];
    }
    if (key === undefined) return [404, { type: 'NotFoundException', message: 'Invalid API Key identifier specified' }];
    if (method === 'DELETE') this.keys.delete(id);
    if (method === 'PATCH')
      key.enabled = (body.patchOperations?.[0] as { value: string } | undefined)?.value === 'true';
    return [method === 'DELETE' ? 202 : 200, { ...key }];
  }
}

let dynamoDb: TestDynamoDb;
let gateway: ApiGatewayStandIn;
let table: string;

beforeAll(async () => {
  dynamoDb = await startDynamoDb();
});
afterAll(() => dynamoDb.close());
beforeEach(async () => {
  table = await createLedgerTable(dynamoDb.client);
  gateway = new ApiGatewayStandIn();
  await new Promise<void>((resolve) => gateway.server.listen(0, '127.0.0.1', resolve));
  process.env.AWS_ENDPOINT_URL_API_GATEWAY = `http://127.0.0.1:${(gateway.server.address() as AddressInfo).port}`;
  return () => {
    gateway.server.closeAllConnections();
    gateway.server.close();
  };
});

async function llm(...args: string[]): Promise<{ status: number; out: string; err: string }> {
  const [out, err]: [string[], string[]] = [[], []];
  const io = { out: (text: string) => void out.push(text), err: (text: string) => void err.push(text) };
  const status = await main([...args, '--table', table], io);
  return { status, out: out.join(''), err: err.join('') };
}

describe('usage', () => {
  beforeEach(async () => {
    const ledger = openTestLedger(table, { now: () => Date.parse('2026-03-05T10:00:00Z') });
    for (let index = 0; index < 40; index++) {
      const consumer = index % 4 === 0 ? 'bob' : 'alice';
      await ledger.settle(ledger.unreserved(payer({ consumer })), used(1_000_000, 10));
    }
    await ledger.settle(ledger.unreserved(payer({ consumer: 'eve', team: 'red' })), {
      ...{ ...used(2_000_000), user: '=cmd()', feature: 'a,b' },
    });
  });
  const march = ['--from', '2026-03', '--to', '2026-04'];

  test('sums up by consumer, in a table with a total', async () => {
    const { status, out } = await llm('usage', ...march);
    expect(status).toBe(0);
    expect(out.split('\n').map((line) => line.split(/ {2,}/))).toEqual([
      ['consumer', 'requests', 'input', 'output', 'cached', 'cost_usd', 'saved_usd', 'estimated'],
      ['alice', '30', '300', '0', '0', '0.030000', '0.000000', '0'],
      ['bob', '10', '100', '0', '0', '0.010000', '0.000000', '0'],
      ['eve', '1', '10', '0', '0', '0.002000', '0.000000', '0'],
      ['total', '41', '410', '0', '0', '0.042000', '0.000000', '0'],
      [''],
    ]);
  });

  test('shows the dearest, by several things at once, as JSON', async () => {
    const { out } = await llm('usage', ...march, '--by', 'day,model,consumer', '--top', '1', '--format', 'json');
    expect(JSON.parse(out)).toMatchObject({
      rows: [{ day: '2026-03-05', model: 'chat', consumer: 'alice', requests: 30, cost_usd: 0.03 }],
      total: { requests: 41, cost_usd: 0.042 },
    });
  });

  test('writes CSV that a spreadsheet takes for text', async () => {
    const { out } = await llm('usage', ...march, '--consumer', 'eve', '--by', 'user,feature', '--format', 'csv');
    expect(out).toContain(`'=cmd(),"a,b",1,10,`);
  });

  test('knows months without usage', async () => {
    const { out } = await llm('usage', '--from', '2026-01', '--to', '2026-02', '--format', 'json');
    expect(JSON.parse(out).rows).toEqual([]);
  });

  test.each([
    [['--by', 'color'], '--by takes'],
    [['--top', 'x'], '--top'],
    [['--format', 'xml'], '--format'],
    [['--from', 'soon'], '--from'],
  ])('refuses %j', async (args, message) => {
    const { status, err } = await llm('usage', ...args);
    expect(status).toBe(2);
    expect(err).toContain(message);
  });

  test('says what is wrong with the table', async () => {
    table = 'nowhere';
    const { status, err } = await llm('usage');
    expect(status).toBe(1);
    expect(err).toContain("the ledger nowhere can't be read");
  });
});

describe('keys', () => {
  test("makes one in its tier's plan, whose value stands alone on stdout", async () => {
    const { status, out, err } = await llm('keys', 'create', 'carol', '--tier', 'standard', '--budget', '5');
    expect({ status, out }).toEqual({ status: 0, out: 'value-1\n' });
    expect(err).toContain('key key1 of consumer carol');
    expect(gateway.keys.get('key1')).toMatchObject({ name: 'carol', plan: 'plan1' });
    const { out: listed } = await llm('keys', 'list', '--format', 'json');
    expect(JSON.parse(listed)).toMatchObject([
      { keyId: 'key1', consumer: 'carol', tier: 'standard', monthlyBudgetUsd: 5, state: 'enabled' },
    ]);
    expect(listed).not.toContain('value-1');
  });

  test('leaves no key behind that works without being counted', async () => {
    gateway.refusesPlanKeys = true;
    const { status, err } = await llm('keys', 'create', 'carol', '--tier', 'standard');
    expect(status).toBe(1);
    expect(err).toContain('no more keys');
    expect(gateway.keys.size).toBe(0);
    gateway.refusesPlanKeys = false;
    expect((await llm('keys', 'create', 'carol', '--tier', 'standard')).status).toBe(0);
  });

  test('replaces one, and disables the old one when asked', async () => {
    await llm('keys', 'create', 'carol', '--tier', 'standard', '--team', 'red');
    const { out } = await llm('keys', 'rotate', 'key1', '--disable-old');
    expect(out).toBe('value-2\n');
    const { out: listed } = await llm('keys', 'list', '--format', 'csv');
    expect(listed).toMatch(/key1,carol,standard,red,,disabled,/);
    expect(listed).toMatch(/key2,carol,standard,red,,enabled,/);
  });

  test('disables one', async () => {
    await llm('keys', 'create', 'carol', '--tier', 'standard');
    expect((await llm('keys', 'disable', 'key1')).status).toBe(0);
    expect(gateway.keys.get('key1')?.enabled).toBe(false);
  });

  test.each([
    [['create', 'a b', '--tier', 'standard'], 'CONSUMER must be', 2],
    [['create', 'carol'], '--tier is missing', 2],
    [['create', 'carol', '--tier', 'gold'], "no usage plan of this region is tier gold's", 1],
    [['create', 'carol', '--tier', 'standard', '--budget', '0'], '--budget must be', 2],
    [['rotate', 'nokey'], 'is not in the ledger', 1],
    [['create', 'carol', '--tier', 'standard', '--local'], "which the local run doesn't have", 2],
    [['burn'], "keys can't burn", 2],
  ])('refuses %j', async (args, message, expected) => {
    const { status, err } = await llm('keys', ...args);
    expect(status).toBe(expected);
    expect(err).toContain(message);
    expect(gateway.keys.size).toBe(0);
  });

  test('asks which plan when several deployments have the tier', async () => {
    const apiStages = [{ apiId: 'api3', stage: 'live' }];
    gateway.plans.push({ id: 'plan2', name: 'Other', description: 'Tier standard', apiStages });
    const { err } = await llm('keys', 'create', 'carol', '--tier', 'standard');
    expect(err).toContain('pass --usage-plan with one of plan1 (Standard), plan2 (Other)');
    expect((await llm('keys', 'create', 'carol', '--tier', 'standard', '--usage-plan', 'plan2')).status).toBe(0);
    expect(gateway.keys.get('key1')?.plan).toBe('plan2');
  });

  test.each<[string, Partial<Key>]>([
    ['its tag', { description: 'The web site', tags: { 'llm-serving:consumer': 'carol' } }],
    ['its description', { description: 'Consumer carol, tier paid' }],
  ])("doesn't make one for a consumer that the deployment declares, in whichever tier, by %s", async (_, declared) => {
    const key = { id: 'declared', value: 'v', name: 'Llm-Carol-X', enabled: true };
    gateway.keys.set('declared', { ...key, ...declared, plan: 'plan0' });
    const { status, out, err } = await llm('keys', 'create', 'carol', '--tier', 'standard');
    expect({ status, out }).toEqual({ status: 1, out: '' });
    expect(err).toContain('consumer carol is declared in the deployment, with the key declared');
    expect(gateway.keys.size).toBe(1);
    expect((await llm('keys', 'create', 'caro', '--tier', 'standard')).status).toBe(0);
  });

  test("takes a name that only another deployment's consumer has", async () => {
    const description = 'Consumer carol, tier else';
    gateway.keys.set('other', { id: 'other', value: 'v', name: 'X', enabled: true, description, plan: 'planX' });
    expect((await llm('keys', 'create', 'carol', '--tier', 'standard')).status).toBe(0);
  });

  test('does not make a second key for a consumer that has one', async () => {
    await llm('keys', 'create', 'carol', '--tier', 'standard');
    expect((await llm('keys', 'create', 'carol', '--tier', 'standard')).err).toContain('keys rotate key1');
  });
});

describe('pause, resume, paused', () => {
  const paused = async () => JSON.parse((await llm('paused', '--format', 'json')).out);

  test('pauses, lists and resumes', async () => {
    expect((await llm('paused')).err).toBe('nothing is paused\n');
    const { status, err } = await llm('pause', 'model', 'chat', '--for', '2h', '--reason', 'too dear');
    expect({ status, err }).toEqual({ status: 0, err: expect.stringMatching(/^model chat is paused until 20.+Z\n$/) });
    expect((await llm('pause', 'consumer', 'alice')).err).toBe("consumer alice is paused until 'resume'\n");
    const [model, consumer] = await paused();
    expect(model).toMatchObject({ kind: 'model', name: 'chat', by: 'operator', reason: 'too dear' });
    expect(Date.parse(model.until) - Date.parse(model.since)).toBe(2 * 3_600_000);
    expect(consumer).toMatchObject({ name: 'alice', until: '', detail: expect.stringMatching(/^by ./) });
    expect((await llm('paused')).out.split('\n')[0]).toMatch(/^kind +name +since +until +by +reason +detail$/);
    expect((await llm('resume', 'model', 'chat')).err).toBe('model chat is resumed\n');
    expect(await paused()).toMatchObject([{ name: 'alice' }]);
  });

  test('does not act as if it had helped when nothing was paused', async () => {
    const { status, err } = await llm('resume', 'model', 'caht');
    expect(status).toBe(1);
    expect(err).toContain("model caht is not paused: 'paused' lists what is");
  });

  test.each([
    [['pause'], 'which of consumer|team|model? got nothing'],
    [['pause', 'tier', 'x'], 'got tier'],
    [['pause', 'model'], 'NAME is missing'],
    [['resume', 'model', 'a', 'b'], 'too many arguments: b'],
    [
      ['pause', 'model', 'a', '--for', '90s'],
      '--for must be minutes, hours or days, as 30m, 2h or 7d, up to a year, got 90s',
    ],
    [['pause', 'model', 'a', '--for', '0h'], 'got 0h'],
    [['pause', 'model', 'a', '--reason', ''], '--reason must be 1–200 characters, got 0'],
    [['paused', '--format', 'xml'], '--format must be table, csv or json, got xml'],
  ])('refuses %j', async (args, message) => {
    const { status, err } = await llm(...args);
    expect(status).toBe(2);
    expect(err).toContain(message);
    expect(await paused()).toEqual([]);
  });

  test('says what is wrong with the table', async () => {
    table = 'nowhere';
    const { status, err } = await llm('pause', 'model', 'chat');
    expect(status).toBe(1);
    expect(err).toContain("the ledger nowhere can't be asked");
  });
});
