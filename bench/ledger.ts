/**
 * What the ledger adds to a request: writes, and CPU time of the function's process, beside bare calls of the AWS SDK in
 * the same run. DynamoDB (dynalite) is a process of its own.
 *
 *   node bench/ledger.ts [requests]
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { CreateTableCommand, DynamoDBClient, UpdateItemCommand } from '@aws-sdk/client-dynamodb';
import { Ledger } from '../lambda/usage/ledger.ts';

const REQUESTS = Number(process.argv[2] ?? 2000);
const AT_ONCE = 16;
const SERVER = `
import dynalite from 'dynalite';
const server = dynalite({ createTableMs: 0 });
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
`;

const child = spawn(process.execPath, ['--input-type=module', '-e', SERVER], { stdio: ['ignore', 'pipe', 'inherit'] });
const [port] = (await once(createInterface(child.stdout), 'line')) as [string];
Object.assign(process.env, {
  AWS_ENDPOINT_URL_DYNAMODB: `http://127.0.0.1:${port}`,
  AWS_REGION: 'us-east-1',
  AWS_ACCESS_KEY_ID: 'local',
  AWS_SECRET_ACCESS_KEY: 'local',
});
const client = new DynamoDBClient({ maxAttempts: 3 });
await client.send(
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

const ledger = new Ledger({ table: 'ledger', reservationMs: 930_000, retentionDays: 400, timeoutMs: 30_000 });
let writes = 0;
for (const operation of ['update', 'put'] as const) {
  const original = ledger.table[operation].bind(ledger.table) as (input: never) => Promise<never>;
  ledger.table[operation] = (async (input: never) => {
    writes += 1;
    return original(input);
  }) as never;
}
const payer = { consumer: 'bench', budgetNano: 1e15, tokensPerMinute: 1e9, thresholds: [0.5, 0.8, 1] };
const bill = { backend: 'bedrock', inputTokens: 100, outputTokens: 300, cachedInputTokens: 0, costNano: 90_000 };

async function counted(): Promise<void> {
  const reserved = await ledger.reserve({ payer, tokens: 1000, nano: 300_000, enforceBudgets: true });
  if (!reserved.ok) throw new Error(reserved.refusal.limit);
  const used = { model: 'chat', feature: 'search', user: 'user-1', savedNano: 0 };
  await ledger.settle(reserved.reservation, { ...used, bills: [{ ...bill, estimated: false }] });
}

/** Two updates as small as they can be. */
async function bare(): Promise<void> {
  for (const _ of [1, 2]) {
    await client.send(
      new UpdateItemCommand({
        TableName: 'ledger',
        Key: { pk: { S: 'bare' }, sk: { S: 'bare' } },
        UpdateExpression: 'ADD n :one',
        ExpressionAttributeValues: { ':one': { N: '1' } },
      }),
    );
  }
}

/** Milliseconds of CPU for one. */
async function cpuOf(work: () => Promise<void>, count: number): Promise<number> {
  const before = process.cpuUsage();
  let left = count;
  const worker = async (): Promise<void> => {
    while (left-- > 0) await work();
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000 / count;
}

for (const work of [bare, counted]) await cpuOf(work, 300);
writes = 0;
const [sdk, whole] = [await cpuOf(bare, REQUESTS), await cpuOf(counted, REQUESTS)];
console.log(`requests                          ${REQUESTS}, ${AT_ONCE} at once`);
console.log(`writes a request                  ${(writes / REQUESTS).toFixed(3)} (2, and 2 for every 16 requests)`);
console.log(`CPU of admission and settlement   ${whole.toFixed(3)} ms`);
console.log(`of that, two bare SDK updates     ${sdk.toFixed(3)} ms`);
console.log(`the ledger's own                  ${(whole - sdk).toFixed(3)} ms`);
client.destroy();
child.kill();
process.exit(0);
