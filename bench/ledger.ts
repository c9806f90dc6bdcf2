/**
 * What the ledger adds to a request: writes and write units, counted on DynamoDB's stand-in (dynalite), and CPU time of
 * the function's thread. That is measured against a server that answers at once, in rounds beside the same two updates
 * sent by the AWS SDK and by bare HTTP, so that what the machine does besides weighs on all of them.
 *
 *   node bench/ledger.ts [requests] [--check]
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import {
  type AttributeValue,
  CreateTableCommand,
  DynamoDBClient,
  UpdateItemCommand,
  type UpdateItemCommandInput,
} from '@aws-sdk/client-dynamodb';
import { Ledger } from '../lambda/usage/ledger.ts';

const { values, positionals } = parseArgs({
  options: { check: { type: 'boolean', default: false } },
  allowPositionals: true,
});
const REQUESTS = Number(positionals[0] ?? 600);
const ROUNDS = 15;
const A_ROUND = 400;
const AT_ONCE = 16;
/** What must hold for `--check`; measured are 2.167, 2.17, 0.53 and 0.01. */
const MAX_WRITES = 2 + 1 / 6;
const MAX_UNITS = 2.25;
const MAX_OF_SDK = 0.75;
const MAX_OWN_OF_SDK = 0.1;

type Item = Record<string, AttributeValue>;

const DYNALITE = `
import dynalite from 'dynalite';
const server = dynalite({ createTableMs: 0 });
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
`;
/** Takes what is POSTed to /answer as its answer to everything else. */
const AT_ONCE_SERVER = `
import { createServer } from 'node:http';
let answer = '{}';
const server = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  if (request.url === '/answer') answer = Buffer.concat(chunks);
  response.writeHead(200, { 'content-type': 'application/x-amz-json-1.0', 'content-length': answer.length });
  response.end(answer);
});
server.keepAliveTimeout = 0; // A round of another may take longer than a connection waits.
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
`;

const children: ChildProcess[] = [];
async function startServer(source: string): Promise<string> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', source], {
    stdio: ['ignore', 'pipe', 'inherit'],
    cwd: import.meta.dirname,
  });
  children.push(child);
  const [port] = (await once(createInterface(child.stdout), 'line')) as [string];
  return `http://127.0.0.1:${port}`;
}
process.on('exit', () => {
  for (const child of children) child.kill();
});
const open = (endpoint: string): DynamoDBClient => {
  process.env.AWS_ENDPOINT_URL_DYNAMODB = endpoint;
  return new DynamoDBClient({ maxAttempts: 1 });
};
Object.assign(process.env, { AWS_REGION: 'us-east-1', AWS_ACCESS_KEY_ID: 'local', AWS_SECRET_ACCESS_KEY: 'local' });

const openLedger = (): Ledger =>
  new Ledger({ table: 'ledger', reservationMs: 930_000, retentionDays: 400, timeoutMs: 30_000 });
const payer = { consumer: 'website', budgetNano: 1e15, tokensPerMinute: 1e9, thresholds: [0.5, 0.8, 1] };
const used = {
  ...{ model: 'chat', feature: 'search', user: 'user-12345678', savedNano: 0 },
  bills: [
    {
      ...{ backend: 'bedrock:amazon.nova-lite-v1:0', inputTokens: 412, outputTokens: 317, cachedInputTokens: 0 },
      ...{ costNano: 100_800, estimated: false },
    },
  ],
};

async function counted(ledger: Ledger, limits: object = payer): Promise<void> {
  const reserved = await ledger.reserve({
    payer: { ...payer, ...limits },
    tokens: 1000,
    nano: 300_000,
    enforceBudgets: true,
  });
  if (!reserved.ok) throw new Error(reserved.refusal.limit);
  await ledger.settle(reserved.reservation, used);
}

async function allOf(count: number, work: () => Promise<void>, atOnce = AT_ONCE): Promise<void> {
  let left = count;
  const worker = async (): Promise<void> => {
    while (left-- > 0) await work();
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

/** As DynamoDB counts a size: names and strings by their bytes, numbers by two digits a byte. */
const sizeOf = (item: Item): number =>
  Object.entries(item).reduce((sum, [name, { S, N = '' }]) => {
    return sum + Buffer.byteLength(name) + (S === undefined ? Math.ceil(N.length / 2) + 1 : Buffer.byteLength(S));
  }, 0);
const unitsOf = (bytes: number): number => Math.ceil(bytes / 1024);

/** Calls, writes and write units a request; an update is paid by the larger of the item before and after it. */
async function countWrites(limits: object, atOnce: number) {
  const ledger = openLedger();
  const [put, update, get] = (['put', 'update', 'get'] as const).map((name) => ledger.table[name].bind(ledger.table));
  let [writes, units, reads, before] = [0, 0, 0, 0];
  const updates: UpdateItemCommandInput[] = [];
  const items: Item[] = [];
  Object.assign(ledger.table, {
    put: async (item: Item) => {
      writes += 1;
      units += unitsOf(sizeOf(item));
      return put?.(item as never);
    },
    update: async (input: UpdateItemCommandInput) => {
      const updated = (await update?.(input as never)) as { item: Item };
      const after = sizeOf(updated.item);
      writes += 1;
      units += unitsOf(Math.max(before, after));
      before = after;
      updates.push(input);
      items.push(updated.item);
      return updated;
    },
    get: async (key: Item) => {
      reads += 1;
      return get?.(key as never);
    },
  });
  await allOf(REQUESTS, () => counted(ledger, limits), atOnce);
  const [writesEach, unitsEach, readsEach] = [writes, units, reads].map((n) => n / REQUESTS);
  return { writes: writesEach ?? 0, units: unitsEach ?? 0, reads: readsEach ?? 0, updates, items };
}

const dynamoDb = await startServer(DYNALITE);
await open(dynamoDb).send(
  new CreateTableCommand({
    TableName: 'ledger',
    BillingMode: 'PAY_PER_REQUEST',
    AttributeDefinitions: ['pk', 'sk'].map((AttributeName) => ({ AttributeName, AttributeType: 'S' })),
    KeySchema: [
      { AttributeName: 'pk', KeyType: 'HASH' },
      { AttributeName: 'sk', KeyType: 'RANGE' },
    ],
  }),
);
const one = await countWrites({}, 1);
const many = await countWrites({ consumer: 'crowded' }, AT_ONCE);
const team = await countWrites({ team: 'search', teamBudgetNano: 1e15 }, 1);

// The same updates again, as the ledger made them, and an item as it was.
const [reserve, settle] = one.updates.slice(-4, -2);
if (reserve === undefined || settle === undefined) throw new Error('no updates');
const pair = [reserve, settle];
const endpoint = await startServer(AT_ONCE_SERVER);
const answer = JSON.stringify({ Attributes: one.items.at(-3) });
await fetch(`${endpoint}/answer`, { method: 'POST', body: answer });
const agent = new Agent({ keepAlive: true });
const post = (body: string): Promise<unknown> =>
  new Promise((resolve, reject) => {
    const call = request(endpoint, { method: 'POST', agent }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => resolve(JSON.parse(text)));
    });
    call.on('error', reject).end(body);
  });
const client = open(endpoint);
const answering = openLedger();
const silent = openLedger();
const item = one.items.at(-3) ?? {};
Object.assign(silent.table, {
  update: async () => ({ ok: true, item }),
  get: async () => item,
  put: async () => {},
});

const works = {
  http: async () => {
    for (const input of pair) await post(JSON.stringify(input));
  },
  sdk: async () => {
    for (const input of pair) await client.send(new UpdateItemCommand(input));
  },
  ledger: () => counted(answering),
  own: () => counted(silent),
};
type Name = keyof typeof works;
const cpu: Record<Name, number[]> = { http: [], sdk: [], ledger: [], own: [] };
for (let round = -3; round < ROUNDS; round++) {
  for (const name of Object.keys(works) as Name[]) {
    const before = process.threadCpuUsage();
    await allOf(A_ROUND, works[name]);
    const { user, system } = process.threadCpuUsage(before);
    if (round >= 0) cpu[name].push((user + system) / 1000 / A_ROUND);
  }
}
const median = (numbers: readonly number[]): number => numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? 0;
const { http, sdk, ledger, own } = Object.fromEntries(
  Object.entries(cpu).map(([name, numbers]) => [name, median(numbers)]),
) as Record<Name, number>;
/** Of the same round: what slowed down one slowed down the other. */
const ratio = (of: Name, to: Name): number => median(cpu[of].map((each, round) => each / (cpu[to][round] ?? 1)));

const ms = (number: number): string => `${number.toFixed(3)} ms`;
const row = (name: string, text: string): void => console.log(`${name.padEnd(52)}${text}`);
for (const [name, { writes, units, reads }] of Object.entries({ 'one by one': one, '16 at once': many, team })) {
  row(
    `a request with limits, ${name}`,
    `${writes.toFixed(3)} writes, ${units.toFixed(2)} units, ${reads.toFixed(3)} reads`,
  );
}
row('CPU of admission and settlement, with their calls', ms(ledger));
row('  of the ledger without any call', ms(own));
row('  of two bare HTTP calls', ms(http));
row('  beyond those', ms(ledger - http));
row('the same two updates by the AWS SDK', ms(sdk));
row('of which the ledger takes, with its calls', ratio('ledger', 'sdk').toFixed(2));
row('  without', ratio('own', 'sdk').toFixed(2));

const failures = [
  [one.writes <= MAX_WRITES + 1e-9, `${one.writes} writes a request, not ${MAX_WRITES}`],
  [many.writes <= MAX_WRITES + 1e-9, `${many.writes} writes a request at once, not ${MAX_WRITES}`],
  [one.units <= MAX_UNITS, `${one.units} write units a request, not ${MAX_UNITS}`],
  [ratio('ledger', 'sdk') <= MAX_OF_SDK, `more than ${MAX_OF_SDK} of the AWS SDK's CPU time`],
  [ratio('own', 'sdk') <= MAX_OWN_OF_SDK, `without calls more than ${MAX_OWN_OF_SDK} of the AWS SDK's CPU time`],
].flatMap(([holds, message]) => (holds ? [] : [message]));
if (values.check && failures.length > 0) {
  console.error(`failed: ${failures.join('; ')}`);
  process.exit(1);
}
process.exit(0);
